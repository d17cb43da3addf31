"""The adversary: it finds the word a classifier looks for, and never makes a text easier."""

import numpy as np
import pytest

from models.adversary import attack


def looks_for(word):
    """A classifier that names class 1 by a margin for each `word`, class 0 otherwise."""

    def logits_of(rows, texts):
        return np.array([[0.5, float(text.split().count(word))] for text in texts], np.float32)

    return logits_of


def test_one_edit_breaks_the_word_that_counts():
    [found] = attack(["news about profit today"], np.array([1]), looks_for("profit"), 1, 60, 0)
    assert found.right == (True, False)
    before, after = (text.split() for text in found.texts)
    [(old, new)] = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
    assert old == "profit"
    assert (new[0], new[-1]) == ("p", "t"), "readers need the first and the last letter"


def test_edits_add_up_and_stop_where_it_is_wrong():
    texts = ["profit then profit", "profit alone"]
    both, one = attack(texts, np.array([1, 1]), looks_for("profit"), 2, 60, 0)
    assert both.right == (True, True, False)
    assert one.right == (True, False, False)
    assert one.texts[1] == one.texts[2]


def test_a_text_that_is_wrong_or_has_nothing_to_edit_stays():
    asked = []

    def logits_of(rows, texts):
        asked.append(list(texts))
        return looks_for("profit")(rows, texts)

    wrong, short = attack(["no such word", "it is so"], np.array([1, 0]), logits_of, 2, 20, 0)
    assert wrong.texts == ("no such word",) * 3
    assert wrong.right == (False,) * 3
    assert short.texts == ("it is so",) * 3
    assert short.right == (True,) * 3
    assert asked == [["no such word", "it is so"]]


def test_edits_are_where_the_classifier_reads():
    seen = []

    def logits_of(rows, texts):
        seen.extend(texts)
        return np.array([[1.0, 0.0]] * len(texts), np.float32)

    text = "market report " * 9
    attack([text, text], np.array([0, 0]), logits_of, 1, 30, 0, reach=[6, len(text)])
    first, second = seen[2:32], seen[32:]
    assert len(first) > 5
    assert all(edited.endswith(text[7:]) for edited in first)
    assert not all(edited.endswith(text[7:]) for edited in second)


def test_an_edit_that_helps_the_model_is_not_made():
    def logits_of(rows, texts):
        return np.array([[1.0 + (text != "market share"), 0.0] for text in texts], np.float32)

    [found] = attack(["market share"], np.array([0]), logits_of, 2, 20, 0)
    assert found.texts == ("market share",) * 3
    assert found.right == (True,) * 3


@pytest.mark.parametrize("text", ["银行的股票上升了", "this market report is long enough"])
def test_edits_are_one_character_apart_repeat_and_are_normalised(text):
    seen = []

    def logits_of(rows, texts):
        seen.append((list(rows), list(texts)))
        return np.array([[1.0 - 0.01 * len(seen) - 0.001 * place, 0.0] for place in range(len(texts))], np.float32)

    first = attack([text], np.array([0]), logits_of, 1, 10, 7, normalise=str.strip)
    rows, tried = seen[1]
    assert rows == [0] * len(tried)
    assert 1 < len(set(tried)) == len(tried) <= 10
    for edited in tried:
        assert abs(len(edited) - len(text)) <= 1
        assert edited[0] == text[0]
        assert edited[-1] == text[-1]
    seen.clear()
    assert attack([text], np.array([0]), logits_of, 1, 10, 7, normalise=str.strip) == first
    seen.clear()
    attack([text], np.array([0]), logits_of, 1, 10, 8)
    assert seen[1][1] != tried, "another seed draws others"
