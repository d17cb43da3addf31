"""Intervals of ratios and of fixed models, and what more seeds or examples are foretold to buy."""

import numpy as np
import pytest

from models.interval import Components, components, interval, interval_of_examples, needed, ratio


def table(rng, seeds, examples, by_seed=0.02, by_example=0.2, residual=0.2, mean=0.03):
    effects = by_seed * rng.standard_normal((seeds, 1)) + by_example * rng.standard_normal((1, examples))
    return mean + effects + residual * rng.standard_normal((seeds, examples))


@pytest.mark.parametrize(("seeds", "examples"), [(2, 2), (3, 50), (5, 2000)])
def test_components_give_back_the_width_they_came_from(seeds, examples):
    gains = table(np.random.default_rng(1), seeds, examples)
    found = interval(gains, bound=np.inf)
    assert components(gains).half_width(seeds, examples) == pytest.approx(found.high - found.mean)


def test_components_are_those_that_were_put_in():
    found = components(table(np.random.default_rng(0), 400, 4000, by_seed=0.05))
    wanted = Components(0.05**2, 0.2**2, 0.2**2)
    assert found.of_seeds == pytest.approx(wanted.of_seeds, rel=0.2)
    assert found.of_examples == pytest.approx(wanted.of_examples, rel=0.1)
    assert found.of_residual == pytest.approx(wanted.of_residual, rel=0.02)


def test_more_are_foretold_to_suffice_and_one_fewer_not():
    found = Components(of_seeds=0.02**2, of_examples=0.2**2, of_residual=0.2**2)
    asked = needed(found, 3, 500, half=0.03)
    assert found.half_width(asked.seeds, 500) < 0.03 <= found.half_width(asked.seeds - 1, 500)
    assert asked.examples is None, "the seeds alone err by more, whatever is tested on"
    assert found.half_width(round(3 * asked.both), round(500 * asked.both)) < 0.03
    few = needed(found, 10, 500, half=0.02)
    assert found.half_width(10, few.examples) < 0.02 <= found.half_width(10, few.examples - 1)


def test_no_number_settles_what_is_exactly_undecided():
    asked = needed(Components(0.1, 0.1, 0.1), 3, 100, half=0.0)
    assert (asked.seeds, asked.examples, asked.both) == (None, None, None)


def test_foretold_numbers_settle_about_as_often_as_not():
    """Half of new tables with as many seeds as foretold are narrower than asked, half are wider."""
    rng = np.random.default_rng(2)
    truth = Components(of_seeds=0.03**2, of_examples=0.2**2, of_residual=0.2**2)
    count = needed(truth, 3, 1000, half=0.03).seeds
    found = [interval(table(rng, count, 1000, by_seed=0.03)) for _ in range(200)]
    assert 0.3 < np.mean([(one.high - one.low) / 2 < 0.03 for one in found]) < 0.8


def test_a_fixed_model_errs_by_its_examples_alone():
    found = interval_of_examples(np.array([1.0, 0.0, 0.0, 1.0]), confidence=0.5)
    assert (found.mean, found.seeds, found.examples, found.se_seeds) == (0.5, 1, 4, None)
    # 1, 0, 0, 1 and the two more, 1 and -1, have a variance of 2/3; t with 3 degrees is 0.7648923 at 50 %.
    assert found.high - found.mean == pytest.approx(0.7648923 * np.sqrt(2 / 3 / 6))


@pytest.mark.parametrize("gains", [np.ones(1), np.zeros(1)])
def test_one_example_says_nothing(gains):
    found = interval_of_examples(gains)
    assert (found.low, found.high) == (-1.0, 1.0)


@pytest.mark.parametrize("gains", [np.ones(3), np.ones((0, 3)), np.ones((3, 0))])
def test_what_is_no_table_is_refused(gains):
    with pytest.raises(ValueError, match=r"\[seeds, examples\]"):
        interval(gains)


def test_a_ratio_and_its_interval():
    rng = np.random.default_rng(3)
    whole = 0.1 + 0.02 * rng.standard_normal((5, 2000))
    found = ratio(0.5 * whole, whole)
    assert found.value == pytest.approx(0.5)
    assert found.low < 0.5 < found.high
    assert found.high - found.low < 1.0


def test_a_ratio_covers_the_true_one():
    rng = np.random.default_rng(4)
    covered = 0
    for _ in range(200):
        below = table(rng, 4, 400, by_example=0.3, mean=0.1)
        above = table(rng, 4, 400, by_example=0.3, mean=0.08)
        found = ratio(above, below)
        if found is None:
            continue
        low, high = (found.low if found.low is not None else -np.inf, found.high if found.high is not None else np.inf)
        covered += low <= 0.8 <= high
    assert covered >= 185


def test_a_share_of_nothing_is_none():
    assert ratio(np.ones((2, 3)), np.zeros((2, 3))) is None
    assert ratio(np.ones((2, 3)), -np.ones((2, 3))) is None


def test_a_share_of_what_may_be_nothing_has_no_bounds():
    below = np.array([[1.0, -1.0, 0.3], [-1.0, 1.0, 0.3]])
    found = ratio(np.ones((2, 3)), below)
    assert found.value == pytest.approx(10)
    assert (found.low, found.high) == (None, None)
