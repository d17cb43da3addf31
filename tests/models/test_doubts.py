"""Gold labels that a classifier contradicts with confidence."""

import numpy as np

from models.doubts import doubts


def test_a_label_that_a_sure_classifier_contradicts_is_found_with_what_it_says_instead():
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8], [0.95, 0.05]])
    [found] = doubts(probabilities, np.array([0, 0, 1, 1, 1]))
    assert (found.row, found.suggested, found.probability, found.gold_probability) == (4, 0, 0.95, 0.05)


def test_a_classifier_that_is_not_sure_contradicts_nobody():
    """Its likeliest class is another than the label, but it says less for it than it usually does where it is right."""
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [0.55, 0.45]])
    assert doubts(probabilities, np.array([0, 0, 1, 1])) == []


def test_the_surest_come_first_and_a_class_without_rows_is_never_suggested():
    probabilities = np.array(
        [[0.7, 0.2, 0.1], [0.8, 0.1, 0.1], [0.1, 0.85, 0.05], [0.3, 0.7, 0.0], [0.05, 0.9, 0.05], [0.0, 0.05, 0.95]]
    )
    gold = np.array([0, 1, 1, 1, 0, 0])
    found = doubts(probabilities, gold)
    assert [one.row for one in found] == [4, 1]
    assert {one.suggested for one in found} == {0, 1}


def test_planted_mistakes_of_a_noisy_data_set_are_what_is_found():
    random = np.random.default_rng(0)
    truth = random.integers(3, size=600)
    probabilities = np.eye(3)[truth] * 0.7 + random.dirichlet([1, 1, 1], 600) * 0.3
    gold, wrong = truth.copy(), random.choice(600, 30, replace=False)
    gold[wrong] = (truth[wrong] + 1) % 3
    found = {one.row for one in doubts(probabilities, gold)}
    assert found <= set(wrong.tolist()), "nothing that is right is doubted"
    assert len(found) >= 12, "about half of what is wrong, as a classifier is surer than usual half of the time"
