"""The section on what mistakes in texts cost the models."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tasks.shared.conditions import ADVERSARY, POOLED
from tasks.shared.report.content import Content
from tasks.shared.report.parts import Section, Table, numbers
from tasks.shared.report.words import interval, percent, points


def robustness(content: Content) -> Section | None:
    """What mistakes in texts cost each model; None where that was not measured."""
    found = content.result["robustness"]
    if not found:
        return None
    single = [one for one in found if one["noise"] not in (ADVERSARY, POOLED)]
    sample = max(one["rows"] for one in found)
    texts = [
        f"{sample:,} test texts, drawn by hash, and with mistakes put into each; what those cost each model in points "
        "of accuracy, and how much less they cost the student than its twin."
    ]
    several = content.result["verdict"]["seeds"] > 1
    if not several:
        texts.append("With one seed, what one model is spared of another's loss cannot be told from luck in training.")
    elif single:
        texts.append(_more_robust(single))
    attacked = [one["rows"] for one in found if one["noise"] == ADVERSARY]
    if attacked:
        texts.append(
            f"The adversary tries edits of single characters in {attacked[0]:,} of them and keeps those that hurt the "
            "model at hand most, so each model is attacked with its own."
        )
    if several:
        texts += [_whether_noise_helped(one) for one in _summed(found) if "unaugmented" in one["spared"]]
    note = (
        "Strength: share changed of the words that this kind can change; kinds that change nothing here are left out. "
        "The interval of a single model is over texts alone."
    )
    first = [one for one in found if one not in single]
    strongest = [one for one in single if one["strength"] == max(other["strength"] for other in single)]
    if len(strongest) < len(single):
        note = f"Single kinds at their strongest; the figure has all strengths. {note}"
    tables = [_noise_table(some, list(found[0]["drop"])) for some in (first, strongest) if some]
    return Section("When texts have mistakes", texts, ["robustness"], [*tables[:-1], replace(tables[-1], note=note)])


def _noise_table(found: Sequence[Mapping[str, Any]], roles: Sequence[str]) -> Table:
    head = ["", "strength", *(f"{role} loses" for role in roles), "student is spared"]
    rows = [
        [
            one["noise"],
            _strength(one),
            *(_lost(one["drop"][role]) for role in roles),
            _lost(one["spared"]["twin"]),
        ]
        for one in found
    ]
    return numbers(head, rows)


def _summed(found: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """All kinds of noise together; where there is but one kind, that."""
    together = [one for one in found if one["noise"] == POOLED]
    return together or [one for one in found if one["noise"] != ADVERSARY]


def _whether_noise_helped(one: Mapping[str, Any]) -> str:
    """Whether learning from augmented texts made the student lose less."""
    less = one["spared"]["unaugmented"]
    helped = "helped" if less["low"] > 0 else "hurt" if less["high"] < 0 else "made no clear difference"
    what = f"{one['noise']}, {_strength(one)}"
    size, direction = points(abs(less["mean"])), "less" if less["mean"] >= 0 else "more"
    return (
        f"Learning from augmented texts {helped} here ({what}): the student loses {size} points {direction} than one "
        f"that learnt without them (less by {interval(less, bare=True)}, 95 % interval)."
    )


def _strength(one: Mapping[str, Any]) -> str:
    if one["noise"] != ADVERSARY:
        return f"{percent(one['strength'], 0)} %"
    return "1 edit" if one["strength"] == 1 else f"{one['strength']:g} edits"


def _more_robust(found: Sequence[Mapping[str, Any]]) -> str:
    """In how many single kinds and strengths one is better; of many at 95 % some are so by chance."""
    better = [one for one in found if one["spared"]["twin"]["low"] > 0]
    worse = [one for one in found if one["spared"]["twin"]["high"] < 0]
    return (
        f"In {len(better)} of {len(found)} single kinds and strengths the student clearly loses less than its twin, in "
        f"{len(worse)} it clearly loses more, in the others the intervals hold zero; about one in forty would be clear "
        "either way by chance."
    )


def _lost(drop: Mapping[str, Any]) -> str:
    return f"{points(drop['mean'])}\n({interval(drop, bare=True)})"  # in two lines, or it is wider than the page
