"""The verdict: hand-computed intervals, simulations whose truth is known, degenerate tables, the sentence."""

import json
from math import sqrt

import numpy as np
import pytest

from models.interval import Needed
from models.verdict import Outcome, Verdict, judge, unjudged

RUNS = 800
# An interval that covers 95 % does so in RUNS simulated tables give or take this much (three standard errors).
MONTE_CARLO = 3 * sqrt(0.95 * 0.05 / RUNS)

# Standard deviations on a normal scale of what moves an answer besides its own noise of 1:
# the example's difficulty for both models, the example for one model, the seed for one model, the seed for both.
NOISE = {
    "neither": (0.0, 0.0, 0.0, 0.0),
    "seeds": (1.5, 0.5, 0.5, 0.1),
    "examples": (0.5, 2.0, 0.02, 0.02),
    "both": (1.5, 0.7, 0.2, 0.1),
}


def simulate(rng, seeds, examples, accuracies, noise):
    """Student's and twin's answers [seeds, examples].

    Every cause is normal, so an answer is right with exactly the probability `accuracies` names, over all seeds and
    all examples that there could be: their difference is the truth that an interval has to cover.
    """
    from scipy.special import ndtri

    difficulty, own_example, own_seed, shared_seed = noise
    scale = sqrt(1 + sum(sd**2 for sd in noise))
    shared = difficulty * rng.standard_normal((1, examples)) + shared_seed * rng.standard_normal((seeds, 1))
    answers = []
    for accuracy in accuracies:
        own = own_example * rng.standard_normal((1, examples)) + own_seed * rng.standard_normal((seeds, 1))
        answers.append(ndtri(accuracy) * scale + shared + own + rng.standard_normal((seeds, examples)) > 0)
    return answers


def verdicts(seeds, examples, accuracies, noise, runs=RUNS):
    rng = np.random.default_rng(20)
    return [judge(*simulate(rng, seeds, examples, accuracies, noise), worthwhile=0.005) for _ in range(runs)]


def share(found, condition):
    return sum(map(condition, found)) / len(found)


def covers(truth):
    return lambda verdict: verdict.low <= truth <= verdict.high


def answers_at(accuracies, examples=2189, rng_seed=0):
    """Answers [seeds, examples] with these accuracies in percent, mostly wrong on the same hard examples."""
    difficulty = np.random.default_rng(9).standard_normal(examples)
    rng = np.random.default_rng(rng_seed)
    rows = []
    for accuracy in accuracies:
        ease = (difficulty + 0.5 * rng.standard_normal(examples)).argsort().argsort()
        rows.append(ease >= round(examples * (1 - accuracy / 100)))
    return np.array(rows)


STUDENTS = answers_at([93.7, 93.8, 93.7, 93.6, 93.7], rng_seed=1)
TWINS = answers_at([89.2, 91.4, 86.5, 88.0, 90.0], rng_seed=2)


def test_a_small_table_by_hand():
    """Gains [[1, 0, 0], [1, 0, 1]]; at 50 % t is 1 with one and sqrt(2/3) with two degrees of freedom."""
    student, twin = np.array([[1, 1, 0], [1, 0, 1]]), np.array([[0, 1, 0], [0, 0, 0]])
    found = judge(student, twin, worthwhile=0.005, confidence=0.5)
    assert found.difference == pytest.approx(1 / 2)
    assert found.se_seeds == pytest.approx(1 / 6)  # of 1/3 and 2/3
    assert found.se_examples == pytest.approx(sqrt(0.7 / 5))  # of 1, 0, 1/2 and the two more, 1 and -1
    half = sqrt(1 / 36 + 2 / 3 * (0.14 - 1 / 36))  # the residual's mean square is 1/6, over 6 answers 1/36
    assert (found.low, found.high) == pytest.approx((0.5 - half, 0.5 + half))
    assert found.outcome is Outcome.BEATS


