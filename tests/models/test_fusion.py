"""Fusing teachers: hand-worked means and weights, and the same result in any piece and order."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.calibration import log_softmax
from models.fusion import NO_LABEL, Fuser, Fusion

NONE = np.array([NO_LABEL, NO_LABEL])
SURE = np.log([[0.8, 0.2], [0.1, 0.9]])
UNSURE = np.log([[0.4, 0.6], [0.5, 0.5]])


def fused(how, *teachers, gold=NONE, accuracies=(0.9, 0.6)):
    fuser = Fuser(how, np.empty((2, 2)), np.empty(2))
    for logits, accuracy in zip(teachers, accuracies, strict=False):
        fuser.add(np.arange(2), logits, 1.0, accuracy, gold)
    return np.exp(log_softmax(fuser.logits(slice(None))))


@pytest.mark.parametrize(
    ("how", "gold", "first_class"),
    [
        (Fusion.PROBABILITIES, NONE, [0.6, 0.3]),
        # Square roots of products, made to sum to one: sqrt(0.32) to sqrt(0.12), sqrt(0.05) to sqrt(0.45).
        (Fusion.LOGITS, NONE, [0.620204, 0.25]),
        # 0.9 and 0.6 are three to two.
        (Fusion.DEV_SCORE, NONE, [0.64, 0.26]),
        # 0.8 against 0.6, and 0.9 against 0.5.
        (Fusion.CONFIDENCE, NONE, [0.88 / 1.4, 0.34 / 1.4]),
        (Fusion.GOLD, NONE, [0.6, 0.3]),
        # Class 0 is right in the first row: 1 / (1 - ln 0.8) and 1 / (1 - ln 0.4).
        (Fusion.GOLD, np.array([0, NO_LABEL]), [(0.8 * 0.817562 + 0.4 * 0.521834) / 1.339396, 0.3]),
    ],
)
def test_what_two_teachers_say_together(how, gold, first_class):
    there, back = fused(how, SURE, UNSURE, gold=gold), fused(how, UNSURE, SURE, gold=gold, accuracies=(0.6, 0.9))
    np.testing.assert_allclose(there[:, 0], first_class, atol=1e-5)
    np.testing.assert_allclose(back, there, atol=1e-6)


@pytest.mark.parametrize("how", Fusion)
def test_two_of_the_same_mind_are_one(how):
    np.testing.assert_allclose(fused(how, SURE, SURE, gold=np.array([1, 0])), np.exp(SURE), atol=1e-6)


def test_one_teachers_logits_stay_as_they_are_to_the_bit():
    logits = np.random.default_rng(0).normal(scale=7, size=(50, 3)).astype(np.float32)
    fuser = Fuser(Fusion.LOGITS, np.empty((50, 3)), np.empty(50))
    fuser.add(np.arange(50), logits, 1.0, 0.5, np.full(50, NO_LABEL))
    np.testing.assert_array_equal(fuser.logits(slice(None)), logits)


@settings(max_examples=30, deadline=None)
@given(how=st.sampled_from(Fusion), cuts=st.lists(st.integers(1, 19), max_size=4), seed=st.integers(0, 99))
def test_any_pieces_in_any_order_give_the_same(how, cuts, seed):
    random = np.random.default_rng(seed)
    teachers = random.normal(scale=30, size=(2, 20, 4)).astype(np.float32)
    gold = random.integers(-1, 4, 20)
    gold[gold < 0] = NO_LABEL

    def fuse(pieces):
        fuser = Fuser(how, np.empty((20, 4)), np.empty(20))
        for logits, temperature, accuracy in zip(teachers, (0.7, 2.0), (0.9, 0.4), strict=True):
            for rows in pieces:
                fuser.add(rows, logits[rows], temperature, accuracy, gold[rows])
        return fuser.logits(slice(None))

    whole, pieces = fuse([np.arange(20)]), np.split(random.permutation(20), sorted(cuts))
    assert np.isfinite(whole).all(), "no probability is lost to zero"
    np.testing.assert_allclose(fuse(pieces), whole, rtol=1e-6)
