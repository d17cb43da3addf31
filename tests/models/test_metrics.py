"""Quality: worked by hand, against scikit-learn, and where classes are missing."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from models.metrics import quality

CLASSES = ("earn", "grain", "crude")


def found(gold, predicted):
    scores = quality(np.array(gold), np.array(predicted), CLASSES)
    assert scores["rows"] == len(gold)
    assert [one["name"] for one in scores["classes"]] == list(CLASSES)
    f1 = [one["f1"] for one in scores["classes"]]
    assert [one["rows"] for one in scores["classes"]] == [gold.count(number) for number in range(3)]
    return scores["accuracy"], scores["macro_f1"], f1


@pytest.mark.parametrize(
    ("gold", "predicted", "accuracy", "f1"),
    [
        # earn: 2 of 3 found, 2 of 2 right; grain: 1 of 1 found, 1 of 3 right; crude: 1 of 2 found, 1 of 1 right
        ([0, 0, 0, 1, 2, 2], [0, 0, 1, 1, 1, 2], 4 / 6, [4 / 5, 2 / 4, 2 / 3]),
        ([0, 0, 1, 2], [0, 0, 0, 0], 2 / 4, [4 / 6, 0, 0]),  # one class predicted only
        ([0, 0, 1, 1], [0, 0, 1, 1], 1, [1, 1, 0]),  # a class that is neither there nor predicted
        ([0, 0, 1, 1], [0, 2, 1, 1], 3 / 4, [2 / 3, 1, 0]),  # predicted, but not there
        ([0], [1], 0, [0, 0, 0]),
    ],
)
def test_worked_by_hand(gold, predicted, accuracy, f1):
    assert found(gold, predicted) == (pytest.approx(accuracy), pytest.approx(sum(f1) / 3), pytest.approx(f1))


def test_equals_scikit_learn():
    rng = np.random.default_rng(0)
    gold, predicted = rng.integers(3, size=(2, 200)).tolist()
    f1 = f1_score(gold, predicted, average=None)
    wanted = accuracy_score(gold, predicted), f1_score(gold, predicted, average="macro"), list(f1)
    assert found(gold, predicted) == tuple(map(pytest.approx, wanted))
