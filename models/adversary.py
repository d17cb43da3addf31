"""A greedy adversary who edits a character or two where it hurts a classifier most.

Pruthi, Dhingra and Lipton 2019, "Combating Adversarial Misspellings with Robust Word Recognition", ACL.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray

from models.noise import is_lone, neighbours_of
from models.noise_data import CHINESE_LOOKS

LogitsOf = Callable[[Sequence[int], Sequence[str]], NDArray[np.floating]]
"""Logits [texts, classes] of texts; the numbers say which of the attacked texts each was made of."""

# The first and the last letter stay, as readers need them; so words of four letters have two that may be edited.
_WORD = re.compile(r"[^\W\d_]{4,}")


@dataclass(frozen=True)
class Attacked:
    """What became of one text.

    Attributes:
        texts: as it was, after one edit, after two ..., each the worst that was found.
        right: whether the classifier names the gold class of each.
    """

    texts: tuple[str, ...]
    right: tuple[bool, ...]


def attack(
    texts: Sequence[str],
    gold: NDArray[np.integer],
    logits_of: LogitsOf,
    edits: int,
    candidates: int,
    seed: int,
    normalise: Callable[[str], str] = lambda text: text,
    reach: Sequence[int] | None = None,
) -> list[Attacked]:
    """Attacks each text that the classifier gets right, an edit at a time.

    An edit swaps two neighbouring characters, drops one, replaces one by a neighbour on the keyboard or puts one in;
    all inside words of four letters and more. In scripts without spaces it swaps, drops or takes for another that looks
    alike any character but the first and the last. Of the edits that were tried the one is kept that leaves the gold
    class least ahead of the others, if it is less ahead than before. A text that is wrong is left alone.

    Args:
        texts: what to attack.
        gold: class of each, [texts].
        logits_of: the classifier, called once before and once for each edit.
        edits: how many, one after the other.
        candidates: how many are tried of each text at a time, drawn at random.
        seed: of the draw, together with the text.
        normalise: what the classifier's texts go through.
        reach: characters at each text's beginning that the classifier reads, and edits may change; without it, all.
    """
    ahead = _ahead(logits_of(range(len(texts)), texts), gold)
    histories = [([text], [bool(margin > 0)]) for text, margin in zip(texts, ahead, strict=True)]
    for edit in range(edits):
        rows, tried = list[int](), list[str]()
        for row, (seen, right) in enumerate(histories):
            if right[-1]:
                found = _candidates(
                    seen[-1], None if reach is None else reach[row], candidates, f"{seed} {edit}", normalise
                )
                rows += [row] * len(found)
                tried += found
        margins = _ahead(logits_of(rows, tried), gold[rows]) if rows else np.empty(0)
        tried_of: dict[int, list[int]] = {}
        for place, row in enumerate(rows):
            tried_of.setdefault(row, []).append(place)
        for row, (seen, right) in enumerate(histories):
            worst = min(tried_of.get(row, []), key=lambda place: float(margins[place]), default=None)
            if worst is not None and margins[worst] < ahead[row]:
                ahead[row] = margins[worst]
                seen.append(tried[worst])
            else:
                seen.append(seen[-1])
            right.append(bool(ahead[row] > 0))
    return [Attacked(tuple(seen), tuple(right)) for seen, right in histories]


def _ahead(logits: NDArray[np.floating], gold: NDArray[np.integer]) -> NDArray[np.float64]:
    """The gold class's logit less the largest other one, [texts]; of equal ones the first class is named."""
    rows = np.arange(len(gold))
    others = logits.astype(np.float64)
    mine = others[rows, gold].copy()
    others[rows, gold] = -np.inf
    ahead: NDArray[np.float64] = mine - others.max(axis=-1)
    tied = (ahead == 0) & (logits.argmax(-1) == gold)
    return np.where(tied, np.finfo(np.float64).tiny, ahead)


def _candidates(text: str, reach: int | None, count: int, salt: str, normalise: Callable[[str], str]) -> list[str]:
    """Different texts that are one edit away, in random order."""
    random = Random(hashlib.sha256(f"{salt}\0{text}".encode("utf-8", "surrogatepass")).digest())  # noqa: S311
    places = [place for place in _places(text) if reach is None or place < reach]
    found: dict[str, None] = {}
    for _ in range(4 * count if places else 0):  # some are the same, or change nothing
        edited = normalise(_edited(text, places[int(random.random() * len(places))], random))
        if edited != text and edited:
            found[edited] = None
        if len(found) == count:
            break
    return list(found)


def _places(text: str) -> list[int]:
    """Where characters may be edited."""
    inside = [place for word in _WORD.finditer(text) for place in range(word.start() + 1, word.end() - 1)]
    return [place for place in inside if not is_lone(text[place])] + [
        place for place in range(1, len(text) - 1) if is_lone(text[place])
    ]


def _edited(text: str, place: int, random: Random) -> str:
    sign = text[place]
    lone = is_lone(sign)
    others = list(CHINESE_LOOKS.get(sign, ())) if lone else neighbours_of(sign)
    kind = int(random.random() * 4)
    if kind == 0 and others:
        return text[:place] + others[int(random.random() * len(others))] + text[place + 1 :]
    if kind == 1 and others and not lone:
        return text[:place] + others[int(random.random() * len(others))] + text[place:]
    if kind == 2:
        return text[:place] + text[place + 1 :]
    after = text[place + 1]
    fits = place + 2 < len(text) and (is_lone(after) if lone else after.isalpha() and text[place + 2].isalpha())
    return text[:place] + after + sign + text[place + 2 :] if fits else text
