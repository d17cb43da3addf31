"""More transfer texts out of those there are: masked, replaced and cut-out words.

After Tang et al. 2019, "Distilling Task-Specific Knowledge from BERT into Simple Neural Networks", section 3.3, and
TinyBERT (Jiao et al. 2020). As in models/noise.py a unit is a word, or a character of a script without spaces.
"""

import hashlib
from bisect import bisect
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from random import Random

import numpy as np
from numpy.typing import NDArray

from models.noise import UNIT, is_lone

ROUNDING = 1e-9
"""By how much the sum of shares that are 1 together may miss it."""
MOST_WORDS = 20_000
"""Words that are sorted into classes, or have neighbours, the commonest first."""
_CONTEXT_WORDS = 250
_COMPONENTS = 50
_CLASSES = 100
_LONGEST_RUN = 5
_AT_A_TIME = 256
_EDGE = "\n"
"""Stands for the beginning and the end of a text; no unit holds it."""


@dataclass(frozen=True)
class Rewriting:
    """How much of a text is changed, and how; each unit in one way at most.

    Attributes:
        mask: share of units replaced by the mask token.
        same_class: share replaced by a word of the same class.
        neighbours: share replaced by a word that is close in meaning.
        n_gram: share of texts of which only a run of one to five units is kept.
        mask_token: what stands for a masked unit.
    """

    mask: float
    same_class: float
    neighbours: float
    n_gram: float
    mask_token: str

    def __post_init__(self) -> None:
        """Raises ValueError for a share out of range, or a blank mask token."""
        shares = (self.mask, self.same_class, self.neighbours)
        together = sum(shares) <= 1 + ROUNDING
        if not (together and all(0 <= share <= 1 for share in (*shares, self.n_gram))):  # not so with NaN either
            raise ValueError(f"shares {shares} and {self.n_gram} must be within 0 to 1, the first three together too")
        if not self.mask_token.strip():
            raise ValueError("the mask token is blank; texts of one word would become so too")


Replacer = Callable[[str, Random], str | None]
"""From a word in lower case to another; None where it knows of none."""


def rewrite(text: str, how: Rewriting, seed: int, same_class: Replacer | None, neighbour: Replacer | None) -> str:
    """A changed copy of a text; the same for the same text and seed.

    What is looked up is the word in lower case without the punctuation around it; what takes its place keeps that
    punctuation and a capital first letter. No text becomes blank.

    Args:
        text: any.
        how: the shares.
        seed: of what is changed.
        same_class: gives a word of the same class; needed where that share is above 0.
        neighbour: gives a word close in meaning; likewise.
    """
    found = list(UNIT.finditer(text))
    if not found:
        return text
    digest = hashlib.sha256(f"{seed}\0{text}".encode("utf-8", "surrogatepass")).digest()
    random = Random(int.from_bytes(digest[:8], "big"))  # noqa: S311
    units = [unit.group() for unit in found]
    first, last = 0, len(units)
    if random.random() < how.n_gram:
        length = random.randint(1, min(_LONGEST_RUN, len(units)))
        first = random.randint(0, len(units) - length)
        last = first + length
    classes, close = how.mask + how.same_class, how.mask + how.same_class + how.neighbours
    changed = []
    for place in range(first, last):
        unit, drawn = units[place], random.random()
        if drawn < how.mask:
            unit = how.mask_token
        elif drawn < close:
            unit = _replaced(unit, same_class if drawn < classes else neighbour, random)
        gap = text[found[place].end() : found[place + 1].start()] if place + 1 < last else ""
        changed.append(unit + gap)
    return "".join(changed)


def _replaced(unit: str, replacer: Replacer | None, random: Random) -> str:
    """The unit with another word in it, if it holds one and another is known."""
    if replacer is None:
        raise ValueError("words are to be replaced, but nothing says by which")
    start, stop = _bare(unit)
    word = unit[start:stop]
    other = replacer(word.lower(), random) if word else None
    # A word in place of a character would grow together with the words beside it.
    if other is None or is_lone(other) != is_lone(word):
        return unit
    return unit[:start] + (other[:1].upper() + other[1:] if word[0].isupper() else other) + unit[stop:]


def _bare(unit: str) -> tuple[int, int]:
    """Where a unit's word begins and ends: without the punctuation around it."""
    start, stop = 0, len(unit)
    while start < stop and not unit[start].isalnum():
        start += 1
    while stop > start and not unit[stop - 1].isalnum():
        stop -= 1
    return start, stop


def words_in(text: str) -> list[str]:
    """The words of a text as they are looked up: in lower case, without the punctuation around them."""
    words = []
    for unit in UNIT.findall(text):
        start, stop = _bare(unit)
        if stop > start:
            words.append(unit[start:stop].lower())
    return words


