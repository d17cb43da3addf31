"""Which groups of labelled rows are dev and which gold, where a group stays whole; a row alone is a group of one."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from math import fsum

import numpy as np
from numpy.typing import NDArray

from tasks.shared.texts import draw_order

LEFT, TO_DEV, TO_GOLD = range(3)
Counts = Mapping[int, int]
"""Rows by class."""


@dataclass
class _Part:
    """What a part is to have of each class, and has."""

    wanted: Counts
    has: Counter[int] = field(default_factory=Counter)

    @property
    def full(self) -> bool:
        """Whether no group can bring it nearer to what is wanted."""
        return all(self.has[number] >= wanted for number, wanted in self.wanted.items())

    def farther(self, counts: Counts) -> float:
        """By how much more it would be off with such a group: shares of what is wanted, summed over the classes."""
        return fsum(
            (abs(self.wanted[number] - self.has[number] - more) - abs(self.wanted[number] - self.has[number]))
            / max(self.wanted[number], 1)
            for number, more in counts.items()
        )


@dataclass
class _Groups:
    """The groups in the order of the draw.

    Attributes:
        numbers: of each row's group, [rows].
        places: where each goes, [groups].
        labels: class of each row, [rows].
    """

    numbers: NDArray[np.intp]
    places: NDArray[np.uint8]
    labels: NDArray[np.int32]

    def __post_init__(self) -> None:
        self._rows = np.argsort(self.numbers, kind="stable")
        self._ends = np.cumsum(np.bincount(self.numbers, minlength=len(self.places)))

    def counts(self, group: int) -> Counter[int]:
        """Its rows by class."""
        start = self._ends[group - 1] if group else 0
        return Counter(self.labels[self._rows[start : self._ends[group]]].tolist())

    def left(self) -> list[int]:
        """Those that have no place."""
        found: list[int] = np.flatnonzero(self.places == LEFT).tolist()
        return found

    def fill(self, part: _Part, place: int, may: Callable[[Counts], bool] = lambda counts: True) -> None:
        """Gives a part each group that brings it nearer to what is wanted."""
        for group in self.left():
            if part.full:
                return
            counts = self.counts(group)
            if part.farther(counts) < 0 and may(counts):
                self.give(group, part, place)

    def give_nearest(self, part: _Part, place: int, may: Callable[[Counts], bool]) -> None:
        """Gives a part the group, of those that may be, with which it is off least; the first one of equals."""
        fitting = [group for group in self.left() if may(self.counts(group))]
        if fitting:
            self.give(min(fitting, key=lambda group: part.farther(self.counts(group))), part, place)

    def give(self, group: int, part: _Part, place: int) -> None:
        """Gives a part a group."""
        self.places[group] = place
        part.has.update(self.counts(group))


def allot(
    groups: NDArray[np.bytes_], labels: NDArray[np.int32], dev: Counts, kept: Counts, seed: int
) -> NDArray[np.uint8]:
    """Goes through the groups in the order of a hash of (seed, group), first for dev and then for gold.

    A part takes each group that brings it nearer to what is wanted, so that rows that are groups of their own are dealt
    out exactly. Where each group is too large for that, the one that is off least is taken: for dev, if it leaves gold
    something of every class; for gold, for each class that it lacks.

    Args:
        groups: key of each row's group, [rows].
        labels: class of each, [rows].
        dev: rows of each class wanted in dev.
        kept: rows of each class wanted in dev and gold together.
        seed: of the draw.

    Returns:
        Where each row goes, [rows]: `LEFT`, `TO_DEV` or `TO_GOLD`.
    """
    names, numbers = np.unique(groups, return_inverse=True)
    order = np.fromiter((draw_order(seed, name.ljust(32, b"\0")) for name in names), np.int64, len(names))
    rank = np.empty(len(names), np.intp)
    rank[np.argsort(order, kind="stable")] = np.arange(len(names))
    every = _Groups(rank[numbers], np.full(len(names), LEFT, np.uint8), labels)
    all_of = Counter(labels.tolist())
    for_dev = _Part(dev)

    def leaves_some(counts: Counts) -> bool:
        return all(for_dev.has[number] + more < all_of[number] for number, more in counts.items())

    every.fill(for_dev, TO_DEV, leaves_some)
    if any(dev.values()) and not for_dev.has:
        every.give_nearest(for_dev, TO_DEV, leaves_some)
    if all(kept[number] == count for number, count in all_of.items()):
        every.places[every.places == LEFT] = TO_GOLD
    gold = _Part({number: max(count - for_dev.has[number], 1) for number, count in kept.items()})
    every.fill(gold, TO_GOLD)
    for number in kept:
        if not gold.has[number]:
            every.give_nearest(gold, TO_GOLD, partial(_has, number))
    found: NDArray[np.uint8] = every.places[every.numbers]
    return found


def _has(number: int, counts: Counts) -> bool:
    """Whether there is a row of a class."""
    return number in counts
