"""Metrics: worked by hand, against scikit-learn to 1e-9, and a clear answer where there is little to measure."""

import json

import numpy as np
import pytest
from sklearn import metrics as sk

from models.calibration import log_softmax
from models.metrics import NO_LABEL, Said, loyalty, macro_f1, right, selective, sure

CLASSES = ("earn", "grain", "crude")
EXACT = {"abs": 1e-9, "rel": 0}


def said(gold, predicted):
    return Said(np.eye(3)[predicted].reshape(-1, 3) * 5, np.array(gold, int))


def drawn(rows=300, seed=0):
    rng = np.random.default_rng(seed)
    gold = rng.integers(3, size=rows)
    return Said(rng.normal(size=(rows, 3)) * 2 + 1.5 * np.eye(3)[gold], gold)


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
def test_accuracy_and_f1_by_hand(gold, predicted, accuracy, f1):
    scores = right(said(gold, predicted), CLASSES)
    assert scores["accuracy"] == pytest.approx(accuracy)
    assert scores["macro_f1"] == pytest.approx(sum(f1) / 3)
    assert [one["f1"] for one in scores["classes"]] == pytest.approx(f1)
    assert [one["rows"] for one in scores["classes"]] == [gold.count(number) for number in range(3)]
    assert [one["name"] for one in scores["classes"]] == list(CLASSES)


def test_they_equal_scikit_learn():
    test, temperature = drawn(), 1.7
    predicted, probabilities = test.logits.argmax(1), np.exp(log_softmax(test.logits / temperature))
    scores, worth = right(test, CLASSES), sure(test, temperature)
    assert scores["accuracy"] == pytest.approx(sk.accuracy_score(test.gold, predicted), **EXACT)
    assert scores["macro_f1"] == pytest.approx(sk.f1_score(test.gold, predicted, average="macro"), **EXACT)
    assert scores["mcc"] == pytest.approx(sk.matthews_corrcoef(test.gold, predicted), **EXACT)
    for name, function in (("precision", sk.precision_score), ("recall", sk.recall_score), ("f1", sk.f1_score)):
        found = [one[name] for one in scores["classes"]]
        assert found == pytest.approx(function(test.gold, predicted, average=None).tolist(), **EXACT)
    assert worth["log_loss"] == pytest.approx(sk.log_loss(test.gold, probabilities), **EXACT)
    brier = sk.brier_score_loss(test.gold, probabilities, labels=[0, 1, 2], scale_by_half=False)
    assert worth["brier"] == pytest.approx(brier, **EXACT)


def test_what_is_no_class_is_wrong_of_any():
    gold, predicted = np.array([0, 0, 1, 2]), np.array([0, -1, 1, 1])
    assert macro_f1(gold, predicted, 3) == pytest.approx((2 / 3 + 2 / 3 + 0) / 3, **EXACT)
    test = drawn()
    assert macro_f1(test.gold, test.logits.argmax(-1), 3) == right(test, CLASSES)["macro_f1"]


def test_probabilities_by_hand():
    """Says 0.8 and 0.6 of the classes 0 and 1, of which the first is right."""
    test = Said(np.log([[0.8, 0.2], [0.4, 0.6]]), np.array([0, 0]))
    found = sure(test, 1.0)
    assert found["log_loss"] == pytest.approx(-(np.log(0.8) + np.log(0.4)) / 2)
    assert found["brier"] == pytest.approx((2 * 0.2**2 + 2 * 0.6**2) / 2)
    assert found["ece"] == pytest.approx((0.2 + 0.6) / 2)


@pytest.mark.parametrize(
    ("ours", "label", "probability"),
    [
        ([[0.8, 0.2]], 1, 1),
        ([[1e-30, 1]], 0, 1 - np.sqrt((0.2 * np.log2(0.2 / 0.6) + 0.8 * 1 + np.log2(1 / 0.6)) / 2)),
    ],
)
def test_loyalty_by_hand(ours, label, probability):
    """JS of (0.8, 0.2) and (0, 1): the mean is (0.4, 0.6); (0.8 log2 2 + 0.2 log2 1/3 + log2 5/3) / 2."""
    found = loyalty(np.log(ours), np.log([[0.8, 0.2]]))
    assert found["label"] == label
    assert found["probability"] == pytest.approx(probability, abs=1e-9)


def test_certain_opposites_have_no_loyalty_and_it_goes_both_ways():
    opposite = np.array([[200.0, 0.0]])
    assert loyalty(opposite, -opposite) == {"label": 0.0, "probability": pytest.approx(0)}
    one, other = drawn(seed=1).logits, drawn(seed=2).logits
    assert loyalty(one, other) == pytest.approx(loyalty(other, one))


def test_declining_what_it_is_unsure_of():
    """On dev half of the rows are surer than 0.7; on test those are all right, and the others all wrong."""
    logits = np.log([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4], [0.55, 0.45]])
    dev, test = Said(logits, np.array([0, 0, 0, 0])), Said(logits, np.array([0, 0, 1, 1]))
    found = {one["coverage"]: one for one in selective(test, dev, 1.0)}
    assert (found[1.0]["covered"], found[1.0]["accuracy"]) == (1.0, 0.5)
    assert found[0.5]["threshold"] == pytest.approx(0.8)
    assert (found[0.5]["covered"], found[0.5]["accuracy"]) == (0.5, 1.0)


def test_the_threshold_is_devs_whatever_test_says():
    dev, test = drawn(seed=3), drawn(seed=4)
    thresholds = [one["threshold"] for one in selective(test, dev, 1.0)]
    assert thresholds == [one["threshold"] for one in selective(Said(test.logits * 9, test.gold), dev, 1.0)]


def test_a_model_that_is_always_as_sure_declines_all_or_nothing():
    test = said([0, 1, 2], [0, 0, 0])
    assert [one["covered"] for one in selective(test, test, 1.0)] == [1.0] * 6
    unsure = selective(Said(test.logits * 0.1, test.gold), test, 1.0)
    assert [(one["covered"], one["accuracy"]) for one in (unsure[0], unsure[-1])] == [(1.0, 1 / 3), (0.0, None)]


@pytest.mark.parametrize(
    "test",
    [
        said([0, 0, 0], [0, 0, 0]),  # one class, always said
        said([1, 1, 1], [0, 0, 0]),  # one class, never said
        said([0, 1, 2], [0, 0, 0]),  # says one class
        said([2], [2]),
        Said(np.array([[1000.0, -1000.0, 0.0]]), np.array([1])),  # certain, and wrong
        Said(np.zeros((3, 3)), np.array([0, 1, 2])),  # knows nothing
        said([], []),
    ],
    ids=["one class", "never said", "says one", "one row", "certain", "knows nothing", "no gold"],
)
def test_little_to_measure_gives_numbers_or_none(test):
    found = {**right(test, CLASSES), **sure(test, 1.0), "selective": selective(test, test, 1.0)}
    json.dumps(found, allow_nan=False)
    assert (found["accuracy"] is None) == (found["ece"] is None) == (len(test.gold) == 0)


def test_rows_without_a_gold_label_are_left_out():
    test = Said(np.arange(9.0).reshape(3, 3), np.array([0, NO_LABEL, 2]))
    assert test.labelled.gold.tolist() == [0, 2]
    assert test.labelled.logits.tolist() == [[0, 1, 2], [6, 7, 8]]
