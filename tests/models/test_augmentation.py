"""Augmentation: deterministic, never blank, in the shares that are asked for; classes and neighbours make sense."""

from collections import Counter
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.augmentation import Rewriting, WordClasses, WordNeighbours, common_words, rewrite, words_in

MASK = "[MASK]"
TEXT = "The old cat sat, quietly, on the warm mat. (It purred!)"


def how(mask=0.0, same_class=0.0, neighbours=0.0, n_gram=0.0):
    return Rewriting(mask, same_class, neighbours, n_gram, MASK)


def swap(word, random):
    return {"cat": "dog", "old": "young", "purred": "barked", "猫": "狗", "mat": "地"}.get(word)


def test_masked_units_are_of_the_share_that_is_asked_for():
    texts = [f"one two three four five six seven {number}" for number in range(500)]
    masked = sum(rewrite(text, how(mask=0.3), 0, None, None).count(MASK) for text in texts)
    assert masked == pytest.approx(0.3 * 8 * 500, rel=0.06)


def test_a_run_of_one_to_five_units_is_kept_in_the_share_that_is_asked_for():
    texts = [f"{number} b c d e f g h" for number in range(1000)]
    made = [rewrite(text, how(n_gram=0.25), 0, None, None) for text in texts]
    cut = [text.split() for text, whole in zip(made, texts, strict=True) if text != whole]
    assert len(cut) == pytest.approx(250, rel=0.15)
    assert Counter(map(len, cut)).keys() == {1, 2, 3, 4, 5}
    assert all(text in whole for text, whole in zip(made, texts, strict=True))


def test_what_takes_a_words_place_keeps_its_punctuation_and_capital():
    made = rewrite(TEXT, how(same_class=1.0), 0, swap, None)
    assert made == "The young dog sat, quietly, on the warm mat. (It barked!)"
    assert rewrite("Cat!", how(neighbours=1.0), 0, None, swap) == "Dog!"


def test_scripts_without_spaces_are_changed_character_by_character():
    assert rewrite("黑猫在家", how(same_class=1.0), 0, swap, None) == "黑狗在家"
    assert rewrite("mat 猫", how(same_class=1.0), 0, swap, None) == "mat 狗", "no character for a word"
    assert rewrite("黑猫", how(mask=1.0), 0, None, None) == MASK * 2


@given(st.text(max_size=60), st.integers(0, 2**32), st.floats(0, 0.5), st.floats(0, 0.5), st.floats(0, 1))
def test_any_text_is_rewritten_the_same_each_time_and_never_blank(text, seed, mask, same_class, n_gram):
    options = how(mask, same_class, n_gram=n_gram)
    made = rewrite(text, options, seed, swap, None)
    assert made == rewrite(text, options, seed, swap, None)
    assert bool(made.strip()) == bool(text.strip())
    assert rewrite(text, how(), seed, None, None) == text or not text.strip() or text != text.strip()


def test_another_seed_is_another_copy():
    assert len({rewrite(TEXT, how(mask=0.4), seed, None, None) for seed in range(20)}) > 10


@pytest.mark.parametrize("shares", [(-0.1, 0, 0, 0), (0.5, 0.4, 0.2, 0), (0, 0, 0, 1.1), (float("nan"), 0, 0, 0)])
def test_shares_out_of_range_are_refused(shares):
    with pytest.raises(ValueError, match="within 0 to 1"):
        Rewriting(*shares, MASK)


def test_shares_that_are_one_but_for_rounding_are_taken():
    assert 0.33 + 0.56 + 0.11 > 1
    assert Rewriting(0.33, 0.56, 0.11, 0, MASK).mask == 0.33


def test_a_blank_mask_token_is_refused():
    with pytest.raises(ValueError, match="blank"):
        Rewriting(0.1, 0, 0, 0, " ")


def test_replacing_by_nothing_is_refused():
    with pytest.raises(ValueError, match="by which"):
        rewrite(TEXT, how(same_class=1.0), 0, None, None)


GRAMMAR = {
    "the": ["the", "a", "this", "every"],
    "noun": ["cat", "dog", "ship", "bank", "farm", "king"],
    "verb": ["sees", "likes", "finds", "takes", "sells"],
}


def grammar_texts():
    random = Random(0)
    pick = {name: lambda words=words: random.choice(words) for name, words in GRAMMAR.items()}
    return [f"{pick['the']()} {pick['noun']()} {pick['verb']()} {pick['the']()} {pick['noun']()}" for _ in range(600)]


def test_words_that_stand_among_the_same_words_are_of_a_class():
    classes = WordClasses.learn(grammar_texts)
    groups = classes.groups()
    kind = {word: name for name, words in GRAMMAR.items() for word in words}
    assert all(len({kind[word] for word in group}) == 1 for group in groups), groups
    assert sorted(word for group in groups for word in group) == sorted(kind)
    random = Random(1)
    drawn = Counter(classes("cat", random) for _ in range(300))
    assert "cat" not in drawn
    assert {kind[word] for word in drawn} == {"noun"}
    assert len(drawn) > 2
    assert classes("unheard", random) is None
    assert WordClasses.learn(grammar_texts).groups() == groups, "the same each time"


def test_common_words_are_drawn_more_often():
    classes = WordClasses({"often": 90, "seldom": 10, "word": 1}, np.zeros(3, np.int64))
    drawn = Counter(classes("word", Random(seed)) for seed in range(400))
    assert drawn["often"] > 5 * drawn["seldom"] > 0


def test_no_texts_no_classes():
    assert WordClasses.learn(list)("any", Random(0)) is None


def test_neighbours_are_the_closest_by_cosine():
    words = ["north", "northeast", "east", "south", "far-north"]
    vectors = np.array([[0, 1], [0.5, 0.9], [1, 0], [0, -1], [0, 9]], np.float32)
    neighbours = WordNeighbours(words, vectors, closest=2)
    assert {neighbours("north", Random(seed)) for seed in range(30)} == {"far-north", "northeast"}
    assert neighbours("up", Random(0)) is None
    assert WordNeighbours(["alone"], vectors[:1])("alone", Random(0)) is None


def test_words_are_looked_up_in_lower_case_without_punctuation():
    assert words_in('"Oil," said the 球 (BANK) -- 3.5%') == ["oil", "said", "the", "球", "bank", "3.5"]
    counts = common_words(["a b", "A b", "c"], most=2)
    assert counts == {"a": 2, "b": 2}


def test_the_common_words_are_found_where_there_are_very_many_rare_ones():
    texts = [f"the a rare{number} " for number in range(1000)]
    assert common_words(texts, most=2) == {"a": 1000, "the": 1000}
    repeated = [f"the a twice{number // 2} " for number in range(1000)]
    assert common_words(repeated, most=2) == {"a": 1000, "the": 1000}
