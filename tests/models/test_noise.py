"""Noise: what each kind does to plain texts, and what holds of any text."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.noise import Noise, is_lone, neighbours_of, perturb
from models.noise_data import CHINESE_LOOKS, CHINESE_SOUNDS, MISSPELLINGS, OCR

ENGLISH = "The committee will receive 250 million dollars before Wednesday, the Treasury said."
CHINESE = "他们在公司工作，银行的股票上升。"
TEXTS = st.text(max_size=60) | st.sampled_from([ENGLISH, CHINESE, "a", "é", "🍞 🍞", "第 1 章", "x" * 40])
NOISES = st.sampled_from(list(Noise))


def changed(text, noise, strength=1.0, seed=0):
    """Pairs of words that differ, of texts that keep their number of words."""
    before, after = text.split(), perturb(text, noise, strength, seed).split()
    assert len(before) == len(after)
    return [(old, new) for old, new in zip(before, after, strict=True) if old != new]


def test_a_neighbour_on_the_keyboard():
    assert sorted(neighbours_of("g")) == ["b", "f", "h", "t", "v", "y"]
    assert sorted(neighbours_of("q")) == ["a", "w"]
    assert sorted(neighbours_of("A")) == ["Q", "S", "W", "Z"]
    assert neighbours_of("5") == ["4", "6"]
    assert neighbours_of("é") == neighbours_of("!") == []
    for old, new in changed(ENGLISH, Noise.KEYBOARD):
        [(was, now)] = [(a, b) for a, b in zip(old, new, strict=True) if a != b]
        assert now in neighbours_of(was)


def test_misspellings_are_from_the_table_or_by_rule_and_keep_the_case():
    found = dict(changed(ENGLISH, Noise.MISSPELLING))
    assert found["The"] in ("Teh", "Hte")
    assert found["Wednesday,"] == "Wensday,"
    assert found["receive"] == "recieve"
    assert found["said."] == "siad."
    assert "250" not in found
    assert perturb("HTTPS SHAREHOLDER", Noise.MISSPELLING, 1.0, 0).endswith("SHAREHOLER")
    assert perturb("the zyxt", Noise.MISSPELLING, 1.0, 0, {"zyxt": ["zixt"]}) == "the zixt"


def test_what_a_scanner_takes_for_what():
    for old, new in changed(ENGLISH, Noise.OCR):
        taken = (
            old[:place] + other + old[place + len(sign) :]
            for place in range(len(old))
            for sign, others in OCR.items()
            if old.startswith(sign, place)
            for other in others
        )
        assert new in taken
    assert perturb("%%", Noise.OCR, 1.0, 0) == "%%"
    assert {perturb("rn", Noise.OCR, 1.0, seed) for seed in range(60)} >= {"m", "nn", "rri"}


def test_dropped_and_swapped_characters():
    for old, new in changed(ENGLISH, Noise.DROP):
        assert len(new) == len(old) - 1
        assert any(old[:place] + old[place + 1 :] == new for place in range(len(old)))
    for old, new in changed(ENGLISH, Noise.SWAP):
        assert sorted(new) == sorted(old)
        assert sum(a != b for a, b in zip(old, new, strict=True)) == 2
    assert perturb("a I", Noise.DROP, 1.0, 0) == "a I", "a word is not dropped whole"


def test_case_punctuation_spacing_and_lost_words():
    assert perturb(ENGLISH, Noise.CASE, 1.0, 3).lower() == ENGLISH.lower()
    assert perturb(ENGLISH, Noise.CASE, 1.0, 3) != ENGLISH
    stopped = perturb("one, two", Noise.PUNCTUATION, 1.0, 0)
    assert stopped.startswith("one two")
    assert stopped[-1] in ",.;:!?"
    assert perturb(ENGLISH, Noise.SPACING, 1.0, 0).replace(" ", "") == ENGLISH.replace(" ", "")
    kept = perturb(ENGLISH, Noise.WORD_DROP, 0.5, 0).split()
    assert len(kept) == len(ENGLISH.split()) // 2
    assert [word for word in ENGLISH.split() if word in kept] == kept
    assert len(perturb(ENGLISH, Noise.WORD_DROP, 1.0, 0).split()) == 1


def test_characters_stand_for_words_where_no_spaces_part_them():
    assert all(map(is_lone, "银行のไ"))
    assert not any(map(is_lone, "aé1，。"))
    for noise, table in ((Noise.MISSPELLING, CHINESE_SOUNDS), (Noise.OCR, CHINESE_LOOKS)):
        noised = perturb(CHINESE, noise, 1.0, 0)
        pairs = [(old, new) for old, new in zip(CHINESE, noised, strict=True) if old != new]
        assert pairs
        assert all(new in table[old] for old, new in pairs)
    assert len(perturb(CHINESE, Noise.DROP, 0.5, 0)) == len(CHINESE) - 7
    assert sorted(perturb(CHINESE, Noise.SWAP, 1.0, 0)) == sorted(CHINESE)
    assert perturb("银行", Noise.SPACING, 1.0, 0) == "银 行"
    assert perturb("银行", Noise.SWAP, 1.0, 0) == "行银"


@given(TEXTS, NOISES, st.floats(0, 1), st.integers(0, 9))
@settings(max_examples=300, deadline=None)
def test_any_text_comes_out_the_same_each_time_and_never_blank(text, noise, strength, seed):
    noised = perturb(text, noise, strength, seed)
    assert noised == perturb(text, noise, strength, seed)
    assert bool(noised.strip()) == bool(text.strip())
    assert perturb(text, noise, 0.0, seed) == text


@given(st.lists(st.sampled_from(ENGLISH.split()), min_size=1, max_size=30), st.integers(0, 99))
@settings(max_examples=100, deadline=None)
def test_a_stronger_noise_changes_what_a_weaker_one_does(words, seed):
    text = " ".join(words)
    before = set[int]()
    for strength in (0.1, 0.3, 0.7, 1.0):
        noised = perturb(text, Noise.KEYBOARD, strength, seed).split()
        now = {place for place, (old, new) in enumerate(zip(words, noised, strict=True)) if old != new}
        assert before <= now
        before = now
    assert len(before) == len(words), "each of these words has letters"


def test_the_share_is_right_over_many_texts():
    words = ENGLISH.split()
    texts = [f"{ENGLISH} {number}" for number in range(300)]
    count = sum(len(changed(text, Noise.KEYBOARD, 0.15)) for text in texts)
    assert count / (300 * (len(words) + 1)) == pytest.approx(0.15, abs=0.01)


def test_a_strength_is_a_share():
    for strength in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="must be within 0 to 1"):
            perturb("text", Noise.DROP, strength, 0)


def test_the_tables_hold_what_is_really_another():
    assert len(MISSPELLINGS) > 400
    for table in (MISSPELLINGS, OCR, CHINESE_LOOKS, CHINESE_SOUNDS):
        for right, wrong in table.items():
            assert wrong
            assert len(set(wrong)) == len(wrong)
            assert right not in wrong
            assert all(wrong)
    assert all(
        right == right.lower() and wrong == tuple(map(str.lower, wrong)) for right, wrong in MISSPELLINGS.items()
    )
    for table in (CHINESE_LOOKS, CHINESE_SOUNDS):
        assert all(map(is_lone, table))
