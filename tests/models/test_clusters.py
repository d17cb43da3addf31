"""Rows that are no examples of their own: what they make of intervals, and what stays as it is without them."""

from math import sqrt

import numpy as np
import pytest

from models.clusters import Clusters, clusters_of
from models.comparison import beyond, drop, elsewhere, gap_closed, retention, spared
from models.interval import Needed, Ratio, components, interval, interval_of_examples, ratio
from models.verdict import Outcome, judge
from tests.benchmarks.verdicts import CASES, WORLDS, false_gains

RUNS = 400
# A share of 2.5 % of so many simulated tests is below this but for one time in a thousand.
BOUND = 0.025 + 3.1 * sqrt(0.025 * 0.975 / RUNS)


def right(seeds=3, rows=60, accuracy=0.8, seed=0):
    return np.random.default_rng(seed).random((seeds, rows)) < accuracy


def numbered(*sizes):
    return Clusters(np.repeat(np.arange(len(sizes)), sizes))


@pytest.mark.parametrize("title", ["200 texts, each 10 times", "a group of 500 and 500 rows"])
def test_without_a_true_gain_repeated_rows_rarely_say_beats(title):
    [case] = [case for case in CASES if case.title == title]
    rows, examples = false_gains(case, WORLDS["examples decide"], seeds=5, runs=RUNS)
    assert rows > 0.1, "the simulation shows the fault"
    assert examples <= BOUND


@pytest.mark.parametrize(
    "clusters", [None, clusters_of(np.arange(60)), clusters_of(np.random.default_rng(0).random(60))]
)
def test_distinct_rows_give_the_same_numbers_to_the_last_digit(clusters):
    """The numbers are those from before there were clusters."""
    student, twin = right(5, 60, 0.8, 1), right(5, 60, 0.7, 2)
    found = judge(student, twin, 0.005, clusters=clusters)
    ends = (-0.0017434264965236757, 0.16841009316319033)
    assert (found.difference, found.low, found.high) == (0.08333333333333333, *ends)
    assert (found.se_seeds, found.se_examples) == (0.019002923751652297, 0.04251721956056619)
    assert found.needed == Needed(seeds=6, examples=63, both=1.1)
    assert (found.examples, found.rows) == (60, None)
    alone = interval_of_examples(student[0].astype(float), ends=(1.0, 0.0), clusters=clusters)
    assert (alone.low, alone.high) == (0.6569471118014403, 0.8763862215318932)
    assert ratio(student, twin, clusters=clusters) == Ratio(1.1141552511415527, 0.9977119443378494, 1.2426418229303404)


def test_an_example_repeated_equally_often_is_as_sure_as_once():
    student, twin = right(4, 80, 0.85, 3), right(4, 80, 0.75, 4)
    once = judge(student, twin, 0.005)
    often = judge(*(np.repeat(table, 10, axis=1) for table in (student, twin)), 0.005, clusters=numbered(*[10] * 80))
    for name in ("difference", "low", "high", "se_seeds", "se_examples", "examples"):
        assert getattr(often, name) == pytest.approx(getattr(once, name))
    assert often.rows == 800
    assert often.needed == once.needed


def test_the_difference_stays_that_of_the_shares_of_rows():
    student, twin = right(3, 60, 0.8, 5), right(3, 60, 0.7, 6)
    found = judge(student, twin, 0.005, clusters=numbered(30, 20, 9, 1))
    assert found.difference == pytest.approx(student.mean() - twin.mean(), abs=1e-12)
    assert found.low < found.difference < found.high
    assert found.se_seeds == judge(student, twin, 0.005).se_seeds


def test_the_error_of_unequal_clusters_by_hand():
    """Of 3 + 1 rows: shares 2/3 and 0, mean 1/2; departures of the sums 2 - 3/2 and 0 - 1/2, which is 1/2 each."""
    table = np.array([[1.0, 1.0, 0.0, 0.0]])
    clusters = numbered(3, 1)
    assert clusters.even == pytest.approx(16 / 10)
    summed = clusters.summed(table)
    assert summed.tolist() == [[pytest.approx(0.5 + 0.5 / 2), pytest.approx(0.5 - 0.5 / 2)]]
    # clustered: 2/(2-1) (1/4 + 1/4) / 16 = 1/16; rows by themselves: 1/3 / 4 = 1/12; 4 rows are worth 4 (1/12)/(1/16)
    assert clusters.worth(table[0], summed[0]) == 4, "but no more than there are"