def test_seeds_that_tie_by_chance_leave_what_the_examples_alone_say():
    student, twin = np.array([[1, 0, 0, 1], [0, 1, 0, 1]]), np.zeros((2, 4))
    found = judge(student, twin, worthwhile=0.005, confidence=0.5)
    assert found.se_seeds == 0
    assert found.high - found.difference == pytest.approx(0.7648923 * found.se_examples)  # t with 3 degrees at 50 %


@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
@pytest.mark.parametrize("noise", NOISE)
def test_without_a_true_gain_it_rarely_says_beats_and_covers_zero(seeds, noise):
    found = verdicts(seeds, 200, (0.9, 0.9), NOISE[noise])
    assert share(found, lambda verdict: verdict.outcome is Outcome.BEATS) <= 0.05
    assert share(found, covers(0.0)) >= 0.95 - MONTE_CARLO


@pytest.mark.parametrize(("seeds", "noise"), [(2, "seeds"), (3, "both"), (5, "examples"), (10, "neither")])
def test_it_covers_a_true_gain(seeds, noise):
    assert share(verdicts(seeds, 200, (0.94, 0.89), NOISE[noise]), covers(0.05)) >= 0.95 - MONTE_CARLO


@pytest.mark.parametrize("seeds", [2, 10])
def test_a_gain_on_rare_examples_is_not_denied_because_the_test_set_holds_none(seeds):
    found = verdicts(seeds, 100, (0.998, 0.988), (3.0, 0.3, 0.02, 0.02))
    assert share(found, lambda verdict: verdict.outcome is Outcome.NO_BETTER) <= 0.05


def test_the_interval_is_not_needlessly_wide():
    """With many seeds and examples it comes near to the normal one of the known errors."""
    rng = np.random.default_rng(3)
    by_seed, by_example, residual = 0.01, 0.15, 0.1
    widths = []
    for _ in range(20):
        gains = by_seed * rng.standard_normal((20, 1)) + by_example * rng.standard_normal((1, 2000))
        scores = np.clip(0.5 + gains + residual * rng.standard_normal(gains.shape), 0, 1)
        found = judge(scores, np.full(scores.shape, 0.5), worthwhile=0.005)
        widths.append(found.high - found.low)
    ideal = 2 * 1.96 * sqrt(by_seed**2 / 20 + by_example**2 / 2000 + residual**2 / 40000)
    assert ideal < np.mean(widths) < 1.1 * ideal


def test_five_seeds_show_a_large_gain():
    found = judge(STUDENTS, TWINS, worthwhile=0.005)
    assert found.outcome is Outcome.BEATS
    assert found.difference == pytest.approx(0.0468, abs=0.0005)
    assert 0 < found.low < found.difference < found.high < 0.1


def test_three_of_these_seeds_do_not():
    assert judge(STUDENTS[:3], TWINS[:3], worthwhile=0.005).outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize("twin", [TWINS, STUDENTS, 1 - STUDENTS, STUDENTS * 0])
def test_one_seed_is_inconclusive_whatever_it_shows(twin):
    found = judge(STUDENTS[:1], twin[:1], worthwhile=0.005)
    assert (found.outcome, found.low, found.high, found.se_seeds) == (Outcome.INCONCLUSIVE, -1.0, 1.0, None)
    assert found.remedy == "Add seeds."
    assert "no interval; 1 seed, 2,189 examples" in found.sentence()


def test_one_example_is_inconclusive():
    found = judge(np.ones((5, 1)), np.zeros((5, 1)), worthwhile=0.005)
    assert (found.outcome, found.low, found.high) == (Outcome.INCONCLUSIVE, -1.0, 1.0)
    assert found.remedy == "Use a larger test set."


