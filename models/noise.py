"""Noise that real texts have: typing errors, misspellings, scanning errors, lost words. For measuring and for training.

Noise changes *units*: words, or single characters of scripts that put no spaces between words.
"""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from random import Random

from models.noise_data import CHINESE_LOOKS, CHINESE_SOUNDS, KEY_ROWS, MISSPELLINGS, OCR


class Noise(StrEnum):
    """Kinds of noise."""

    KEYBOARD = "keyboard"
    """A letter or digit replaced by its neighbour on a keyboard."""
    MISSPELLING = "misspelling"
    """The word as it is often misspelt: from a table, else by a rule; a Chinese character by one of the same sound."""
    OCR = "ocr"
    """A sign, or two, taken for what looks alike."""
    DROP = "drop"
    """A character left out."""
    SWAP = "swap"
    """Two neighbouring characters swapped."""
    CASE = "case"
    """The word in another case."""
    PUNCTUATION = "punctuation"
    """Punctuation lost behind a word, or added."""
    SPACING = "spacing"
    """The space between two words lost, or one put into a word."""
    WORD_DROP = "word-drop"
    """A word left out."""


# Ideographs, kana, Thai, Lao, Burmese, Khmer: no spaces between words.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
UNIT = re.compile(rf"[{_UNSPACED}]|[^\s{_UNSPACED}]+")
_LONE = re.compile(rf"[{_UNSPACED}]")
_STOPS, _CHINESE_STOPS = ",.;:!?", "，。；：！？、"

Change = tuple[str, str]
"""A unit and the gap behind it, as they become."""
Noiser = Callable[[str, str, str, Random, Mapping[str, Sequence[str]]], Change | None]
"""From a unit, the gap behind it and the next unit ('' at the end) to the change; None where nothing can change."""


def perturb(
    text: str, noise: Noise, strength: float, seed: int, misspellings: Mapping[str, Sequence[str]] = MISSPELLINGS
) -> str:
    """The text with noise in a share of those of its units that this noise can change.

    The same text, noise and seed give the same result everywhere, and a stronger noise makes the weaker one's changes
    too: random numbers do not depend on the strength. How many units change is rounded up or down at random, such that
    the share is right over many texts. No text becomes blank.

    Args:
        text: any.
        noise: its kind.
        strength: the share, within 0 to 1.
        seed: of what is changed, and how.
        misspellings: of words, in lower case.

    Raises:
        ValueError: the strength is out of range.
    """
    if not 0 <= strength <= 1:
        raise ValueError(f"strength is {strength}, must be within 0 to 1")
    random = Random(hashlib.sha256(f"{seed}\0{noise}\0{text}".encode("utf-8", "surrogatepass")).digest())  # noqa: S311
    rounding = random.random()
    found = list(UNIT.finditer(text))
    if not found:
        return text
    ends = [*(unit.start() for unit in found[1:]), len(text)]
    units = [unit.group() for unit in found]
    gaps = [text[unit.end() : end] for unit, end in zip(found, ends, strict=True)]
    changes: list[tuple[float, int, Change]] = []
    for place, (unit, gap, after) in enumerate(zip(units, gaps, [*units[1:], ""], strict=True)):
        change = _NOISERS[noise](unit, gap, after, random, misspellings)
        if change is not None:
            changes.append((random.random(), place, change))
    count = int(strength * len(changes) + rounding)
    if noise is Noise.WORD_DROP:
        count = min(count, len(units) - 1)
    swapped = set[int]()
    for _, place, (unit, gap) in sorted(changes)[:count]:
        if noise is Noise.SWAP and is_lone(unit):
            if not swapped & {place, place + 1}:
                units[place], units[place + 1] = units[place + 1], units[place]
                swapped |= {place, place + 1}
        else:
            units[place], gaps[place] = unit, gap
    noised = text[: found[0].start()] + "".join(map("".join, zip(units, gaps, strict=True)))
    return noised if noised.strip() else text


def is_lone(unit: str) -> bool:
    """Whether a unit is a character of a script without spaces."""
    return _LONE.fullmatch(unit) is not None


def neighbours_of(sign: str) -> list[str]:
    """The keys next to a letter's or digit's, in its case; none of other signs."""
    near = _NEAR.get(sign.lower(), [])
    return [key.upper() for key in near] if sign.isupper() else near


def _near() -> dict[str, list[str]]:
    """Neighbours within a row and in the rows above and below, which are half a key apart."""
    places = {key: (place + 0.5 * row, row) for row, keys in enumerate(KEY_ROWS) for place, key in enumerate(keys)}
    return {
        key: [
            other
            for other, (across, down) in places.items()
            if other != key and abs(down - row) <= 1 and abs(across - place) <= 1 and other.isalpha() == key.isalpha()
        ]
        for key, (place, row) in places.items()
    }


_NEAR = _near()


def _pick(random: Random, items: Sequence[str]) -> str:
    return items[int(random.random() * len(items))]


def _letters(unit: str) -> list[int]:
    """Places of letters and digits."""
    return [place for place, sign in enumerate(unit) if sign.isalnum()]


def _at(unit: str, place: int, length: int, new: str) -> str:
    return unit[:place] + new + unit[place + length :]


