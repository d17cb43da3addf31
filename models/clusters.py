"""Rows that are no examples of their own: identical texts, or texts of one document, author or template.

What is measured stays the share of rows: it is what a scorecard prints and what others publish. But rows of a cluster
are right or wrong together, so that only clusters tell of others like them. The share of rows is then a ratio of two
sums over clusters, whose error is that of the clusters' departures from it, linearised (Cochran 1977, Sampling
Techniques, section 9; the same as clustered standard errors: Cameron and Miller 2015, J. Human Resources 50:317;
Miller 2024, "Adding Error Bars to Evals"). A mean over clusters would need no linearising, but would be another number
than the accuracies beside it, and would give a text that comes once the weight of one that comes a hundred times.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Gains = NDArray[np.float64]


@dataclass(frozen=True)
class Clusters:
    """Which rows belong together.

    Attributes:
        numbers: of each row's cluster, [rows], from 0 on without a gap.
    """

    numbers: NDArray[np.intp]

    @cached_property
    def sizes(self) -> NDArray[np.intp]:
        """Rows of each cluster, [clusters]."""
        return np.bincount(self.numbers)

    @property
    def single(self) -> bool:
        """Whether each row is a cluster of its own."""
        return len(self.sizes) == len(self.numbers)

    @property
    def even(self) -> float:
        """How many clusters of equal size would tell as much, where all of a cluster's rows are alike (Kish 1965).

        It lies between 1 and the number of clusters.
        """
        return float(len(self.numbers) ** 2 / (self.sizes.astype(np.float64) ** 2).sum())

    def among(self, rows: NDArray[Any]) -> "Clusters":
        """The same of some rows, by number or by mask."""
        return Clusters(np.unique(self.numbers[rows], return_inverse=True)[1])

    def summed(self, table: Gains) -> Gains:
        """A table [seeds, rows] as one of clusters [seeds, clusters] that has its means, and their errors.

        A cluster's value is the mean over all rows, and what the cluster's sum departs from its share of that, on the
        scale of clusters of average size. Where each row is a cluster of its own it is the row's value.
        """
        clusters, rows = len(self.sizes), len(self.numbers)
        sums = np.stack([np.bincount(self.numbers, row, clusters) for row in table])
        mean = table.mean(axis=1, keepdims=True)
        found: Gains = mean + (sums - mean * self.sizes) * (clusters / rows)
        return found

    def worth(self, by_row: Gains, by_cluster: Gains) -> float:
        """How many rows, each by itself, would tell as much as the clusters do: rows over the design effect.

        That is `even` where rows of a cluster are all alike, or differ nowhere, and never below it; and at most the
        number of rows, where they have nothing in common.

        Args:
            by_row: [rows].
            by_cluster: the same summed, [clusters], at least two.
        """
        apart, together = by_row.var(ddof=1) / len(by_row), by_cluster.var(ddof=1) / len(by_cluster)
        if apart == 0:
            return self.even
        effect = together / apart
        return float(min(max(len(by_row) / effect, self.even), len(by_row))) if effect > 0 else float(len(by_row))


def clusters_of(*kinds: NDArray[Any]) -> Clusters:
    """Rows that have a value in common, of whichever kind [rows], are in a cluster, and so are the rows of those."""
    found = [np.unique(values, return_inverse=True)[1] for values in kinds]
    if len(found) == 1:
        return Clusters(found[0])
    from scipy.sparse import coo_array  # slow to load, and seldom needed
    from scipy.sparse.csgraph import connected_components

    rows = np.arange(len(found[0]))
    starts = len(rows) + np.cumsum([0, *(int(values.max(initial=-1)) + 1 for values in found)])
    ends = np.concatenate([values + start for values, start in zip(found, starts[:-1], strict=True)])
    pairs = np.concatenate([rows] * len(found)), ends
    links = coo_array((np.ones(len(ends), np.int8), pairs), shape=(starts[-1], starts[-1]))
    numbers = connected_components(links, directed=False)[1][: len(rows)]
    return Clusters(np.unique(numbers, return_inverse=True)[1])