def test_one_seed_and_one_example_are_inconclusive():
    assert judge(np.ones((1, 1)), np.zeros((1, 1)), worthwhile=0.0).outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize(
    ("student", "examples", "outcome"),
    [
        (0.5, 2000, Outcome.NO_BETTER),  # always the twin's score
        (0.5, 50, Outcome.INCONCLUSIVE),  # the same, but 50 agreements do not rule out a gain of half a point
        (1.0, 2000, Outcome.BEATS),
        (1.0, 2, Outcome.INCONCLUSIVE),
        (0.0, 2000, Outcome.NO_BETTER),
    ],
)
def test_differences_without_any_variance(student, examples, outcome):
    found = judge(np.full((5, examples), student), np.full((5, examples), 0.5), worthwhile=0.005)
    assert found.outcome is outcome
    assert found.difference == student - 0.5
    assert np.isfinite([found.low, found.high, found.se_seeds, found.se_examples]).all()
    assert found.low < found.difference < found.high


def test_swapping_the_sides_mirrors_the_interval():
    found, mirrored = judge(STUDENTS, TWINS, 0.005), judge(TWINS, STUDENTS, 0.005)
    assert (mirrored.low, mirrored.high) == pytest.approx((-found.high, -found.low))
    assert mirrored.outcome is Outcome.NO_BETTER


def test_pairing_by_seed_and_by_example_counts():
    """Seeds and examples that move both sides alike cost nothing; broken pairs do."""
    rng = np.random.default_rng(5)
    student, twin = simulate(rng, 5, 1000, (0.8, 0.75), (2.0, 0.2, 0.0, 0.5))
    paired = judge(student, twin, 0.005)
    for broken in (twin[::-1], twin[:, rng.permutation(1000)]):
        found = judge(student, broken, 0.005)
        assert found.difference == pytest.approx(paired.difference)
        assert found.high - found.low > paired.high - paired.low


def test_bools_numbers_and_floats_are_the_same():
    tables = [(STUDENTS.astype(kind), TWINS.astype(kind)) for kind in (bool, np.int8, np.float32)]
    assert judge(*tables[0], 0.005) == judge(*tables[1], 0.005) == judge(*tables[2], 0.005)


@pytest.mark.parametrize(
    ("student", "twin", "message"),
    [
        (np.ones((2, 3)), np.ones((3, 2)), r"student \(2, 3\), twin \(3, 2\)"),
        (np.ones(3), np.ones(3), r"student \(3,\), twin \(3,\)"),
        (np.ones((2, 0)), np.ones((2, 0)), r"student \(2, 0\)"),
        (np.ones((0, 2)), np.ones((0, 2)), r"student \(0, 2\)"),
        (np.ones((2, 2)), np.array([[1, np.nan], [np.inf, 0]]), r"2 of the twin's .* twin \(2, 2\)"),
        (np.array([[1.0, -0.1]]), np.ones((1, 2)), r"1 of the student's"),
    ],
)
def test_bad_scores_are_refused_with_their_shapes(student, twin, message):
    with pytest.raises(ValueError, match=message):
        judge(student, twin, worthwhile=0.005)


@pytest.mark.parametrize(("worthwhile", "confidence"), [(-0.01, 0.95), (1.0, 0.95), (float("nan"), 0.95), (0.005, 1.0)])
def test_bad_settings_are_refused(worthwhile, confidence):
    with pytest.raises(ValueError, match="worthwhile must be"):
        judge(np.ones((2, 2)), np.ones((2, 2)), worthwhile, confidence)


