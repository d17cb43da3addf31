"""Comparisons of models: what is lost, what is kept, by hand and in simulation."""

import numpy as np
import pytest

from models.comparison import beyond, drop, elsewhere, gap_closed, retention, spared

CLEAN = np.array([[1, 1, 1, 0], [1, 1, 0, 1]], bool)
NOISY = np.array([[1, 0, 1, 0], [0, 1, 0, 0]], bool)


def test_what_noise_costs_and_who_is_spared():
    assert drop(CLEAN, NOISY).mean == pytest.approx(3 / 8)
    assert spared(CLEAN, CLEAN, CLEAN, NOISY).mean == pytest.approx(3 / 8)
    assert spared(CLEAN, NOISY, CLEAN, CLEAN).mean == pytest.approx(-3 / 8)
    same = spared(CLEAN, NOISY, CLEAN, NOISY)
    assert same.mean == 0
    assert same.low < 0 < same.high


def test_a_single_model_errs_by_its_texts_alone():
    one = drop(CLEAN[:1], NOISY[:1])
    assert (one.seeds, one.se_seeds) == (1, None)
    assert -1 < one.low < one.mean == 0.25 < one.high


def test_one_seed_tells_no_difference_between_models_from_luck():
    rng = np.random.default_rng(0)
    ours, theirs, clean = np.ones((1, 400), bool), rng.random((1, 400)) < 0.8, np.ones((1, 400), bool)
    found = spared(clean, ours, clean, theirs)
    assert found.mean == pytest.approx(0.2, abs=0.05)
    assert (found.low, found.high) == (-2, 2)
    found = beyond(ours, theirs)
    assert (found.low, found.high) == (-1, 1)
    both = beyond(np.ones((3, 400), bool), theirs)
    assert 0 < both.low < both.mean < both.high < 0.4


def test_retention_and_the_way_from_twin_to_teacher():
    rng = np.random.default_rng(0)
    twin = rng.random((5, 2000)) < 0.8
    teacher = np.ones((1, 2000), bool)
    student = twin | (rng.random((5, 2000)) < 0.5)
    kept, closed = retention(student, teacher), gap_closed(student, twin, teacher)
    assert kept.value == pytest.approx(student.mean())
    assert closed.value == pytest.approx(0.5, abs=0.03)
    assert closed.low < 0.5 < closed.high
    assert closed.high - closed.low < 0.2


def test_where_the_twin_is_no_worse_there_is_no_way_to_go():
    right = np.ones((2, 10), bool)
    assert gap_closed(right, right, right[:1]) is None
    assert retention(right, np.zeros((1, 10), bool)) is None


def test_what_is_lost_elsewhere_covers_the_truth():
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(300):
        here, there = rng.random((3, 400)) < 0.9, rng.random((3, 200)) < 0.7
        found = elsewhere(here, there)
        covered += found.low <= 0.2 <= found.high
    assert covered >= 280


def test_what_is_lost_elsewhere_is_no_surer_and_no_less_sure_than_counting_allows():
    here, there = np.ones((1, 2000), bool), np.ones((1, 100), bool)
    here[0, :20], there[0, :1] = False, False
    found = elsewhere(here, there)
    simple = 1.96 * (0.99 * 0.01 / 2000 + 0.99 * 0.01 / 100) ** 0.5
    assert simple < found.high - found.mean < 1.6 * simple


def test_one_row_elsewhere_says_nothing():
    found = elsewhere(CLEAN, NOISY[:, :1])
    assert (found.low, found.high) == (-1, 1)
