"""Normal form, keys and the order of the draw: other versions' files depend on these exact values."""

import hashlib
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tasks.shared.texts import NORMALISATION, draw_order, normalise, shortened, text_key

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@given(texts)
@example("e\u0301 \u2028 \u00e9\x85")
@example("\u0344\u0301 \u1100\u1161\u11a8")
@example(" \u0301")  # a space that normalisation could join to what follows
def test_normalising_twice_changes_nothing(text):
    once = normalise(text)
    assert normalise(once) == once
    assert unicodedata.is_normalized("NFC", once)
    assert not once or not (once[0].isspace() or once[-1].isspace())
    assert text_key(normalise(once)) == text_key(once)


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("cafe\u0301", "café"),
        ("  two\t\nlines\u00a0 here\u3000", "two lines here"),
        ("你好，世界 👩‍👩‍👧", "你好，世界 👩‍👩‍👧"),
        ("ﬁ Ａ ²", "ﬁ Ａ ²"),  # compatibility forms are other characters
        ("Case Stays", "Case Stays"),
        ("\u2028\x85\x0b ", ""),
    ],
)
def test_normal_form(text, normal):
    assert normalise(text) == normal


def test_a_key_is_the_hash_of_the_length_prefixed_text():
    data = "你好".encode()
    assert text_key("你好") == hashlib.sha256(len(data).to_bytes(8, "big") + data).digest()
    assert text_key("").hex() == "af5570f5a1810b7af78caf4bc70a660f0df51e42baf91d4de5b2328de0e83dfc"


@given(texts, texts)
def test_a_pair_is_another_text_than_its_joined_parts(text, pair):
    keys = [text_key(text, pair), text_key(text), text_key(text + pair)]
    assert keys[0] not in keys[1:]
    assert (text_key(pair, text) == keys[0]) == (text == pair)


def test_the_border_within_a_pair_counts():
    assert len({text_key("a", "b"), text_key("ab"), text_key("ab", ""), text_key("", "ab"), text_key("a b")}) == 5


def test_the_draw_is_the_same_everywhere():
    assert NORMALISATION == 1
    assert draw_order(0, text_key("the")) == 521359872611353617
    assert draw_order(1, text_key("the")) != draw_order(0, text_key("the"))


@given(st.integers(0, 2**32 - 1), texts)
def test_the_draw_gives_63_bits(seed, text):
    assert 0 <= draw_order(seed, text_key(text)) < 2**63


def test_a_long_text_is_cut_between_words_and_says_so():
    assert shortened("oil prices rose", 15) == "oil prices rose"
    assert shortened("oil prices rose again", 17) == "oil prices rose…"
    assert shortened("oil prices rose again", 16) == "oil prices rose…"
    assert shortened("面" * 30, 10) == "面" * 9 + "…", "where there is no gap, anywhere"
    assert len(shortened("word " * 100, 50)) <= 50