def verdict(outcome, difference, low, high, seeds=5, se_seeds=0.01, se_examples=0.001, worthwhile=0.005, needed=None):
    return Verdict(outcome, difference, low, high, seeds, 2189, worthwhile, se_seeds, se_examples, needed=needed)


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (
            verdict(Outcome.BEATS, 0.047, 0.012, 0.082),
            "BEATS: on test the student is 4.7 points more accurate than its twin "
            "(95 % interval 1.2 to 8.2; 5 seeds, 2,189 examples)",
        ),
        (
            verdict(Outcome.BEATS, 0.002, 0.0002, 0.0038),
            "BEATS: on test the student is 0.20 points more accurate than its twin, which is real but below the 0.5 "
            "points called worthwhile (95 % interval 0.02 to 0.38; 5 seeds, 2,189 examples)",
        ),
        (
            verdict(Outcome.NO_BETTER, 0.001, -0.008, 0.009, worthwhile=0.01),
            "NO BETTER: on test the student gains less than the 1 point called worthwhile: it measured 0.1 points more "
            "accurate than its twin (95 % interval -0.8 to 0.9; 5 seeds, 2,189 examples)",
        ),
        (
            verdict(Outcome.NO_BETTER, 0.0, -0.003, 0.003),
            "NO BETTER: on test the student gains less than the 0.5 points called worthwhile: it measured exactly as "
            "accurate as its twin (95 % interval -0.3 to 0.3; 5 seeds, 2,189 examples)",
        ),
        (
            verdict(Outcome.NO_BETTER, -0.021, -0.03, -0.012),
            "NO BETTER: on test the student is 2.1 points less accurate than its twin "
            "(95 % interval -3.0 to -1.2; 5 seeds, 2,189 examples)",
        ),
        (
            verdict(Outcome.INCONCLUSIVE, -0.004, -0.021, 0.013),
            "INCONCLUSIVE: on test the student measured 0.4 points less accurate than its twin, but that may be chance "
            "(95 % interval -2.1 to 1.3; 5 seeds, 2,189 examples)",
        ),
        (
            verdict(Outcome.INCONCLUSIVE, 0.0, -0.017, 0.017),
            "INCONCLUSIVE: on test the student measured exactly as accurate as its twin, and either may be better "
            "(95 % interval -1.7 to 1.7; 5 seeds, 2,189 examples)",
        ),
        (
            unjudged(5, 0.005),
            "INCONCLUSIVE: no test example has a gold label, so nothing can be said of accuracy "
            "(no interval; 5 seeds, 0 examples)",
        ),
        (
            verdict(Outcome.INCONCLUSIVE, 0.047, -1.0, 1.0, seeds=1, se_seeds=None),
            "INCONCLUSIVE: on test the student measured 4.7 points more accurate than its twin, but one seed cannot "
            "tell that from luck in training (no interval; 1 seed, 2,189 examples)",
        ),
    ],
)
def test_the_sentence(found, sentence):
    assert found.sentence() == sentence


@pytest.mark.parametrize(
    ("needed", "seeds", "remedy"),
    [
        (Needed(9, None, 1.6), 5, "About 9 seeds would settle it, if the true difference is the one measured."),
        (
            Needed(140, 42000, 1.6),
            5,
            "About 140 seeds or 42,000 test examples would settle it, if the true difference is the one measured.",
        ),
        (
            Needed(None, None, 2.5),
            5,
            "About 2.5 times as many seeds and test examples would settle it, if the true difference is the one "
            "measured.",
        ),
        (Needed(None, None, None), 5, "No number that can be foreseen would settle it."),
        (None, 1, "Add seeds."),
    ],
)
def test_what_would_settle_it_is_a_sentence_of_its_own(needed, seeds, remedy):
    assert verdict(Outcome.INCONCLUSIVE, 0.01, -0.01, 0.03, seeds, needed=needed).remedy == remedy
    assert verdict(Outcome.BEATS, 0.047, 0.012, 0.082).remedy == unjudged(5, 0.005).remedy == ""


def test_the_scope_names_the_teacher_and_the_draw_of_labels():
    scope = judge(STUDENTS, TWINS, 0.005).scope
    assert "this teacher" in scope
    assert "this draw of gold labels" in scope


def test_it_survives_json():
    found = judge(STUDENTS, TWINS, 0.005)
    read = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert read["outcome"] == "BEATS"
    assert Verdict(**{**read, "outcome": Outcome(read["outcome"])}) == found


def test_what_would_settle_it_is_told_to_two_figures():
    random = np.random.default_rng(0)
    found = judge(random.random((4, 300)) < 0.8, random.random((4, 300)) < 0.79, 0.005)
    assert found.outcome is Outcome.INCONCLUSIVE
    numbers = [number for number in (found.needed.seeds, found.needed.examples) if number is not None]
    assert numbers
    assert all(len(str(number).rstrip("0")) <= 2 for number in numbers)
