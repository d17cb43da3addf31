"""Calibration: whether a classifier is right as often as it says, and the temperature that brings it nearer to that."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Doubles = NDArray[np.float64]

BINS = 15


def fit_temperature(logits: Floats, labels: NDArray[np.integer]) -> float:
    """The temperature that makes a classifier's probabilities fit best, by log loss (Guo et al. 2017).

    Args:
        logits: of rows that the classifier was not trained on, [rows, classes].
        labels: their gold classes, [rows].

    Returns:
        T between 0.05 and 20, for softmax(logits / T); above 1 for a classifier that is too sure of itself.
    """
    from scipy.optimize import minimize_scalar

    rows = np.arange(len(labels))

    def log_loss(log_temperature: float) -> float:
        return float(-log_softmax(logits / np.exp(log_temperature))[rows, labels].mean())

    found = minimize_scalar(log_loss, bounds=(np.log(0.05), np.log(20.0)), method="bounded")
    return float(np.exp(found.x))


def log_softmax(logits: Floats) -> Doubles:
    """Log-probabilities [rows, classes] of logits [rows, classes], in double precision."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    log_probabilities: Doubles = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return log_probabilities


@dataclass(frozen=True)
class Bin:
    """Rows whose confidence lies in one part of 0 to 1.

    Attributes:
        low: confidence above which the part begins; the first holds 0 too.
        high: confidence at which it ends, which it holds.
        rows: how many there are.
        confidence: their mean probability of the class that is named; None without a row.
        accuracy: the share of them that is right; None without a row.
    """

    low: float
    high: float
    rows: int
    confidence: float | None
    accuracy: float | None


def reliability(confidence: Floats, right: NDArray[np.bool_], bins: int = BINS) -> list[Bin]:
    """Confidence and accuracy by confidence, in parts of equal width.

    Args:
        confidence: probability of the class that is named, [rows].
        right: whether it is the gold class, [rows].
        bins: how many parts.
    """
    edges = np.linspace(0.0, 1.0, bins + 1)
    place = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    found = []
    for number in range(bins):
        inside = place == number
        rows = int(inside.sum())
        means = (float(confidence[inside].mean()), float(right[inside].mean())) if rows else (None, None)
        found.append(Bin(float(edges[number]), float(edges[number + 1]), rows, *means))
    return found


def expected_calibration_error(found: list[Bin]) -> float:
    """The mean distance of confidence and accuracy over the bins, by their rows (Guo et al. 2017); 0 without a row."""
    rows = sum(one.rows for one in found)
    apart = sum(one.rows * abs((one.confidence or 0.0) - (one.accuracy or 0.0)) for one in found)
    return apart / rows if rows else 0.0
