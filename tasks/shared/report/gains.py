"""The section on what students learnt that their twins did not."""

from collections.abc import Mapping
from typing import Any

from tasks.shared.report.content import Content
from tasks.shared.report.parts import Case, Section, numbers
from tasks.shared.report.words import percent, points, share


def gains(content: Content) -> Section | None:
    """Where students and twins differ, and what the teacher had said there; None without gold labels."""
    told = content.explanation
    flips = told["flips"]
    if flips is None:
        return None
    texts = [
        f"Students and twins of the same seed are both right on {percent(flips['both'])} % of test and both wrong on "
        f"{percent(flips['neither'])} %; the student alone is right on {percent(flips['student_only'])} %, the twin "
        f"alone on {percent(flips['twin_only'])} %."
    ]
    tables = []
    if told["teacher"]:
        if told["unsure_share"] is not None:
            texts.append(
                f"{share(told['unsure_share'])} of the gain lies where the teacher was unsure (it gave the class it "
                "named less than 90 %, calibrated on dev)."
            )
        rows = [
            [
                f"{'right' if one['teacher_right'] else 'wrong'} and {'sure' if one['teacher_sure'] else 'unsure'}",
                f"{one['rows']:,}",
                percent(one["student"]),
                percent(one["twin"]),
                points(one["gain"], sign=True),
            ]
            for one in told["teacher"]
        ]
        head = ["the teacher was", "rows", "student right %", "twin right %", "adds to the gain, points"]
        tables.append(numbers(head, rows))
    return Section(
        "What the student learnt that its twin did not",
        texts,
        tables=tables,
        about_cases="Texts on which students and twins differ most; those of them first on which the teacher says most "
        "about other classes than the one it names."
        if told["examples"]
        else "",
        cases=[_case(one) for one in told["examples"]],
    )


def _case(one: Mapping[str, Any]) -> Case:
    said = [("students", _counted(one["student"])), ("twins", _counted(one["twin"]))]
    if one["teacher"]:
        said.append(("teacher", ", ".join(f"{name} {percent(at)} %" for name, at in one["teacher"].items())))
    text = one["text"] + (f" | {one['text_pair']}" if one["text_pair"] else "")
    won = one["student"].get(one["gold"], 0) > one["twin"].get(one["gold"], 0)
    return Case([("gold label", one["gold"]), *said], text, won)


def _counted(said: Mapping[str, int]) -> str:
    if len(said) == 1 and sum(said.values()) == 1:
        return next(iter(said))
    return ", ".join(f"{name} x {times}" for name, times in said.items())
