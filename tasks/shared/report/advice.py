"""What to try next, as it follows from the result of a run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.shared.report.closing import mean_accuracy
from tasks.shared.report.content import Content

_ENOUGH_SEEDS, _MOST_SEEDS, _WIDEST = 5, 20, 4096
_MUCH_TEXT = 10
"""As many times more transfer texts than gold rows are much."""


@dataclass(frozen=True)
class Standing:
    """What came out, as far as it decides what to try next. Accuracies are of test, means over seeds.

    Attributes:
        outcome: of the verdict.
        seeds: how many pairs it rests on, or draws of labels where there are several.
        examples: how many test examples have a gold label.
        needed: what would settle an INCONCLUSIVE one, of `seeds` and `examples`; empty if nothing is known to.
        worthwhile: the gain worth having.
        student: accuracy.
        twin: accuracy.
        teacher: accuracy of all teachers together; None where that is not known.
        trivial: accuracy of always naming the commonest class.
        gold: rows with a label that the twin learns from.
        transfer: texts that the student learns from.
        recipe: as plain data.
    """

    outcome: str
    seeds: int
    examples: int
    needed: Mapping[str, int | None]
    worthwhile: float
    student: float
    twin: float
    teacher: float | None
    trivial: float
    gold: int
    transfer: int
    recipe: Mapping[str, Any]


@dataclass(frozen=True)
class Advice:
    """What to try, and why.

    Attributes:
        why: a few words.
        change: what to change in the recipe, as `--set` takes it; empty where no setting does it.
    """

    why: str
    change: str = ""


def standing(content: Content) -> Standing:
    """Where a run stands: by the verdict over draws of labels, where there are several, as its headline does."""
    method, teacher = content.result["draws"], content.result["teacher"]
    verdict = method or content.result["verdict"]
    needed = verdict["needed"] or {}
    if method:
        needed = {"examples": needed.get("examples")}  # its seeds would be draws
    known = bool(verdict["examples"])
    return Standing(
        verdict["outcome"],
        verdict["seeds"],
        verdict["examples"],
        needed,
        verdict["worthwhile"],
        mean_accuracy(content, "student") if known else 0.0,
        mean_accuracy(content, "twin") if known else 0.0,
        teacher["accuracy"] if teacher else None,
        content.shipped.quality.trivial,
        content.rows["gold"],
        content.rows["transfer"],
        content.recipe,
    )


def advise(found: Standing) -> Advice | None:
    """What most likely helps; None where the student is as good as it can be expected to be."""
    if not found.examples:
        return Advice("label rows of data.test: without gold labels nothing can be said of accuracy")
    # Near 1 there may be no room for a gain worth having: half of what there is will do.
    if found.trivial < 1 and found.student < min(found.trivial + found.worthwhile, (1 + found.trivial) / 2):
        better = "no better" if found.student <= found.trivial else "hardly better"
        return _longer(found, f": it is {better} than always saying the commonest class")
    if found.outcome == "INCONCLUSIVE" and (found.seeds == 1 or found.student >= found.twin):
        settled = _settles(found)
        if settled:
            return settled
    if found.outcome != "BEATS":
        if found.teacher is not None and found.teacher - found.twin < found.worthwhile:
            above = 100 * (found.teacher - found.twin)
            better = f"{above:.1f} points above the twins" if above >= 0.05 else "no better than the twins"
            return Advice(f"try a better teacher: this one is {better} on test", "teachers.0.model=FOLDER_OR_HUB_ID")
        if found.transfer < _MUCH_TEXT * found.gold:
            files = ", ".join([*map(str, found.recipe["data"]["unlabelled"]), "more.txt"])
            return Advice(
                f"add unlabelled texts: the student learnt from {found.transfer:,}, its twin from {found.gold:,} rows",
                f"data.unlabelled=[{files}]",
            )
    short = found.teacher is not None and found.teacher - found.student >= found.worthwhile
    if short or found.outcome != "BEATS":
        return _larger(found)
    return None


def _settles(found: Standing) -> Advice | None:
    """More seeds or examples, where a number of them that can be had would settle it."""
    seeds = found.needed.get("seeds") or (_ENOUGH_SEEDS if found.seeds == 1 else 0)
    if 0 < seeds <= _MOST_SEEDS:
        return Advice(f"settle it with {seeds} seeds (trained ones are reused)", f"seeds={_more(found.recipe, seeds)}")
    if found.needed.get("examples"):
        return Advice(f"settle it with about {found.needed['examples']:,} examples in data.test")
    return None


def _more(recipe: Mapping[str, Any], count: int) -> Sequence[int]:
    """The recipe's seeds and the smallest numbers that are none of them yet."""
    seeds: list[int] = list(recipe["seeds"])
    new = (number for number in range(count + len(seeds)) if number not in seeds)
    return seeds + [next(new) for _ in range(count - len(seeds))]


def _larger(found: Standing) -> Advice:
    """A student of more width, or one that learns for longer where width is not the recipe's to say."""
    student = found.recipe["student"]
    width = 2 * int(student["hidden_size"] or 0)
    behind = 0.0 if found.teacher is None else 100 * (found.teacher - found.student)
    why = f": it is {behind:.1f} points below its teacher" if behind > 0 else ""
    fixed = student.get("configuration") or student.get("teacher_layers") or student["layers"] == 0 or not width
    if fixed or width > _WIDEST:
        return _longer(found, why)
    return Advice(f"try a larger student{why}", f"student.hidden_size={width}")


def _longer(found: Standing, why: str) -> Advice:
    return Advice(
        f"train the student for longer{why}", f"training.epochs={2 * int(found.recipe['training']['epochs'])}"
    )
