"""What a label is, whatever it was read from: its text, what stands for none, and which spellings are one."""

import re
from collections.abc import Collection

from tasks.shared.errors import StillhouseError, brief
from tasks.shared.texts import normalise

LONGEST_LABEL = 1000
"""Characters of a label: it becomes the name of a class, which each model carries along."""
MISSING = frozenset({"nan", "NaN", "<NA>", "NA", "N/A", "n/a", "#N/A", "None", "null", "NULL"})
"""Words that pandas, `datasets`, databases and spreadsheets write for a missing value: no label, unless a class is
called so."""

_WHOLE = re.compile(r"(-?[0-9]+)(\.0+)?")
_BOOLEANS = ("false", "true")


def label_text(value: object, at: str, unit: str, number: int, what: str = "label") -> str | None:
    """A label as normalised text, or None if it is missing or blank; `at`, `unit` and `number` say where it stands.

    A whole number becomes its digits, a Boolean `true` or `false`, a list of one its only entry.

    Args:
        value: as it was read.
        at: where it stands, before the line.
        unit: `line` or `row`.
        number: of the line or row.
        what: the recipe's name of the column: a group is read as a label is.

    Raises:
        StillhouseError: it is something else, or too long.
    """
    if isinstance(value, list) and len(value) < 2:
        value = value[0] if value else None
    if isinstance(value, str):
        if len(value) > LONGEST_LABEL:
            found = f"the {what} has {len(value):,} characters, more than {LONGEST_LABEL:,}"
            raise StillhouseError(f"{at} {unit} {number}: {found}; is that the text? set data.{what} to another column")
        return normalise(value) or None
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        if value != value:  # NaN is how pandas writes a missing number
            return None
        if value.is_integer():
            return str(int(value))
    advice = f"{what} is a name or a whole number (data.{what})"
    if isinstance(value, list):
        advice = f"text has one {what}: choose one of the {len(value):,}, or name another column (data.{what})"
    raise StillhouseError(f"{at} {unit} {number}: the {what} is {described(value)}; a {advice}")


def described(value: object) -> str:
    """A value for a message; the inside of lists and objects is not shown, for it can be deep."""
    if isinstance(value, list):
        return "a list"
    if isinstance(value, dict):
        return "an object"
    return brief(value)


def is_whole(label: str) -> bool:
    """Whether a label is a whole number, perhaps written as pandas writes it where a column has gaps: `1.0`."""
    return _WHOLE.fullmatch(label) is not None


def plain(label: str) -> str:
    """A whole number or Boolean as JSON has it, `1` of `1.0` and `true` of `True`; any other label as it is."""
    match = _WHOLE.fullmatch(label)
    if match:
        return str(int(match[1])) if match[2] else label
    lower = label.lower()
    return lower if lower in _BOOLEANS else label


def spelt_alike(labels: Collection[str]) -> list[str]:
    """The distinct labels, `plain` where all are whole numbers or all are Booleans; beside names they are names."""
    numbers = all(map(is_whole, labels))
    if numbers or all(label.lower() in _BOOLEANS for label in labels):
        return list(dict.fromkeys(map(plain, labels)))
    return list(dict.fromkeys(labels))
