"""How sure a mean over seeds and examples is: intervals, ratios, and what more of either would buy."""

from dataclasses import dataclass
from math import hypot, inf, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
"""How often an interval holds the true value, unless somebody says otherwise."""

_MOST_SEEDS, _MOST_EXAMPLES = 1000, 10_000_000
_FARTHEST = 1000.0

Gains = NDArray[np.float64]


@dataclass(frozen=True)
class Components:
    """Where the error of a mean over seeds and examples comes from: variances of a two-way table without replication.

    They are estimates, so the first two can come out below zero; only their sums with the residual are cut off there.

    Attributes:
        of_seeds: of a seed's own effect.
        of_examples: of an example's own effect.
        of_residual: of what is left in a single (seed, example).
    """

    of_seeds: float
    of_examples: float
    of_residual: float

    def half_width(self, seeds: int, examples: int, confidence: float = CONFIDENCE) -> float:
        """Half an interval's width, had there been so many seeds and examples; both at least 2.

        The seeds' means give one variance of the mean with seeds - 1 degrees of freedom, the examples' means another
        with examples - 1; both hold the residual, which is taken off the second so that it counts once. They are added
        as (t1 se1)^2 + (t2 se2)^2, each with its own t (Banerjee 1960, Sankhya 22:357): for normal errors this covers
        at least as often as it says. In simulation it did, where Satterthwaite's single t fell to 87 % with two seeds,
        and t with seeds - 1 on the total was two to three times as wide at its worst. It is never narrower than the
        examples alone would leave it. It takes seeds to err evenly up and down: where one run in ten collapses by six
        points, ten seeds cover 90 % instead of 95.
        """
        residual = self.of_residual / (seeds * examples)
        by_seeds = sqrt(max(self.of_seeds / seeds + residual, 0.0))
        by_examples = sqrt(max(self.of_examples / examples, 0.0))
        t_seeds, t_examples = _t(seeds, confidence), _t(examples, confidence)
        both = hypot(t_seeds * by_seeds, t_examples * by_examples)
        return max(both, t_examples * sqrt(max(self.of_examples / examples + residual, 0.0)))


@dataclass(frozen=True)
class Interval:
    """A mean and where the true one probably lies.

    Attributes:
        mean: what was measured.
        low: lower end, never below the lowest value there can be.
        high: upper end, never above the highest. With one seed or one example nothing is known of the error, and the
            interval is all that is possible.
        seeds: how many there were.
        examples: how many there were.
        se_seeds: standard error if the seeds alone were drawn again; None with one seed.
        se_examples: standard error if the examples alone were drawn again.
    """

    mean: float
    low: float
    high: float
    seeds: int
    examples: int
    se_seeds: float | None
    se_examples: float


def interval(gains: NDArray[Any], confidence: float = CONFIDENCE, bound: float = 1.0) -> Interval:
    """The mean of a table over seeds that could have been others and examples that could have been others.

    Args:
        gains: [seeds, examples], each within -bound to bound; row s has the same seed, column i the same example.
        confidence: of the two-sided interval, within 0 to 1.
        bound: the largest value there can be.

    Raises:
        ValueError: no [seeds, examples].
    """
    table = _table(gains)
    seeds, examples = table.shape
    mean = float(table.mean())
    se_seeds = float(table.mean(axis=1).std(ddof=1)) / sqrt(seeds) if seeds > 1 else None
    se_examples = sqrt(_variance(table.mean(axis=0)) / examples)
    found = components(table)
    half = found.half_width(seeds, examples, confidence) if found else inf
    return Interval(mean, max(-bound, mean - half), min(bound, mean + half), seeds, examples, se_seeds, se_examples)


def interval_of_examples(
    gains: NDArray[Any], confidence: float = CONFIDENCE, bound: float = 1.0, ends: tuple[float, float] = (1.0, -1.0)
) -> Interval:
    """The mean over examples [examples] where the models are these very ones and no others: a teacher, say.

    Args:
        gains: [examples].
        confidence: of the two-sided interval, within 0 to 1.
        bound: the largest value there can be.
        ends: of what an example can be: 1 and -1 of gains, 1 and 0 of shares that are right.
    """
    table = _table(np.asarray(gains)[None])
    examples = table.shape[1]
    mean, error = float(table.mean()), sqrt(_variance(table[0], ends) / examples)
    half = _t(examples, confidence) * error if examples > 1 else inf
    return Interval(mean, max(-bound, mean - half), min(bound, mean + half), 1, examples, None, error)


