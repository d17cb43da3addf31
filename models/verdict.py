"""Was the distillation worth it? How much more accurate students are than their twins, and how sure that is."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.clusters import Clusters
from models.interval import CONFIDENCE, Needed, components, interval, needed

FEW = 20
"""Clusters of rows below which a reader is told that there are few."""


class Outcome(StrEnum):
    """What the interval of the student's gain over its twin allows us to say."""

    BEATS = "BEATS"  # the whole interval lies above zero
    NO_BETTER = "NO BETTER"  # the whole interval lies below the gain that the recipe calls worthwhile
    INCONCLUSIVE = "INCONCLUSIVE"  # it holds both no gain and a worthwhile one, or there is one seed or one example


@dataclass(frozen=True)
class Verdict:
    """The outcome and the numbers it rests on. All gains are fractions: 0.01 is one point of accuracy.

    Attributes:
        outcome: The verdict.
        difference: Mean accuracy of the students less that of their twins.
        low: Lower end of the interval, never below -1.
        high: Upper end of the interval, never above 1. With one seed or one example nothing is known of the error,
            and the interval is all that accuracies allow: -1 to 1.
        seeds: Number of paired seeds.
        examples: Number of test examples: identical texts are one, and so are the rows of a group.
        worthwhile: The gain that the recipe calls worthwhile.
        se_seeds: Standard error if the seeds alone were drawn again; None with one seed.
        se_examples: Standard error if the examples alone were drawn again.
        confidence: How often such an interval holds the true gain.
        needed: Of an INCONCLUSIVE one with an interval, how many seeds or examples would probably settle it, to two
            figures.
        student: What was judged.
        other: What it was compared with.
        unit: What was drawn anew from row to row: a seed, or a draw of labels.
        where: What the examples are of.
        rows: Number of rows that the examples are of; None where each is one.
        example: What an example is called: an example, or a group.
    """

    outcome: Outcome
    difference: float
    low: float
    high: float
    seeds: int
    examples: int
    worthwhile: float
    se_seeds: float | None
    se_examples: float
    confidence: float = CONFIDENCE
    needed: Needed | None = None
    student: str = "the student"
    other: str = "its twin"
    unit: str = "seed"
    where: str = "test"
    rows: int | None = None
    example: str = "example"

    @property
    def scope(self) -> str:
        """What the verdict does not reach beyond."""
        holds = "This holds for this teacher and this draw of gold labels; another of either may turn out differently."
        if self.unit == "draw":
            holds = "This holds for draws of gold labels of this data and teachers made of this model."
        if self.rows is not None and 1 < self.examples < FEW:
            few = f"{_count(self.examples, self.example)} tell little of others"
            holds += f" It rests on few: {few}, unless all are much alike."
        return holds

    def sentence(self) -> str:
        """Returns the verdict for a person in one plain sentence: outcome, difference in points, interval."""
        return f"{self.outcome.value}: {self._meaning()} ({self._evidence()})"

    @property
    def remedy(self) -> str:
        """What would settle an INCONCLUSIVE verdict, as a sentence; empty of another."""
        if self.outcome is not Outcome.INCONCLUSIVE or not self.examples:
            return ""
        if self.seeds == 1:
            return f"Add {self.unit}s."
        if self.examples == 1:
            return "Use a larger test set."
        ways = []
        if self.needed and self.needed.seeds:
            ways.append(_count(self.needed.seeds, self.unit))
        if self.needed and self.needed.examples:
            ways.append(f"{self.needed.examples:,} test {self.example}s")
        if not ways and self.needed and self.needed.both:
            times = f"{self.needed.both:.{1 if self.needed.both < 10 else 0}f} times"
            ways.append(f"{times} as many {self.unit}s and test {self.example}s")
        if not ways:
            return "No number that can be foreseen would settle it."
        return f"About {' or '.join(ways)} would settle it, if the true difference is the one measured."

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as JSON-safe values."""
        return {**asdict(self), "outcome": self.outcome.value}

    def _meaning(self) -> str:
        if not self.examples:
            return "no test example has a gold label, so nothing can be said of accuracy"
        if self.outcome is Outcome.INCONCLUSIVE:
            return f"on {self.where} {self.student} measured {self._gain()}, {self._doubt()}"
        if self.outcome is Outcome.BEATS:
            small = f", which is real but below the {self._worth()} called worthwhile"
            return f"on {self.where} {self.student} is {self._gain()}{small if self.high < self.worthwhile else ''}"
        if self.high < 0:
            return f"on {self.where} {self.student} is {self._gain()}"
        gains = f"on {self.where} {self.student} gains less than the {self._worth()} called worthwhile"
        return f"{gains}: it measured {self._gain()}"

    def _doubt(self) -> str:
        if self.seeds == 1:
            luck = "training" if self.unit == "seed" else "the draw"
            return f"but one {self.unit} cannot tell that from luck in {luck}"
        if self.examples == 1:
            return f"but one {self.example} says nothing about others"
        return "but that may be chance" if self.difference else "and either may be better"

    def _evidence(self) -> str:
        within = "" if self.rows is None else f" in {_count(self.rows, 'row')}"
        counts = f"{_count(self.seeds, self.unit)}, {_count(self.examples, self.example)}{within}"
        if self.seeds == 1 or self.examples <= 1:
            return f"no interval; {counts}"
        digits = self._digits()
        low, high = _points(self.low, digits), _points(self.high, digits)
        return f"{100 * self.confidence:g} % interval {low} to {high}; {counts}"

    def _gain(self) -> str:
        if self.difference == 0:
            return f"exactly as accurate as {self.other}"
        size = _points(abs(self.difference), self._digits())
        return f"{size} points {'less' if self.difference < 0 else 'more'} accurate than {self.other}"

    def _worth(self) -> str:
        return f"{100 * self.worthwhile:g} point{'' if self.worthwhile == 0.01 else 's'}"

    def _digits(self) -> int:
        """The fewest decimals (1 to 4) at which the printed interval still shows why the outcome is what it is."""
        exact = (self.low > 0, self.high < 0, self.high < self.worthwhile)
        for digits in (1, 2, 3):
            low, high = round(100 * self.low, digits), round(100 * self.high, digits)
            if (low > 0, high < 0, high < 100 * self.worthwhile) == exact:
                return digits
        return 4


def judge(
    student_correct: NDArray[Any],
    other_correct: NDArray[Any],
    worthwhile: float,
    confidence: float = CONFIDENCE,
    student: str = "the student",
    other: str = "its twin",
    unit: str = "seed",
    where: str = "test",
    clusters: Clusters | None = None,
    example: str = "example",
) -> Verdict:
    """Judges students against their twins, or any models against others, by seeds and test examples.

    The interval is that of `models.interval.interval`. It knows of luck in training what the seeds at hand show: a
    collapse that is rare is not seen in five runs.

    Args:
        student_correct: [seeds, rows], bool or scores within 0 to 1, of the students on test.
        other_correct: The same for the twins: row s has the same seed, column i is the same text.
        worthwhile: The smallest gain worth having, a fraction of at least 0 and below 1.
        confidence: Of the two-sided interval, within 0 to 1.
        student: What the first are called.
        other: What the second are called.
        unit: What a row is: a seed, or a draw of labels.
        where: What the examples are of.
        clusters: Which columns are one example; without it, each is one.
        example: What one is called: an example, or a group.

    Raises:
        ValueError: If shapes differ or are not [seeds, examples], or a value is out of range.
    """
    scores, others = _scores(student_correct, other_correct)
    if not 0 <= worthwhile < 1 or not 0 < confidence < 1:
        raise ValueError(f"worthwhile must be in [0, 1) and confidence in (0, 1), got {worthwhile} and {confidence}")
    gains = scores - others
    found = interval(gains, confidence, clusters=clusters)
    outcome = _outcome(found.low, found.high, worthwhile)
    return Verdict(
        outcome,
        found.mean,
        found.low,
        found.high,
        found.seeds,
        found.examples,
        worthwhile,
        found.se_seeds,
        found.se_examples,
        confidence,
        _needed(outcome, gains, worthwhile, confidence, clusters),
        student,
        other,
        unit,
        where,
        gains.shape[1] if found.examples < gains.shape[1] else None,
        example,
    )


def unjudged(seeds: int, worthwhile: float) -> Verdict:
    """The verdict where no test example has a gold label."""
    return Verdict(Outcome.INCONCLUSIVE, 0.0, -1.0, 1.0, seeds, 0, worthwhile, None, 0.0)


def _outcome(low: float, high: float, worthwhile: float) -> Outcome:
    if low > 0:
        return Outcome.BEATS
    return Outcome.NO_BETTER if high < worthwhile else Outcome.INCONCLUSIVE


def _needed(
    outcome: Outcome, gains: NDArray[np.float64], worthwhile: float, confidence: float, clusters: Clusters | None
) -> Needed | None:
    """What would settle it, if gain and variances are those that were measured."""
    found = components(gains, clusters)
    if outcome is not Outcome.INCONCLUSIVE or found is None:
        return None
    mean = float(gains.mean())
    seeds, examples = len(gains), gains.shape[1] if clusters is None else len(clusters.sizes)
    exact = needed(found, seeds, examples, max(mean, worthwhile - mean), confidence)
    return Needed(_two_figures(exact.seeds), _two_figures(exact.examples), exact.both)


def _scores(student: NDArray[Any], twin: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    scores = np.asarray(student, dtype=np.float64), np.asarray(twin, dtype=np.float64)
    shapes = f"student {scores[0].shape}, twin {scores[1].shape}"
    if scores[0].shape != scores[1].shape or scores[0].ndim != 2 or scores[0].size == 0:
        raise ValueError(f"scores must be two non-empty arrays of the same [seeds, examples], got {shapes}")
    for name, values in zip(("student", "twin"), scores, strict=True):
        wrong = int((~((values >= 0) & (values <= 1))).sum())
        if wrong:
            raise ValueError(f"scores must be within 0 to 1, but {wrong} of the {name}'s are not ({shapes})")
    return scores


def _two_figures(count: int | None) -> int | None:
    """The count rounded up to two significant figures: more would be more than is known."""
    if count is None:
        return None
    step: int = 10 ** max(0, len(str(count)) - 2)
    return -(-count // step) * step


def _points(fraction: float, digits: int) -> str:
    return f"{round(100 * fraction, digits) + 0.0:.{digits}f}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
