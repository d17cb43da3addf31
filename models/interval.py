"""How sure a mean over seeds and examples is: intervals, ratios, and what more of either would buy."""

from dataclasses import dataclass
from math import hypot, inf, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.clusters import Clusters, Gains

CONFIDENCE = 0.95
"""How often an interval holds the true value, unless somebody says otherwise."""

_MOST_SEEDS, _MOST_EXAMPLES = 1000, 10_000_000
_FARTHEST = 1000.0
_FEWEST = 0.02


@dataclass(frozen=True)
class Components:
    """Where the error of a mean over seeds and examples comes from: variances of a two-way table without replication.

    They are estimates, so the first two can come out below zero; only their sums with the residual are cut off there.

    Attributes:
        of_seeds: of a seed's own effect.
        of_examples: of an example's own effect.
        of_residual: of what is left in a single (seed, example).
        even: share of the examples that would tell as much if all had as many rows; 1 where they do.
    """

    of_seeds: float
    of_examples: float
    of_residual: float
    even: float = 1.0

    def half_width(self, seeds: int, examples: int, confidence: float = CONFIDENCE) -> float:
        """Half an interval's width, had there been so many seeds and examples; both at least 2.

        The seeds' means give one variance of the mean with seeds - 1 degrees of freedom, the examples' means another
        with examples - 1; both hold the residual, which is taken off the second so that it counts once. They are added
        as (t1 se1)^2 + (t2 se2)^2, each with its own t (Banerjee 1960, Sankhya 22:357): for normal errors this covers
        at least as often as it says. In simulation it did, where Satterthwaite's single t fell to 87 % with two seeds,
        and t with seeds - 1 on the total was two to three times as wide at its worst. It is never narrower than the
        examples alone would leave it. It takes seeds to err evenly up and down: where one run in ten collapses by six
        points, ten seeds cover 90 % instead of 95, and five see no such run more often than not (0.9 to the fifth is
        0.59); nothing can be said then of what was not seen. Examples of unequal size have as many degrees of freedom
        as that many equal ones less 1 (`even`): a few large ones tell little of others.
        """
        residual = self.of_residual / (seeds * examples)
        by_seeds = sqrt(max(self.of_seeds / seeds + residual, 0.0))
        by_examples = sqrt(max(self.of_examples / examples, 0.0))
        t_seeds, t_examples = _t(seeds, confidence), _t(examples * self.even, confidence)
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
        examples: how many there were, each of one row or of a cluster of them.
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


def interval(
    gains: NDArray[Any], confidence: float = CONFIDENCE, bound: float = 1.0, clusters: Clusters | None = None
) -> Interval:
    """The mean of a table over seeds that could have been others and examples that could have been others.

    Args:
        gains: [seeds, rows], each within -bound to bound; row s has the same seed, column i the same text.
        confidence: of the two-sided interval, within 0 to 1.
        bound: the largest value there can be.
        clusters: which columns are one example; without it, each is one.

    Raises:
        ValueError: no [seeds, rows].
    """
    table = _table(gains)
    sample = _sample(table, clusters)
    seeds, examples = sample.table.shape
    mean = float(table.mean())
    se_seeds = float(table.mean(axis=1).std(ddof=1)) / sqrt(seeds) if seeds > 1 else None
    se_examples = sqrt(sample.variance() / examples)
    found = _components(sample)
    half = found.half_width(seeds, examples, confidence) if found else inf
    return Interval(mean, max(-bound, mean - half), min(bound, mean + half), seeds, examples, se_seeds, se_examples)


