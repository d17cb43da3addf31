"""Calibration: the temperature that fits, and the calibration error worked by hand."""

import numpy as np
import pytest

from models.calibration import expected_calibration_error, fit_temperature, log_softmax, reliability


def test_the_temperature_that_fits_is_found():
    """Labels drawn from softmax(logits / T) are fitted best by T, but for the draw."""
    random = np.random.default_rng(0)
    logits = random.normal(scale=4, size=(20000, 3))
    for temperature in (0.3, 1.0, 3.0):
        drawn = np.exp(log_softmax(logits / temperature)).cumsum(axis=1)
        labels = (random.random((20000, 1)) > drawn).sum(axis=1).clip(max=2)
        assert fit_temperature(logits, labels) == pytest.approx(temperature, rel=0.05)


def test_a_temperature_has_bounds_where_the_labels_set_none():
    always_right = np.array([[9.0, 0.0], [0.0, 9.0]])
    assert 0.05 <= fit_temperature(always_right, np.array([0, 1])) < 0.5
    assert fit_temperature(always_right, np.array([1, 0])) == pytest.approx(20, rel=0.01)


def test_the_calibration_error_by_hand():
    """Four bins: two rows in (0.25, 0.5], one in (0.5, 0.75], three in (0.75, 1]."""
    confidence = np.array([0.5, 0.4, 0.6, 0.9, 1.0, 0.8])
    right = np.array([True, False, False, True, True, False])
    found = reliability(confidence, right, bins=4)
    assert [one.rows for one in found] == [0, 2, 1, 3]
    assert (found[0].confidence, found[0].accuracy) == (None, None)
    assert [one.accuracy for one in found[1:]] == pytest.approx([1 / 2, 0, 2 / 3])
    assert [one.confidence for one in found[1:]] == pytest.approx([0.45, 0.6, 0.9])
    # 2/6 x 0.05 + 1/6 x 0.6 + 3/6 x (0.9 - 2/3)
    assert expected_calibration_error(found) == pytest.approx(1 / 60 + 0.1 + 7 / 60, abs=1e-12)


def test_who_is_right_as_often_as_said_has_no_error():
    confidence = np.repeat([0.25, 0.75], 4)
    right = np.array([True, False, False, False, True, True, True, False])
    assert expected_calibration_error(reliability(confidence, right)) == pytest.approx(0, abs=1e-12)


def test_ends_of_the_scale_belong_to_bins_and_no_row_is_no_error():
    found = reliability(np.array([0.0, 1.0]), np.array([False, True]))
    assert [found[0].rows, found[-1].rows] == [1, 1]
    assert expected_calibration_error(found) == 0
    assert expected_calibration_error(reliability(np.empty(0), np.empty(0, bool))) == 0