def _keyboard(unit: str, gap: str, after: str, random: Random, words: Mapping[str, Sequence[str]]) -> Change | None:
    places = [place for place in _letters(unit) if neighbours_of(unit[place])]
    if not places:
        return None
    place = places[int(random.random() * len(places))]
    return _at(unit, place, 1, _pick(random, neighbours_of(unit[place]))), gap


_RULES = [
    (re.compile(pattern), new)
    for pattern, new in (
        (r"([a-z])\1", r"\1"),  # tomorrow, tomorow
        (r"(?<=[aeiou])([bdfglmnprst])(?=[aeiouy])", r"\1\1"),  # imagine, immagine
        (r"ie", "ei"),
        (r"ei", "ie"),
        (r"ance$", "ence"),
        (r"ence$", "ance"),
        (r"able$", "ible"),
        (r"ible$", "able"),
        (r"ant$", "ent"),
        (r"ent$", "ant"),
        (r"(?<=[a-z]{3})e$", ""),
        (r"ph", "f"),
        (r"ck", "k"),
        (r"(?<=[a-z])e(?=[a-z])", "a"),
        (r"(?<=[a-z])a(?=[a-z])", "e"),
        (r"(?<=[a-z])i(?=[a-z])", "e"),
        (r"(?<=[a-z])o(?=[a-z])", "u"),
    )
]
_SHORTEST_BY_RULE = 4


def _misspelling(unit: str, gap: str, after: str, random: Random, words: Mapping[str, Sequence[str]]) -> Change | None:
    if unit in CHINESE_SOUNDS:
        return _pick(random, CHINESE_SOUNDS[unit]), gap
    places = _letters(unit)
    if not places:
        return None
    start, end = places[0], places[-1] + 1
    word = unit[start:end].lower()
    wrong = list(words.get(word, ()))
    if not wrong and len(word) >= _SHORTEST_BY_RULE:
        wrong = [found for rule, new in _RULES if (found := rule.sub(new, word, count=1)) != word]
    if not wrong:
        return None
    return _at(unit, start, end - start, _in_case_of(unit[start:end], _pick(random, wrong))), gap


def _in_case_of(word: str, new: str) -> str:
    if word.isupper() and len(word) > 1:
        return new.upper()
    return new[:1].upper() + new[1:] if word[:1].isupper() else new


def _ocr(unit: str, gap: str, after: str, random: Random, words: Mapping[str, Sequence[str]]) -> Change | None:
    if unit in CHINESE_LOOKS:
        return _pick(random, CHINESE_LOOKS[unit]), gap
    found = [
        (place, length, unit[place : place + length])
        for length in (1, 2)
        for place in range(len(unit) - length + 1)
        if unit[place : place + length] in OCR
    ]
    if not found:
        return None
    place, length, signs = found[int(random.random() * len(found))]
    return _at(unit, place, length, _pick(random, OCR[signs])), gap


def _drop(unit: str, gap: str, after: str, random: Random, words: Mapping[str, Sequence[str]]) -> Change | None:
    places = _letters(unit)
    if is_lone(unit):
        return "", gap
    if len(places) < 2:
        return None
    return _at(unit, places[int(random.random() * len(places))], 1, ""), gap


def _swap(unit: str, gap: str, after: str, random: Random, words: Mapping[str, Sequence[str]]) -> Change | None:
    if is_lone(unit):
        return (after, gap) if after != unit and is_lone(after) else None  # with the next unit, as `perturb` does it
    places = [place for place in _letters(unit) if unit[place : place + 2].isalnum() and len(unit) > place + 1]
    places = [place for place in places if unit[place] != unit[place + 1]]
    if not places:
        return None
    place = places[int(random.random() * len(places))]
    return _at(unit, place, 2, unit[place + 1] + unit[place]), gap


def _case(unit: str, gap: str, after: str, random: Random, words: Mapping[str, Sequence[str]]) -> Change | None:
    others = [form for form in (unit.upper(), unit.lower(), unit[:1].upper() + unit[1:].lower()) if form != unit]
    return (_pick(random, others), gap) if others else None


def _punctuation(unit: str, gap: str, after: str, random: Random, words: Mapping[str, Sequence[str]]) -> Change | None:
    if unit[-1] in _STOPS + _CHINESE_STOPS:
        return unit[:-1], gap
    return unit + _pick(random, _CHINESE_STOPS if is_lone(unit) else _STOPS), gap


def _spacing(unit: str, gap: str, after: str, random: Random, words: Mapping[str, Sequence[str]]) -> Change | None:
    lose = gap != "" and after != ""
    if is_lone(unit):
        return (unit, "" if lose else " ") if after else None
    split = len(unit) > 1
    if lose and (not split or random.random() < 0.5):
        return unit, ""
    if not split:
        return None
    place = 1 + int(random.random() * (len(unit) - 1))
    return f"{unit[:place]} {unit[place:]}", gap


def _word_drop(unit: str, gap: str, after: str, random: Random, words: Mapping[str, Sequence[str]]) -> Change | None:
    return "", gap


_NOISERS: Mapping[Noise, Noiser] = {
    Noise.KEYBOARD: _keyboard,
    Noise.MISSPELLING: _misspelling,
    Noise.OCR: _ocr,
    Noise.DROP: _drop,
    Noise.SWAP: _swap,
    Noise.CASE: _case,
    Noise.PUNCTUATION: _punctuation,
    Noise.SPACING: _spacing,
    Noise.WORD_DROP: _word_drop,
}
