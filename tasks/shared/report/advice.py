"""What to try next, as it follows from the result of a run: three things at most, the likeliest to help first."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from tasks.shared.defaults.budgets import BUDGETS
from tasks.shared.defaults.candidates import MOST_PASSES
from tasks.shared.plain_yaml import as_yaml
from tasks.shared.report.closing import mean_accuracy
from tasks.shared.report.content import Content
from tasks.shared.report.words import count_of_seeds
from tasks.shared.truncation import NOTABLE

_FEW_SEEDS, _ENOUGH_SEEDS, _MOST_SEEDS, _WIDEST = 3, 5, 20, 4096
_LONGEST = 8192
"""Tokens of a text at most, as a recipe has them."""
_MOST_TIMES = 20
"""Times as many test examples as there are, beyond which nobody can be asked to label them."""
_MUCH_TEXT = 10
"""As many times more transfer texts than gold rows are much."""
_MOST_ADVICE = 3
_UNDERFIT, _OVERFIT = 0.9, 0.08
"""Loyalty on texts learnt from, below which a student has not learnt what it was told; what it may lose on new ones."""
_COVERED = 0.99
"""Share of dev's tokens below which many a text has one that is read in pieces."""
_TOKENS = BUDGETS["standard"].vocabulary
_DOUBTED = 0.02
"""Share of gold rows; what the teacher contradicts of what it was itself trained on is more likely wrong than hard."""


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
        loyal: share of the texts it learnt from on which the student names its teacher's class; None: not known.
        loyal_on_new: the same of test.
        doubted: share of gold rows that the teacher contradicts with confidence, though it learnt from them.
        cut_off: share of texts of which the student sees only the beginning.
        reads: tokens that the student reads of a text.
        covered: share of dev's tokens that are in the student's vocabulary.
        unit: what `seeds` counts, `seed` or `draw` (of labels).
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
    loyal: float | None = None
    loyal_on_new: float | None = None
    doubted: float = 0.0
    cut_off: float = 0.0
    reads: int = 128
    covered: float = 1.0
    unit: str = "seed"

    @property
    def loyalty_lost(self) -> float:
        """How much less often the student names its teacher's class on test; 0 where that is not known."""
        return 0.0 if self.loyal is None or self.loyal_on_new is None else self.loyal - self.loyal_on_new


@dataclass(frozen=True)
class Advice:
    """What to try, and why.

    Attributes:
        why: a few words.
        change: what to change in the recipe, as `--set` takes it; empty where no setting does it.
        command: another command of ours that does it, without the program's name.
    """

    why: str
    change: str = ""
    command: str = ""


def standing(content: Content) -> Standing:
    """Where a run stands: by the verdict over draws of labels, where there are several, as its headline does."""
    method, teacher = content.result["draws"], content.result["teacher"]
    verdict = method or content.result["verdict"]
    needed = verdict["needed"] or {}
    if method:
        needed = {"examples": needed.get("examples")}  # its seeds would be draws
    known = bool(verdict["examples"])
    shipped = content.shipped
    return Standing(
        verdict["outcome"],
        verdict["seeds"],
        verdict["examples"],
        needed,
        verdict["worthwhile"],
        mean_accuracy(content, "student") if known else 0.0,
        mean_accuracy(content, "twin") if known else 0.0,
        teacher["accuracy"] if teacher else None,
        shipped.quality.trivial,
        content.rows["gold"],
        content.rows["transfer"],
        content.recipe,
        shipped.learnt.loyal,
        shipped.quality.loyalty.label if shipped.quality.loyalty else None,
        shipped.learnt.doubted,
        shipped.cut_off,
        shipped.cost.max_length,
        shipped.learnt.covered,
        "draw" if method else "seed",
    )


def advise(found: Standing) -> list[Advice]:
    """What most likely helps; nothing where the student is as good as it can be expected to be."""
    return list(islice(_advice(found), _MOST_ADVICE))


def _advice(found: Standing) -> Iterator[Advice]:
    if not found.examples:
        yield Advice("label rows of data.test: without gold labels nothing can be said of accuracy")
        return
    # Near 1 there may be no room for a gain worth having: half of what there is will do.
    if found.trivial < 1 and found.student < min(found.trivial + found.worthwhile, (1 + found.trivial) / 2):
        better = "no better" if found.student <= found.trivial else "hardly better"
        yield _longer(found, f": it is {better} than always saying the commonest class")
        return
    if found.outcome == "INCONCLUSIVE" and (_few(found) or found.student >= found.twin):
        yield from _settles(found)
    if found.outcome != "BEATS":
        yield from _not_better(found)
    elif found.teacher is not None and found.teacher - found.student >= found.worthwhile:
        yield _larger(found)