def common_words(texts: Iterable[str], most: int = MOST_WORDS) -> dict[str, int]:
    """How often the commonest words of some texts stand there, the commonest first; those that do so once are left out.

    Rare words are dropped on the way where there are very many, so that memory does not grow with the texts.
    """
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(words_in(text))
        if len(counts) > 50 * most:  # half go, the rarest, so that this is not due again with the next text
            counts = Counter(dict(counts.most_common(25 * most)))
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:most]
    return {word: count for word, count in ordered if count > 1}


class WordClasses:
    """Words that stand among the same words, in place of parts of speech: no tagger is needed, whatever the language.

    Each common word is described by how often each of the commonest words stands before and behind it (Schuetze 1995,
    "Distributional part-of-speech tagging"), square roots of shares reduced to their principal components, and put into
    classes by k-means. Called with a word, it draws another of its class, the common ones more often, as Tang et al. do
    within a part of speech. The same texts give the same classes, but for ties on another processor.
    """

    def __init__(self, words: Mapping[str, int], class_of: NDArray[np.integer]) -> None:
        """Takes words with how often they stand there, and the class of each, [words]."""
        members: dict[int, list[str]] = {}
        for word, number in zip(words, class_of.tolist(), strict=True):
            members.setdefault(number, []).append(word)
        self._members = {number: some for number, some in members.items() if len(some) > 1}
        self._sums = {number: list(accumulate(words[word] for word in some)) for number, some in self._members.items()}
        self._class_of = {word: number for number, some in self._members.items() for word in some}

    @classmethod
    def learn(cls, texts: Callable[[], Iterable[str]], most: int = MOST_WORDS) -> "WordClasses":
        """Learns the classes from texts that can be gone through twice."""
        words = common_words(texts(), most)
        if len(words) < 4:
            return cls(words, np.zeros(len(words), np.int64))
        return cls(words, _clusters(_contexts(texts(), list(words))))

    def groups(self) -> list[list[str]]:
        """The classes, each with its words, the commonest first."""
        return list(self._members.values())

    def __call__(self, word: str, random: Random) -> str | None:
        """Another word of the same class; None for a word without a class."""
        number = self._class_of.get(word)
        if number is None:
            return None
        members, sums = self._members[number], self._sums[number]
        for _ in range(4):  # in a class of one common word and rare ones it may come up again and again
            other = members[bisect(sums, random.random() * sums[-1])]
            if other != word:
                return other
        return members[0] if members[0] != word else members[1]


class WordNeighbours:
    """Words close in meaning, by the cosine of their vectors. Called with a word, it draws one of its closest."""

    def __init__(self, words: Sequence[str], vectors: NDArray[np.floating], closest: int = 15) -> None:
        """Takes words, each once and in lower case, and their vectors, [words, width]."""
        size = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit = (vectors / np.maximum(size, 1e-12)).astype(np.float32)
        count = min(closest, len(words) - 1)
        self._close: dict[str, list[str]] = {}
        for start in range(0, len(words) if count > 0 else 0, _AT_A_TIME):
            alike = unit[start : start + _AT_A_TIME] @ unit.T
            rows = np.arange(len(alike))
            alike[rows, start + rows] = -np.inf
            nearest = np.argpartition(-alike, count - 1, axis=1)[:, :count]
            for row, places in enumerate(np.sort(nearest, axis=1).tolist()):
                self._close[words[start + row]] = [words[place] for place in places]

    def __call__(self, word: str, random: Random) -> str | None:
        """One of the word's closest; None for a word without a vector."""
        close = self._close.get(word)
        return close[int(random.random() * len(close))] if close else None


def _contexts(texts: Iterable[str], words: Sequence[str]) -> NDArray[np.float32]:
    """How often each of the commonest words stands before and behind each word, [words, 2 * (contexts + 2)]."""
    row_of = {word: row for row, word in enumerate(words)}
    column_of = {word: column for column, word in enumerate(words[:_CONTEXT_WORDS])} | {_EDGE: _CONTEXT_WORDS}
    rest, width = _CONTEXT_WORDS + 1, _CONTEXT_WORDS + 2
    counts = np.zeros((len(words), 2 * width), np.float32)
    for text in texts:
        for left, right in pairwise([_EDGE, *words_in(text), _EDGE]):
            if right in row_of:
                counts[row_of[right], column_of.get(left, rest)] += 1
            if left in row_of:
                counts[row_of[left], width + column_of.get(right, rest)] += 1
    return counts


def _clusters(counts: NDArray[np.float32]) -> NDArray[np.integer]:
    """The class of each word, [words], by its contexts."""
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA

    shares = np.sqrt(counts / np.maximum(counts.sum(1, keepdims=True), 1))
    components = min(_COMPONENTS, *(size - 1 for size in shares.shape))
    reduced = PCA(components, svd_solver="covariance_eigh").fit_transform(shares)
    clusters = min(_CLASSES, max(2, len(counts) // 5))
    found: NDArray[np.integer] = KMeans(clusters, n_init=1, random_state=0, max_iter=50).fit(reduced).labels_
    return found
