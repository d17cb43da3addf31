"""Several teachers become one: weighted means of what they say, each at its own temperature.

Everything here works on some rows at a time and one teacher at a time, so that neither models nor labels of two
teachers have to be in memory together.
"""

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from models.calibration import Doubles, Floats, log_softmax

NO_LABEL = -100


class Fusion(StrEnum):
    """How teachers are weighed against each other."""

    PROBABILITIES = "probabilities"
    """The mean of their probabilities: an even vote."""
    LOGITS = "logits"
    """The mean of their logits: the geometric mean of probabilities, where one teacher's certainty weighs more."""
    DEV_SCORE = "dev-score"
    """The mean of probabilities, each teacher weighed by its accuracy on dev."""
    CONFIDENCE = "confidence"
    """The mean of probabilities, weighed text by text by the probability of the class that a teacher names."""
    GOLD = "gold"
    """The mean of probabilities, weighed by 1 / (1 + cross-entropy) with the gold label; evenly where there is none."""


class Fuser:
    """Adds up what teachers say of the same rows."""

    def __init__(self, how: Fusion, total: Doubles, weight: Doubles) -> None:
        """Takes two arrays to work in, whatever they hold: [rows, classes] and [rows]; they may be memory-mapped."""
        self._how = how
        self._total, self._weight = total, weight
        total[:] = 0.0 if how is Fusion.LOGITS else -np.inf
        weight[:] = 0.0

    def add(
        self,
        rows: NDArray[np.intp],
        logits: Floats,
        temperature: float,
        dev_accuracy: float,
        gold: NDArray[np.integer],
    ) -> None:
        """Adds what one teacher says of some rows.

        Args:
            rows: distinct numbers, [some].
            logits: its logits, with its classes in the common order, [some, classes].
            temperature: that calibrates it.
            dev_accuracy: share of dev that it gets right.
            gold: gold classes, `NO_LABEL` where there is none, [some].
        """
        if self._how is Fusion.LOGITS:
            self._total[rows] += logits.astype(np.float64) / temperature
            self._weight[rows] += 1.0
            return
        said = log_softmax(logits.astype(np.float64) / temperature)
        weights = self._weights(said, dev_accuracy, gold)
        with np.errstate(divide="ignore"):  # a weight of 0 has the logarithm it should have
            self._total[rows] = np.logaddexp(self._total[rows], said + np.log(weights)[:, None])
        self._weight[rows] += weights

    def _weights(self, said: Doubles, dev_accuracy: float, gold: NDArray[np.integer]) -> Doubles:
        if self._how is Fusion.DEV_SCORE:
            return np.full(len(said), dev_accuracy)
        if self._how is Fusion.CONFIDENCE:
            confidence: Doubles = np.exp(said.max(axis=-1))
            return confidence
        if self._how is Fusion.GOLD:
            known = gold != NO_LABEL
            right = said[np.arange(len(said)), np.where(known, gold, 0)]
            return np.where(known, 1.0 / (1.0 - right), 1.0)
        return np.ones(len(said))

    def logits(self, rows: slice) -> NDArray[np.float32]:
        """The mean so far, as logits [some, classes]: log-probabilities, except of `Fusion.LOGITS`.

        NaN where no teacher has said anything.
        """
        weight = np.where(self._weight[rows] == 0, np.nan, self._weight[rows])[:, None]
        mean = self._total[rows] / weight if self._how is Fusion.LOGITS else self._total[rows] - np.log(weight)
        return mean.astype(np.float32)