def _not_better(found: Standing) -> Iterator[Advice]:
    """What may keep a student from doing better than its twin."""
    if found.teacher is not None and found.teacher - found.twin < found.worthwhile:
        above = 100 * (found.teacher - found.twin)
        better = f"{above:.1f} points above the twins" if above >= 0.05 else "no better than the twins"
        trained = found.recipe["teachers"][0]["labels"] is None
        change = "teachers.0.model=FOLDER_OR_HUB_ID" if trained else "teachers.0.labels=FILE"
        yield Advice(f"try a better teacher: this one is {better} on test", change)
    underfit = found.loyal is not None and found.loyal < _UNDERFIT
    if underfit:
        told = f": it names its teacher's class of {found.loyal:.0%} of the texts it learnt from"
        yield _longer(found, told)
    if found.loyalty_lost >= _OVERFIT or found.transfer < _MUCH_TEXT * found.gold:
        yield _more_text(found)
    student = found.recipe["student"]
    if found.covered < _COVERED and (student["vocabulary"] or 0) < _TOKENS and student["embeddings"] != "random":
        new = f"of dev's tokens {1 - found.covered:.0%} are in no text that the student learnt from"
        weights = f"{4 * (student['embedding_size'] or 0) * _TOKENS / 1e6:.0f} MB of weights at most"
        yield Advice(f"keep the teacher's commonest tokens too ({weights}): {new}", f"student.vocabulary={_TOKENS}")
    taught = any(teacher["labels"] is None and teacher["epochs"] != 0 for teacher in found.recipe["teachers"])
    if found.doubted >= _DOUBTED and taught:
        contradicted = f"the teacher contradicts {found.doubted:.0%} of the gold labels it was trained on"
        yield Advice(f"look for wrong labels: {contradicted}", command="doubts latest")
    length = min(2 * found.reads, _LONGEST)
    if found.cut_off >= NOTABLE and length > found.reads and not _bound_to_teacher(found.recipe):
        cut = f"the student sees only the beginning of {found.cut_off:.0%} of the texts"
        yield Advice(f"read more of each text: {cut}", f"student.max_length={length}")
    if not underfit:
        yield _larger(found)


def _more_text(found: Standing) -> Advice:
    """More texts for the student to learn from."""
    files = as_yaml([*map(str, found.recipe["data"]["unlabelled"]), "YOUR_TEXTS.txt"])
    why = f"the student learnt from {found.transfer:,}, its twin from {found.gold:,} rows"
    if found.loyalty_lost >= _OVERFIT:
        why = f"the student names its teacher's class {100 * found.loyalty_lost:.0f} points less often on test"
        why += " than on what it learnt from"
    return Advice(f"add unlabelled texts: {why}", f"data.unlabelled={files}")


def _settles(found: Standing) -> Iterator[Advice]:
    """More seeds or examples, where a number of them that can be had would settle it."""
    seeds, examples = found.needed.get("seeds") or 0, found.needed.get("examples") or 0
    few = _few(found)
    if few and not 0 < seeds <= _MOST_SEEDS:
        seeds = _ENOUGH_SEEDS
    if 0 < seeds <= _MOST_SEEDS:
        what = f"of {count_of_seeds(found.seeds)} little can be said: take" if few else "settle it with"
        yield Advice(f"{what} {seeds} seeds (trained ones are reused)", f"seeds={_more(found.recipe, seeds)}")
    elif 0 < examples <= _MOST_TIMES * found.examples:
        yield Advice(f"settle it with about {examples:,} examples in data.test")


def _bound_to_teacher(recipe: Mapping[str, Any]) -> bool:
    """Whether a student can read no more than its teacher, or than its configuration has positions for."""
    relation = any(term["term"] == "relation" for term in recipe["objective"] or [])
    return relation or bool(recipe["student"].get("configuration") or recipe["student"].get("teacher_layers"))


def _few(found: Standing) -> bool:
    """Whether there are so few seeds that their interval says little."""
    return found.unit == "seed" and found.seeds < _FEW_SEEDS


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
    passes = min(2 * int(found.recipe["training"]["epochs"]), MOST_PASSES)
    return Advice(f"train the student for longer{why}", f"training.epochs={passes}")
