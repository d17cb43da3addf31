"""Which gold labels a classifier contradicts with confidence: confident learning (Northcutt, Jiang and Chuang 2021)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Doubt:
    """A gold label that is probably wrong.

    Attributes:
        row: which.
        suggested: class that the classifier is sure of instead.
        probability: that it gives that class.
        gold_probability: that it gives the gold label.
    """

    row: int
    suggested: int
    probability: float
    gold_probability: float


def doubts(probabilities: NDArray[np.floating], gold: NDArray[np.integer]) -> list[Doubt]:
    """The rows whose label is contradicted, the surest first.

    A class is one that the classifier is sure of where it gives it at least as much as it gives it on average where
    that is the label: so a class of which it is never sure is not held against anybody. Of several such classes the
    likeliest counts; where it is another than the label, the label is in doubt.

    Args:
        probabilities: of the classes by somebody who did not learn these labels, calibrated, [rows, classes].
        gold: class of each row, [rows].
    """
    rows, classes = probabilities.shape
    sure = np.array(
        [
            probabilities[gold == number, number].mean() if (gold == number).any() else np.inf
            for number in range(classes)
        ]
    )
    likeliest = np.where(probabilities >= sure, probabilities, -1.0)
    suggested = likeliest.argmax(1)
    own = probabilities[np.arange(rows), gold]
    found = np.flatnonzero((likeliest.max(1) >= 0) & (suggested != gold))
    certain = probabilities[found, suggested[found]] - own[found]
    order = found[np.argsort(-certain, kind="stable")]
    return [
        Doubt(int(row), int(suggested[row]), float(probabilities[row, suggested[row]]), float(own[row]))
        for row in order
    ]