def components(gains: NDArray[Any]) -> Components | None:
    """Variance components of a table [seeds, examples]; None with one seed or one example, which show none."""
    table = _table(gains)
    seeds, examples = table.shape
    if seeds == 1 or examples == 1:
        return None
    residual = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0) + table.mean()
    of_residual = float((residual**2).sum()) / ((seeds - 1) * (examples - 1))
    of_seeds = float(table.mean(axis=1).var(ddof=1)) - of_residual / examples
    of_examples = _variance(table.mean(axis=0)) - of_residual / seeds
    return Components(of_seeds, of_examples, of_residual)


@dataclass(frozen=True)
class Needed:
    """How many seeds or examples would probably narrow an interval enough; None where no number of them alone would.

    Attributes:
        seeds: with the examples at hand.
        examples: with the seeds at hand.
        both: as many times more of both.
    """

    seeds: int | None
    examples: int | None
    both: float | None


def needed(found: Components, seeds: int, examples: int, half: float, confidence: float = CONFIDENCE) -> Needed:
    """What would make an interval's half width smaller than `half`, if the variances are those that were measured."""

    def enough(more_seeds: int, more_examples: int) -> bool:
        return found.half_width(more_seeds, more_examples, confidence) < half

    times = [1 + step / 10 for step in range(1, 1000)]
    return Needed(
        seeds=_first(lambda count: enough(count, examples), seeds, _MOST_SEEDS),
        examples=_first(lambda count: enough(seeds, count), examples, _MOST_EXAMPLES),
        both=next((more for more in times if enough(round(seeds * more), round(examples * more))), None),
    )


@dataclass(frozen=True)
class Ratio:
    """A ratio of two means, with the interval in which it probably lies; None at an end where nothing bounds it."""

    value: float
    low: float | None
    high: float | None


def ratio(numerator: NDArray[Any], denominator: NDArray[Any], confidence: float = CONFIDENCE) -> Ratio | None:
    """The ratio of the means of two tables [seeds, examples] over the same seeds and examples.

    A value r is in the interval if the interval of numerator - r * denominator holds zero (Fieller 1954, J. R. Stat.
    Soc. B 16:175), with both sources of error.

    Returns:
        None where the denominator's mean is zero or below, as then there is nothing to have a share of.
    """
    above, below = _table(numerator), _table(denominator)
    if not below.mean() > 0:
        return None
    value = float(above.mean() / below.mean())

    def out(share: float) -> bool:
        found = interval(above - share * below, confidence, inf)
        return found.low > 0 or found.high < 0

    return Ratio(value, _edge(out, value, -1.0), _edge(out, value, 1.0))


def _edge(out: Any, value: float, direction: float) -> float | None:  # noqa: ANN401 - a function of a number
    """Where, going from a value that is in, one first is out; None beyond `_FARTHEST`."""
    step = 1e-3
    while not out(value + direction * step):
        step *= 2
        if step > _FARTHEST:
            return None
    inside, outside = step / 2, step
    for _ in range(30):
        middle = (inside + outside) / 2
        inside, outside = (inside, middle) if out(value + direction * middle) else (middle, outside)
    return value + direction * inside


def _first(enough: Any, start: int, most: int) -> int | None:  # noqa: ANN401 - a function of a number
    """The smallest number above `start` that is enough, by doubling and halving; None if `most` is not."""
    if not enough(most):
        return None
    below, above = start, start + 1
    while not enough(above):
        below, above = above, min(2 * above, most)
    while above - below > 1:
        middle = (below + above) // 2
        below, above = (below, middle) if enough(middle) else (middle, above)
    return above


def _table(gains: NDArray[Any]) -> Gains:
    table = np.asarray(gains, dtype=np.float64)
    if table.ndim != 2 or table.size == 0:
        raise ValueError(f"a table must be a non-empty [seeds, examples], got {table.shape}")
    return table


def _variance(by_example: Gains, ends: tuple[float, float] = (1.0, -1.0)) -> float:
    """The variance of gains [examples], such that over the number of examples it is that of their mean.

    Two more examples, one at each end of what there can be, are counted in: of gains one won by each side (Agresti and
    Min 2005, Stat. Med. 24:729), of shares that are right one right and one wrong. Without them a few hundred examples
    on which the models never disagree pass for proof that they never will.
    """
    padded = np.append(by_example, ends)
    return float(padded.var(ddof=1)) * len(by_example) / padded.size


def half_width_of(error: float, count: int, confidence: float = CONFIDENCE) -> float:
    """Half an interval's width from a standard error of so many, at least 2."""
    return _t(count, confidence) * error


def _t(count: int, confidence: float) -> float:
    """The two-sided quantile of t with count - 1 degrees of freedom."""
    from scipy.special import stdtrit  # slow to load, so only where it is needed

    return float(stdtrit(count - 1, (1 + confidence) / 2))
