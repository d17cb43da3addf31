"""Quality of a classifier's predictions."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def quality(gold: NDArray[np.integer], predicted: NDArray[np.integer], classes: Sequence[str]) -> dict[str, object]:
    """Accuracy, macro-F1 and the F1 and support of each class, as fractions.

    Macro-F1 is the unweighted mean over all of `classes`; a class that is neither there nor predicted counts as 0.

    Args:
        gold: class of each row, [rows].
        predicted: class said for each row, [rows].
        classes: their names.
    """
    from sklearn.metrics import precision_recall_fscore_support

    _, _, f1, support = precision_recall_fscore_support(
        gold, predicted, labels=range(len(classes)), average=None, zero_division=0.0
    )
    return {
        "rows": len(gold),
        "accuracy": float((gold == predicted).mean()),
        "macro_f1": float(f1.mean()),
        "classes": [
            {"name": name, "f1": float(score), "rows": int(rows)}
            for name, score, rows in zip(classes, f1, support, strict=True)
        ],
    }
