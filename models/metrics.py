"""Quality of a classifier's probabilities: how often it is right, how sure it is then, and whether it is its teacher's.

All are fractions. Where no row has a gold label, what needs one is None, never a number that looks like a result.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.calibration import Doubles, Floats, expected_calibration_error, fit_temperature, log_softmax, reliability

NO_LABEL = -100
COVERAGES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)

Labels = NDArray[np.integer]


@dataclass(frozen=True)
class Said:
    """What a classifier says of some rows that it did not learn from.

    Attributes:
        logits: [rows, classes].
        gold: class of each row, `NO_LABEL` where there is none, [rows].
    """

    logits: Floats
    gold: Labels

    @property
    def labelled(self) -> "Said":
        """The rows that have a gold label."""
        known = self.gold != NO_LABEL
        return self if known.all() else Said(self.logits[known], self.gold[known])


def quality(test: Said, dev: Said, classes: Sequence[str], teacher_logits: Floats | None) -> dict[str, Any]:
    """All that is measured of a classifier that is finished; only the temperature and thresholds come from dev.

    Args:
        test: what it says of the rows that are only reported on.
        dev: what it says of the rows for every choice.
        classes: their names, in the order of the logits.
        teacher_logits: what its teacher says of the test rows, [rows, classes]; None of a model without one.

    Returns:
        `rows`, `labelled`, what `right` returns, `calibration` (see `sure`), `calibrated` (the same at the temperature
        that fits dev), `selective` and `loyalty`.
    """
    known, choose = test.labelled, dev.labelled
    temperature = fit_temperature(choose.logits, choose.gold) if len(choose.gold) else 1.0
    return {
        "rows": len(test.gold),
        "labelled": len(known.gold),
        **right(known, classes),
        "calibration": sure(known, 1.0),
        "calibrated": sure(known, temperature),
        "selective": selective(known, choose, temperature),
        "loyalty": None if teacher_logits is None else loyalty(test.logits, teacher_logits),
    }


def right(test: Said, classes: Sequence[str]) -> dict[str, Any]:
    """How often the class with the largest logit is the gold one.

    Returns:
        `accuracy`, `macro_f1`, `mcc` (Matthews' correlation coefficient, 0 where it is not defined: everything is of
        one class, or is said to be), and for each of `classes` its `precision`, `recall`, `f1` and `rows`. Macro-F1 is
        the unweighted mean over all classes; a class that is neither there nor predicted counts as 0.
    """
    from sklearn.metrics import matthews_corrcoef

    gold, predicted = test.gold, test.logits.argmax(-1)
    parts = _by_class(gold, predicted, len(classes)) if len(gold) else [[0.0] * len(classes)] * 4
    named = [
        {"name": name, "precision": float(p), "recall": float(r), "f1": float(f), "rows": int(rows)}
        for name, p, r, f, rows in zip(classes, *parts, strict=True)
    ]
    if not len(gold):
        return {"accuracy": None, "macro_f1": None, "mcc": None, "classes": named}
    several = len(np.union1d(gold, predicted)) > 1  # scikit-learn says 0 too, with a warning
    return {
        "accuracy": float((gold == predicted).mean()),
        "macro_f1": float(np.mean([one["f1"] for one in named])),
        "mcc": float(matthews_corrcoef(gold, predicted)) if several else 0.0,
        "classes": named,
    }


def macro_f1(gold: Labels, predicted: Labels, classes: int) -> float:
    """The unweighted mean of F1 over classes numbered from 0, as `right` has it.

    Args:
        gold: class of each row, [rows], at least one.
        predicted: the class that is named, [rows]; a number that is no class is wrong of any.
        classes: how many there are.
    """
    return float(np.mean(_by_class(gold, predicted, classes)[2]))


def _by_class(gold: Labels, predicted: Labels, classes: int) -> Sequence[Sequence[float]]:
    """Precision, recall, F1 and rows, a number a class."""
    from sklearn.metrics import precision_recall_fscore_support

    parts: Sequence[Sequence[float]] = precision_recall_fscore_support(
        gold, predicted, labels=range(classes), zero_division=0.0
    )
    return parts


def sure(test: Said, temperature: float) -> dict[str, Any]:
    """Whether the probabilities softmax(logits / temperature) are worth their names.

    Returns:
        `log_loss` (natural logarithm), `brier` (sum of squares over the classes, 0 to 2; Brier 1950), `ece` and the
        `bins` it is made of (see `models.calibration`).
    """
    said = log_softmax(test.logits / temperature)
    probabilities = np.exp(said)
    if not len(said):
        return {"temperature": temperature, "log_loss": None, "brier": None, "ece": None, "bins": []}
    rows = np.arange(len(said))
    wanted = np.zeros_like(probabilities)
    wanted[rows, test.gold] = 1.0
    bins = reliability(probabilities.max(-1), said.argmax(-1) == test.gold)
    return {
        "temperature": temperature,
        "log_loss": float(-said[rows, test.gold].mean()),
        "brier": float(((probabilities - wanted) ** 2).sum(-1).mean()),
        "ece": expected_calibration_error(bins),
        "bins": [asdict(one) for one in bins],
    }


def selective(test: Said, dev: Said, temperature: float) -> list[dict[str, Any]]:
    """How often it is right where it may decline: the least sure rows are left to somebody else.

    For each of `COVERAGES` the threshold is the confidence that so large a share of dev reaches, and the rest is what
    comes of it on test: `coverage` that was asked for, `threshold`, `covered` share of test, `accuracy` on that (None
    where none of it is covered).
    """
    confidence = _confidence(test, temperature)
    on_dev = np.sort(_confidence(dev, temperature))[::-1]
    is_right = test.logits.argmax(-1) == test.gold
    found = []
    for coverage in COVERAGES:
        last = int(np.ceil(coverage * len(on_dev))) - 1
        threshold = float(on_dev[last]) if 0 <= last < len(on_dev) - 1 else 0.0
        kept = confidence >= threshold
        covered, accuracy = (float(kept.mean()), float(is_right[kept].mean())) if kept.any() else (0.0, None)
        found.append({"coverage": coverage, "threshold": threshold, "covered": covered, "accuracy": accuracy})
    return found


def loyalty(logits: Floats, teacher_logits: Floats) -> dict[str, float]:
    """How much a student is its teacher's, whether that is right or not (Xu et al. 2021, "Beyond Preserved Accuracy").

    Args:
        logits: the student's, [rows, classes], at least one row.
        teacher_logits: the teacher's of the same rows.

    Returns:
        `label`: the share of rows for which both name the same class; `probability`: the mean of 1 - sqrt(JS), with
        the Jensen-Shannon divergence to base 2, so that it is 0 for certainties of different classes.
    """
    from scipy.spatial.distance import jensenshannon

    # Two equal distributions can be a rounding below zero apart, whose root is not a number.
    ours, theirs = np.exp(log_softmax(logits)), np.exp(log_softmax(teacher_logits))
    apart = np.nan_to_num(jensenshannon(ours, theirs, base=2, axis=-1), nan=0.0)
    same = logits.argmax(-1) == teacher_logits.argmax(-1)
    return {"label": float(same.mean()), "probability": float(1.0 - apart.mean())}


def _confidence(said: Said, temperature: float) -> Doubles:
    confidence: Doubles = np.exp(log_softmax(said.logits / temperature).max(-1)) if len(said.logits) else np.empty(0)
    return confidence
