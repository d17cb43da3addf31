"""Was the distillation worth it? How much more accurate students are than their twins, and how sure that is."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from math import hypot, inf, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray


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
        examples: Number of test examples.
        worthwhile: The gain that the recipe calls worthwhile.
        se_seeds: Standard error if the seeds alone were drawn again; None with one seed.
        se_examples: Standard error if the examples alone were drawn again.
        confidence: How often such an interval holds the true gain.
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
    confidence: float = 0.95

    @property
    def scope(self) -> str:
        """What the verdict does not reach beyond."""
        return "This holds for this teacher and this draw of gold labels; another of either may turn out differently."

    def sentence(self) -> str:
        """Returns the verdict for a person: outcome, gain in points, interval, what it means or what to do next."""
        return f"{self.outcome.value}: {self._meaning()} ({self._evidence()})"

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as JSON-safe values."""
        return {**asdict(self), "outcome": self.outcome.value}

    def _meaning(self) -> str:
        worth = f"the {self._worth()} called worthwhile"
        if self.outcome is Outcome.INCONCLUSIVE:
            return f"the student measured {self._gain()} on test, {self._doubt()}"
        if self.outcome is Outcome.BEATS:
            small = f": a real gain, but smaller than {worth}" if self.high < self.worthwhile else ""
            return f"the student is {self._gain()} on test{small}"
        if self.high < 0:
            return f"the student is {self._gain()} on test"
        return f"any gain of the student on test is below {worth}; it measured {self._gain()}"

    def _doubt(self) -> str:
        if self.seeds == 1:
            return "but one seed cannot tell a gain from luck in training: add seeds"
        if self.examples == 1:
            return "but one example says nothing about others: use a larger test set"
        by_seeds = _t(self.seeds, self.confidence) * (self.se_seeds or 0.0)
        by_examples = _t(self.examples, self.confidence) * self.se_examples
        remedy = "add seeds" if by_seeds >= by_examples else "use a larger test set"
        return f"which may be no gain at all or one of {self._worth()} and more: {remedy} to find out"

    def _evidence(self) -> str:
        counts = f"{_count(self.seeds, 'seed')}, {_count(self.examples, 'example')}"
        if self.seeds == 1 or self.examples == 1:
            return f"no interval; {counts}"
        digits = self._digits()
        low, high = _points(self.low, digits), _points(self.high, digits)
        return f"{100 * self.confidence:g} % interval {low} to {high}; {counts}"

    def _gain(self) -> str:
        if self.difference == 0:
            return "exactly as accurate as its twin"
        size = _points(abs(self.difference), self._digits())
        return f"{size} points {'less' if self.difference < 0 else 'more'} accurate than its twin"

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
    student_correct: NDArray[Any], twin_correct: NDArray[Any], worthwhile: float, confidence: float = 0.95
) -> Verdict:
    """Judges students against their twins, with two sources of error: the seeds and the test examples.

    A gain (seed s, example i) is taken as mu + seed_s + example_i + residual_si. The seeds' means give one variance of
    mu with seeds - 1 degrees of freedom, the examples' means another with examples - 1; both hold the residual, which
    is taken off the second so that it counts once. They are added as (t1 se1)^2 + (t2 se2)^2, each with its own t
    (Banerjee 1960, Sankhya 22:357): for normal errors this covers at least as often as it says. In simulation it did,
    where Satterthwaite's single t fell to 87 % with two seeds, and t with seeds - 1 on the total was two to three
    times as wide at its worst. The interval is never narrower than the examples alone would leave it. It takes seeds
    to err evenly up and down: where one run in ten collapses by six points, ten seeds cover 90 % instead of 95.

    Args:
        student_correct: [seeds, examples], bool or scores within 0 to 1, of the students on test.
        twin_correct: The same for the twins: row s has the same seed, column i is the same example.
        worthwhile: The smallest gain worth having, a fraction of at least 0 and below 1.
        confidence: Of the two-sided interval, within 0 to 1.

    Raises:
        ValueError: If shapes differ or are not [seeds, examples], or a value is out of range.
    """
    student, twin = _scores(student_correct, twin_correct)
    if not 0 <= worthwhile < 1 or not 0 < confidence < 1:
        raise ValueError(f"worthwhile must be in [0, 1) and confidence in (0, 1), got {worthwhile} and {confidence}")
    gains = student - twin
    seeds, examples = gains.shape
    difference = float(gains.mean())
    se_seeds = float(gains.mean(axis=1).std(ddof=1)) / sqrt(seeds) if seeds > 1 else None
    se_examples = _se_examples(gains.mean(axis=0))
    half = _half_width(se_seeds, se_examples, gains, confidence)
    low, high = max(-1.0, difference - half), min(1.0, difference + half)
    outcome = _outcome(low, high, worthwhile)
    return Verdict(outcome, difference, low, high, seeds, examples, worthwhile, se_seeds, se_examples, confidence)


def _outcome(low: float, high: float, worthwhile: float) -> Outcome:
    if low > 0:
        return Outcome.BEATS
    return Outcome.NO_BETTER if high < worthwhile else Outcome.INCONCLUSIVE


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


def _se_examples(by_example: NDArray[np.float64]) -> float:
    """The standard error of the mean gain [examples] under a new draw of examples.

    Two more examples, one won by each side, are counted in (Agresti and Min 2005, Stat. Med. 24:729). Without them a
    few hundred examples on which the models never disagree pass for proof that they never will.
    """
    padded = np.append(by_example, [1.0, -1.0])
    return float(padded.std(ddof=1)) / sqrt(padded.size)


def _half_width(se_seeds: float | None, se_examples: float, gains: NDArray[np.float64], confidence: float) -> float:
    seeds, examples = gains.shape
    if seeds == 1 or examples == 1:
        return inf
    residual = gains - gains.mean(axis=1, keepdims=True) - gains.mean(axis=0) + gains.mean()
    residual_variance = float((residual**2).sum()) / ((seeds - 1) * (examples - 1) * gains.size)
    examples_only = sqrt(max(se_examples**2 - residual_variance, 0.0))
    t_seeds, t_examples = _t(seeds, confidence), _t(examples, confidence)
    return max(hypot(t_seeds * (se_seeds or 0.0), t_examples * examples_only), t_examples * se_examples)


def _t(count: int, confidence: float) -> float:
    """The two-sided quantile of t with count - 1 degrees of freedom."""
    from scipy.special import stdtrit  # slow to load, so only where it is needed

    return float(stdtrit(count - 1, (1 + confidence) / 2))


def _points(fraction: float, digits: int) -> str:
    return f"{round(100 * fraction, digits) + 0.0:.{digits}f}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
