"""Models side by side on the same rows: what noise costs each, who loses less, what a student keeps of its teacher.

`clusters` says which rows are one example; without it, each is one.
"""

from math import hypot, inf, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.clusters import Clusters
from models.interval import Interval, Ratio, half_width_of, interval, interval_of_examples, ratio

Right = NDArray[Any]
"""Which rows models get right, [seeds, rows]; a teacher is one seed."""


def drop(clean: Right, noisy: Right, clusters: Clusters | None = None) -> Interval:
    """How much accuracy noise costs: of the same rows undisturbed less disturbed.

    Of a single model it is what this very model loses, and only the rows could have been others.
    """
    lost = _float(clean) - _float(noisy)
    return interval_of_examples(lost[0], clusters=clusters) if len(lost) == 1 else interval(lost, clusters=clusters)


def spared(
    clean: Right, noisy: Right, other_clean: Right, other_noisy: Right, clusters: Clusters | None = None
) -> Interval:
    """How much less noise costs the one than the other; seeds and rows are paired, and one seed tells nothing."""
    theirs, ours = _float(other_clean) - _float(other_noisy), _float(clean) - _float(noisy)
    return interval(theirs - ours, bound=2.0, clusters=clusters)


def beyond(student: Right, teacher: Right, clusters: Clusters | None = None) -> Interval:
    """How much more accurate students are than their teacher, which is one row [1, rows], whatever the seeds."""
    return interval(_float(student) - _float(teacher), clusters=clusters)


def elsewhere(
    here: Right, there: Right, here_clusters: Clusters | None = None, there_clusters: Clusters | None = None
) -> Interval:
    """How much accuracy is lost from one set of rows to another, [seeds, rows] and [seeds, other rows]."""
    by_seed = _float(here).mean(axis=1) - _float(there).mean(axis=1)
    rows = [
        interval_of_examples(_float(some).mean(axis=0), ends=(1.0, 0.0), clusters=clusters)
        for some, clusters in ((here, here_clusters), (there, there_clusters))
    ]
    seeds, fewest, mean = len(by_seed), min(one.examples for one in rows), float(by_seed.mean())
    by_rows = hypot(*(one.se_examples for one in rows))
    of_seeds = float(by_seed.std(ddof=1)) / sqrt(seeds) if seeds > 1 else None
    half = inf
    if fewest > 1:
        count = min([fewest, *(one.even for one in (here_clusters, there_clusters) if one)])
        half = hypot(half_width_of(of_seeds, seeds) if of_seeds else 0.0, half_width_of(by_rows, count))
    return Interval(mean, max(-1.0, mean - half), min(1.0, mean + half), seeds, fewest, of_seeds, by_rows)


def retention(student: Right, teacher: Right, clusters: Clusters | None = None) -> Ratio | None:
    """The student's accuracy as a share of the teacher's; the teacher is one row [1, rows], whatever the seeds."""
    return ratio(_float(student), _float(np.broadcast_to(teacher, student.shape)), clusters=clusters)


def gap_closed(student: Right, twin: Right, teacher: Right, clusters: Clusters | None = None) -> Ratio | None:
    """The share of the way from the twin to the teacher that the student has gone; None where there is no way to go."""
    ours, theirs = _float(student), _float(twin)
    return ratio(ours - theirs, _float(np.broadcast_to(teacher, student.shape)) - theirs, clusters=clusters)


def _float(right: Right) -> NDArray[np.float64]:
    return np.asarray(right, dtype=np.float64)