def interval_of_examples(
    gains: NDArray[Any],
    confidence: float = CONFIDENCE,
    bound: float = 1.0,
    ends: tuple[float, float] = (1.0, -1.0),
    clusters: Clusters | None = None,
) -> Interval:
    """The mean over examples where the models are these very ones and no others: a teacher, say.

    Args:
        gains: [rows].
        confidence: of the two-sided interval, within 0 to 1.
        bound: the largest value there can be.
        ends: of what a row can be: 1 and -1 of gains, 1 and 0 of shares that are right.
        clusters: which rows are one example; without it, each is one.
    """
    table = _table(np.asarray(gains)[None])
    sample = _sample(table, clusters)
    examples = sample.table.shape[1]
    mean, error = float(table.mean()), sqrt(sample.variance(ends) / examples)
    half = _t(examples * sample.even, confidence) * error if examples > 1 else inf
    return Interval(mean, max(-bound, mean - half), min(bound, mean + half), 1, examples, None, error)


def components(gains: NDArray[Any], clusters: Clusters | None = None) -> Components | None:
    """Variance components of a table [seeds, rows]; None with one seed or one example, which show none."""
    return _components(_sample(_table(gains), clusters))


@dataclass(frozen=True)
class _Sample:
    """A table [seeds, examples] of as many rows as `worth` says; `even` as in `Components`."""

    table: Gains
    worth: float
    even: float

    def variance(self, ends: tuple[float, float] = (1.0, -1.0)) -> float:
        """The variance of the examples' means over seeds, such that over their number it is that of the mean.

        Two more rows, one at each end of what there can be, are counted in: of gains one won by each side (Agresti and
        Min 2005, Stat. Med. 24:729), of shares that are right one right and one wrong. Without them a few hundred rows
        on which the models never disagree pass for proof that they never will. Where examples are clusters of rows,
        the two are added to as many rows as the clusters are worth (as in Franco et al. 2019, J. Surv. Stat. Methodol.
        7:334): two more clusters would be too much of rows that differ within them, and two more of all rows too little
        of rows that do not.
        """
        by_example, worth = self.table.mean(axis=0), self.worth
        count = len(by_example)
        if worth == count:
            padded = np.append(by_example, ends)
            return float(padded.var(ddof=1)) * count / padded.size
        mean = float(by_example.mean())
        squares = float(by_example.var(ddof=1)) / count * worth * (worth - 1)
        moved = worth * mean**2 - (worth * mean + sum(ends)) ** 2 / (worth + 2)
        return (squares + sum(end**2 for end in ends) + moved) / (worth + 1) * count / (worth + 2)


def _sample(table: Gains, clusters: Clusters | None) -> _Sample:
    if clusters is None or clusters.single:
        return _Sample(table, table.shape[1], 1.0)
    found = clusters.summed(table)
    examples = found.shape[1]
    worth = clusters.worth(table.mean(axis=0), found.mean(axis=0)) if examples > 1 else 1.0
    return _Sample(found, worth, clusters.even / examples)


def _components(sample: _Sample) -> Components | None:
    table = sample.table
    seeds, examples = table.shape
    if seeds == 1 or examples == 1:
        return None
    residual = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0) + table.mean()
    of_residual = float((residual**2).sum()) / ((seeds - 1) * (examples - 1))
    of_seeds = float(table.mean(axis=1).var(ddof=1)) - of_residual / examples
    of_examples = sample.variance() - of_residual / seeds
    return Components(of_seeds, of_examples, of_residual, sample.even)


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


def ratio(
    numerator: NDArray[Any],
    denominator: NDArray[Any],
    confidence: float = CONFIDENCE,
    clusters: Clusters | None = None,
) -> Ratio | None:
    """The ratio of the means of two tables [seeds, rows] over the same seeds and rows, those of `clusters` an example.

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
        found = interval(above - share * below, confidence, inf, clusters)
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


def half_width_of(error: float, count: float, confidence: float = CONFIDENCE) -> float:
    """Half an interval's width from a standard error of so many, at least 2."""
    return _t(count, confidence) * error


def _t(count: float, confidence: float) -> float:
    """The two-sided quantile of t with count - 1 degrees of freedom, but no fewer than make a number of it."""
    from scipy.special import stdtrit  # slow to load, so only where it is needed

    return float(stdtrit(max(count - 1, _FEWEST), (1 + confidence) / 2))