def test_what_tells_how_many_rows_clusters_are_worth():
    rng = np.random.default_rng(0)
    clusters = numbered(*[20] * 50)
    alike = np.repeat(rng.integers(0, 2, 50), 20).astype(float)
    mixed = rng.integers(0, 2, 1000).astype(float)
    worth = [clusters.worth(row, clusters.summed(row[None])[0]) for row in (alike, mixed, np.ones(1000))]
    assert worth[0] == pytest.approx(50, rel=0.05)
    assert worth[1] > 500
    assert worth[2] == 50, "where nothing differs, nothing speaks for more"


def test_one_large_group_leaves_few_degrees_of_freedom():
    clusters = numbered(500, *[1] * 500)
    assert clusters.even == pytest.approx(1000**2 / (500**2 + 500))
    gains = right(5, 1000, 0.6, 7).astype(float)
    assert components(gains, clusters).even == pytest.approx(clusters.even / 501)
    gains[:, :500] = 1.0
    wide, narrow = interval(gains, clusters=clusters), interval(gains)
    assert wide.high - wide.low > 3 * (narrow.high - narrow.low)


def test_a_single_cluster_says_nothing():
    found = judge(np.ones((5, 40)), np.zeros((5, 40)), 0.005, clusters=numbered(40), example="group")
    assert (found.outcome, found.low, found.high, found.examples, found.rows) == (Outcome.INCONCLUSIVE, -1, 1, 1, 40)
    assert "one group says nothing about others" in found.sentence()
    assert found.sentence().endswith("(no interval; 5 seeds, 1 group in 40 rows)")


def test_rows_and_examples_are_told_where_they_differ():
    student, twin = right(3, 60, 0.95, 8), right(3, 60, 0.3, 9)
    found = judge(student, twin, 0.005, clusters=numbered(*[2] * 30))
    assert found.sentence().endswith("3 seeds, 30 examples in 60 rows)")
    assert "few" not in found.scope
    few = judge(student, twin, 0.005, clusters=numbered(*[6] * 10), example="group")
    assert few.sentence().endswith("3 seeds, 10 groups in 60 rows)")
    assert few.scope.endswith("It rests on few: 10 groups tell little of others, unless all are much alike.")
    assert judge(student, twin, 0.005).sentence().endswith("3 seeds, 60 examples)")


def test_what_would_settle_it_is_told_in_groups():
    student, twin = right(3, 400, 0.8, 1), right(3, 400, 0.79, 2)
    found = judge(student, twin, 0.05, clusters=numbered(*[10] * 40), example="group")
    assert found.needed is None or "groups" in found.sentence()
    assert "examples" not in found.sentence()


def test_every_comparison_is_of_clusters():
    """Each is as sure of 60 rows ten times as of the 60."""
    student, twin, noisy, other = (right(3, 60, at, number) for number, at in enumerate((0.9, 0.6, 0.5, 0.4)))
    teacher, there = right(1, 60, 0.95, 8), right(3, 60, 0.5, 9)
    clusters = numbered(*[10] * 60)

    def ten(table):
        return np.repeat(table, 10, axis=1)

    for of_rows, of_clusters in [
        (drop(student, noisy), drop(ten(student), ten(noisy), clusters)),
        (drop(teacher, noisy[:1]), drop(ten(teacher), ten(noisy[:1]), clusters)),
        (
            spared(student, noisy, twin, other),
            spared(ten(student), ten(noisy), ten(twin), ten(other), clusters),
        ),
        (beyond(student, teacher), beyond(ten(student), ten(teacher), clusters)),
        (elsewhere(student, there), elsewhere(ten(student), ten(there), clusters, clusters)),
        (retention(student, teacher), retention(ten(student), ten(teacher), clusters)),
        (gap_closed(student, twin, teacher), gap_closed(ten(student), ten(twin), ten(teacher), clusters)),
    ]:
        assert (of_clusters.low, of_clusters.high) == pytest.approx((of_rows.low, of_rows.high), abs=1e-6)


def test_rows_with_a_value_in_common_are_together_through_others_too():
    keys = np.array([b"a", b"b", b"b", b"c", b"d"])
    assert clusters_of(keys).numbers.tolist() == [0, 1, 1, 2, 3]
    groups = np.array([b"x", b"x", b"y", b"y", b"z"])
    assert clusters_of(keys, groups).numbers.tolist() == [0, 0, 0, 0, 1]
    assert clusters_of(keys, np.arange(5)).sizes.tolist() == [1, 2, 1, 1]
    assert clusters_of(keys).among(np.array([4, 2, 1])).numbers.tolist() == [1, 0, 0]
    assert clusters_of(np.array([])).numbers.tolist() == clusters_of(np.array([]), np.array([])).numbers.tolist() == []
