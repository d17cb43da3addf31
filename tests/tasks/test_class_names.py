"""A model's classes are matched by name or by dev; what does not match is refused."""

import numpy as np
import pytest

from tasks.shared.class_names import columns_by_answers, columns_by_name


@pytest.mark.parametrize(
    ("own", "wanted", "columns"),
    [
        (["neg", "neu", "pos"], ["pos", "neg", "neu"], [2, 0, 1]),
        (["Negative", "POSITIVE"], ["positive", "negative"], [1, 0]),
        (["a", "A"], ["A", "a"], [1, 0]),  # as they are, before case is left out of account
        (["LABEL_0", "LABEL_1", "LABEL_2"], ["2", "0", "1"], [2, 0, 1]),
        (["LABEL_0", "LABEL_1"], ["LABEL_1", "LABEL_0"], [1, 0]),
        ([str(number) for number in range(12)], [str(number) for number in range(12)], list(range(12))),
    ],
)
def test_columns_are_found_by_name(own, wanted, columns):
    assert columns_by_name(own, wanted) == columns


@pytest.mark.parametrize(
    ("own", "wanted"),
    [
        (["neg", "pos"], ["neg", "neu", "pos"]),
        (["neg", "neu", "pos"], ["neg", "pos"]),
        (["neg", "pos"], ["bad", "good"]),
        (["LABEL_0", "LABEL_1"], ["neg", "pos"]),
        (["LABEL_0", "LABEL_1"], ["1", "2"]),
        (["a", "b"], ["A", "a"]),  # both would be the same column
    ],
)
def test_other_classes_are_refused(own, wanted):
    with pytest.raises(ValueError, match=f"{own[0]}.*{wanted[0]}"):
        columns_by_name(own, wanted)


def test_columns_are_those_by_which_most_answers_are_right():
    gold = np.array([0, 0, 0, 1, 1, 1, 2, 2, 2])
    answers = np.array([2, 2, 0, 0, 0, 0, 1, 1, 2])
    assert columns_by_answers(["LABEL_0", "LABEL_1", "LABEL_2"], ["a", "b", "c"], answers, gold) == [2, 0, 1]


def test_a_tie_says_nothing_of_which_class_is_which():
    gold, answers = np.array([0, 0, 1, 1, 2]), np.array([0, 1, 0, 1, 2])
    with pytest.raises(ValueError, match=r"does not tell which of LABEL_\d and LABEL_\d is"):
        columns_by_answers(["LABEL_0", "LABEL_1", "LABEL_2"], ["a", "b", "c"], answers, gold)
    round_about = [[1, 1, 0], [0, 1, 1], [1, 0, 1]]  # all three may be the next one
    gold, answers = np.array([pair for pair, count in np.ndenumerate(round_about) for _ in range(int(count))]).T
    with pytest.raises(ValueError, match="does not tell which of"):
        columns_by_answers(["LABEL_0", "LABEL_1", "LABEL_2"], ["a", "b", "c"], answers, gold)
    with pytest.raises(ValueError, match="not as many"):
        columns_by_answers(["x"], ["a", "b"], answers, gold)
