"""The section on classes: how well each is told, and which the shipped student takes for which."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from tasks.shared.report.content import Card, Content
from tasks.shared.report.parts import Head, Section, Table, numbers
from tasks.shared.report.words import percent, short_name

_MOST_CLASSES, _MOST_IN_MATRIX, _FEW_IN_MATRIX, _MOST_PAIRS = 40, 20, 8, 10
_SHORT_NAME = 8
"""Characters of the longest name of a class for names to head columns."""


def by_class(content: Content) -> Section | None:
    """Precision, recall and F1 of each class, and confusions; None without gold labels."""
    cards = content.of("student")
    if not cards[0].quality.labelled:
        return None
    shipped = content.explanation.get("shipped")  # older runs have none
    tables = [_scores(content)]
    if shipped:
        of = f"Of the student that ships, seed {shipped['seed']}"
        confused = [one for one in shipped["confusions"] if one["gold"] != one["said"]]
        if len(content.classes) <= _MOST_IN_MATRIX:
            tables.append(_matrix(content.classes, shipped["confusions"], of))
        if confused and len(content.classes) > _FEW_IN_MATRIX:  # so many that a phone does not show the matrix
            tables.append(_pairs(confused, of))
    return Section("Class by class", figures=["classes"], tables=tables)


def _scores(content: Content) -> Table:
    """A row a class, the one that students tell worst first."""
    students = content.of("student")
    others = [role for role in ("twin", "teacher") if content.of(role)]
    if len(content.of("teacher")) > 1:
        others.remove("teacher")
    rows = []
    for number, one in enumerate(students[0].quality.classes):
        f1 = _mean(students, number, "f1")
        cells = [percent(_mean(students, number, name)) for name in ("precision", "recall")]
        more = [percent(_mean(content.of(role), number, "f1")) for role in others]
        rows.append((f1, [one.name, f"{one.rows:,}", *cells, percent(f1), *more]))
    rows.sort(key=lambda row: row[0])
    head = ["class", "rows in test", "precision %", "recall %", "F1 %", *(f"{role}'s F1 %" for role in others)]
    note = "Of the students" + (", means over seeds." if len(students) > 1 else ".")
    if len(rows) > _MOST_CLASSES:
        note += f" The {_MOST_CLASSES} classes with the lowest F1 of {len(rows)}; all are in each model's quality.json."
    return numbers(head, [cells for _, cells in rows[:_MOST_CLASSES]], note)


def _mean(cards: Sequence[Card], number: int, name: str) -> float:
    return fmean(getattr(card.quality.classes[number], name) for card in cards)


def _matrix(classes: Sequence[str], found: Sequence[Mapping[str, Any]], of: str) -> Table:
    shown = {(one["gold"], one["said"]): f"{one['rows']:,}" for one in found}
    cells = [[shown.get((gold, said), "") for said in classes] for gold in classes]
    if max(map(len, classes)) <= _SHORT_NAME:  # as numbers are, which are not to be taken for those of columns
        names, heads, note = list(classes), list(classes), ""
    else:
        heads = [str(number) for number in range(1, len(classes) + 1)]
        names = [f"{number} {short_name(gold)}" for number, gold in zip(heads, classes, strict=True)]
        note = "; the numbers are those at the left"
    rows = [[name, *row] for name, row in zip(names, cells, strict=True)]
    head = [Head("gold label", "text"), *map(Head, heads)]
    many = " many" if len(classes) > _FEW_IN_MATRIX else ""
    return Table(
        head,
        rows,
        f"{of}: rows of test, down by gold label, across by predicted class{note}.",
        f"matrix{many}",
    )


def _pairs(confused: Sequence[Mapping[str, Any]], of: str) -> Table:
    most = sorted(confused, key=lambda one: -one["rows"])
    rows = [[one["gold"], one["said"], f"{one['rows']:,}"] for one in most[:_MOST_PAIRS]]
    which = f"the {_MOST_PAIRS} commonest of {len(most)} confusions" if len(most) > _MOST_PAIRS else "all confusions"
    head = [Head("gold label", "text"), Head("predicted", "text"), Head("rows of test")]
    return Table(head, rows, f"{of}: {which}.")
