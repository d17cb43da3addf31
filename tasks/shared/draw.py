"""The draw: which row goes to which part. Decided by texts, labels and a seed, never by row numbers."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from tasks.shared.dataset import KEY, NO_LABEL
from tasks.shared.errors import StillhouseError, brief
from tasks.shared.recipe_data import Data
from tasks.shared.sources import Source
from tasks.shared.steps import Advance
from tasks.shared.texts import draw_order, normalise, text_key

DROPPED, GOLD, DEV, TRANSFER = range(4)
_ROWS_AT_ONCE = 1024
_MANY_CLASSES = 100
"""From here on, labels of which most have one row only are taken for a column of texts or numbers."""

Item = TypeVar("Item")


Text = tuple[bytes, str, str | None, str | None]
"""Key, normalised text, normalised pair, label."""


class Classes:
    """The classes of the data and their numbers."""

    def __init__(self, names: Sequence[str], numbered: bool) -> None:
        """`numbered`: a label that is a number n means the class at position n."""
        self.names = list(names)
        self._numbers = {str(number): number for number in range(len(names))} if numbered else {}
        self._numbers |= {name: number for number, name in enumerate(names)}

    def __contains__(self, label: str) -> bool:
        """Whether a label as it was read means one of the classes."""
        return label in self._numbers

    def number(self, label: str | None) -> int:
        """Number of a label as it was read, `NO_LABEL` for none."""
        return NO_LABEL if label is None else self._numbers[label]


@dataclass(frozen=True)
class Scan:
    """What the draw knows of the rows of some sources: 36 bytes a row.

    Attributes:
        keys: of the texts, [rows].
        labels: position in `names`, `NO_LABEL` without a label, [rows].
        names: the labels as they were read.
        empty: rows that were left out because they have no text.
    """

    keys: NDArray[np.bytes_]
    labels: NDArray[np.int32]
    names: list[str]
    empty: int


@dataclass(frozen=True)
class Draw:
    """Where each row of train and then of the unlabelled sources goes (`GOLD` ...), [rows], and what to warn of."""

    places: NDArray[np.uint8]
    warnings: list[str] = field(default_factory=list)


def read_texts(sources: Sequence[Source]) -> Iterator[Text]:
    """Key, normalised text, normalised pair and label of each row that has a text."""
    for source in sources:
        for row in source.rows():
            text = normalise(row.text)
            if text:
                pair = None if row.text_pair is None else normalise(row.text_pair)
                yield text_key(text, pair), text, pair, row.label


def counted(rows: Iterable[Item], advance: Advance) -> Iterator[Item]:
    """The rows as they are; `advance` is called with the number of rows now and then."""
    for number, row in enumerate(rows, start=1):
        if number % _ROWS_AT_ONCE == 0:
            advance(_ROWS_AT_ONCE)
        yield row


def scan(
    sources: Sequence[Source],
    held_to: Classes | None = None,
    advance: Advance = lambda rows: None,
    may_lack_labels: bool = False,
) -> Scan:
    """Reads sources once.

    Args:
        sources: what to read.
        held_to: for dev, test and gate: refuse a row with a label that is not among these, or without one.
        advance: called with the number of rows read now and then.
        may_lack_labels: whether all rows may be without one, where none has one.
    """
    keys, labels, names, empty = bytearray(), bytearray(), dict[str, int](), 0
    unlabelled: str | None = None
    for source in sources:
        for row in counted(source.rows(), advance):
            text = normalise(row.text)
            if not text:
                empty += 1
                continue
            if held_to is not None and row.label is not None and row.label not in held_to:
                what = f"has label {brief(row.label)}, not in train"
                raise StillhouseError(f"{source.place(row.line)} {what}; give it one of the classes or leave it out")
            if row.label is None and unlabelled is None:
                unlabelled = source.place(row.line)
            keys += text_key(text, None if row.text_pair is None else normalise(row.text_pair))
            code = NO_LABEL if row.label is None else names.setdefault(row.label, len(names))
            labels += code.to_bytes(4, "little", signed=True)
    if held_to is not None and unlabelled and (names or not may_lack_labels):
        raise StillhouseError(f"{unlabelled} has no label; give it one of the classes or leave it out")
    # Not copied: these are what memory is needed for.
    return Scan(np.frombuffer(keys, KEY), np.frombuffer(labels, np.int32), list(names), empty)


def find_classes(names: Sequence[str] | None, train: Scan, where: str) -> Classes:
    """The recipe's classes, else the labels of train in order: by number where all are numbers, else by name.

    Raises:
        StillhouseError: fewer than two classes, a label that is not one of the recipe's, or labels that hardly repeat.
    """
    if names is not None:
        classes = Classes(names, numbered=True)
        strange = [label for label in train.names if label not in classes]
        if strange:
            raise StillhouseError(f"data.train: {where} has label {brief(strange[0])}, not in data.classes")
        return classes
    if len(train.names) < 2:
        found = f"one class only, {brief(train.names[0])}" if train.names else "no labels"
        raise StillhouseError(f"data.train: {where} has {found}; a classifier needs two classes or more (data.label)")
    labelled = int((train.labels != NO_LABEL).sum())
    if len(train.names) > _MANY_CLASSES and len(train.names) > labelled / 2:
        raise StillhouseError(
            f"data.train: {where} has {len(train.names):,} different labels in {labelled:,} labelled rows, so they "
            "are no classes; set data.label to another column (or name the classes in data.classes)"
        )
    numeric = all(name.removeprefix("-").isdecimal() and len(name) < 20 for name in train.names)
    return Classes(sorted(train.names, key=int) if numeric else sorted(train.names), numbered=False)


def draw_parts(data: Data, classes: Classes, train: Scan, unlabelled: Scan, held_out: Mapping[str, Scan]) -> Draw:
    """Chooses by a hash of (seed, text), so that new rows hardly move the choice.

    Each text counts once, with the first label it has; texts of the parts held out (dev, test, perhaps gate and further
    tests) are left out of everything else. In each class the rows that come first in the hash's order are dev, the next
    ones gold, the rest transfer.
    """
    keys = np.concatenate([train.keys, unlabelled.keys])
    labels = np.full(len(keys), NO_LABEL, np.int32)
    to_number = np.array([classes.number(name) for name in train.names] + [NO_LABEL], np.int32)
    labels[: len(train.labels)] = to_number[np.where(train.labels == NO_LABEL, -1, train.labels)]
    usable, warnings = _usable(keys, labels, held_out)
    for part, rows_of_part in held_out.items():
        warnings += _repeats(part, rows_of_part, classes)
    for chosen_on, other in _unfair(held_out):
        both = int(np.isin(held_out[chosen_on].keys, held_out[other].keys).sum())
        if both:
            seen = f"so what is chosen on {chosen_on} has seen a part of {other}"
            warnings.append(f"{both:,} texts of {chosen_on} are in {other} too, {seen}")
    empty = train.empty + unlabelled.empty + sum(part.empty for part in held_out.values())
    if empty:
        warnings.append(f"{empty:,} rows without a text were left out")
    places = np.where(usable, TRANSFER, DROPPED).astype(np.uint8)
    for number, name in enumerate(classes.names):
        rows = np.flatnonzero(usable & (labels == number))
        order = np.array([draw_order(data.seed, key.ljust(32, b"\0")) for key in keys[rows].tolist()], np.int64)
        chosen = rows[np.argsort(order, kind="stable")][: data.labels_per_class]
        for_dev = 0 if data.dev else round(len(chosen) * data.dev_share)
        places[chosen[:for_dev]] = DEV
        places[chosen[for_dev:]] = GOLD
        if not len(chosen):
            why = f"; the texts it has are in {' or '.join(held_out)} too" if (labels == number).any() else ""
            raise StillhouseError(f"data.train: class {brief(name)} has no usable row left to learn from{why}")
        if data.labels_per_class and len(chosen) < data.labels_per_class:
            found = f"class {brief(name)} has {len(chosen)} gold labels"
            warnings.append(f"{found}, fewer than {data.labels_per_class}")
    if not data.dev and not (places == DEV).any():
        raise StillhouseError(
            f"data.train: too few gold labels to spare {data.dev_share:.0%} for dev; name a file in data.dev"
        )
    return Draw(places, warnings)


def _unfair(held_out: Mapping[str, Scan]) -> Iterator[tuple[str, str]]:
    """Parts that something is chosen on, each with a part that must not have seen it."""
    for chosen_on in ("dev", "gate"):
        for other in held_out:
            if chosen_on in held_out and other != "dev" and other != chosen_on:
                yield chosen_on, other


def _usable(
    keys: NDArray[np.bytes_], labels: NDArray[np.int32], held_out: Mapping[str, Scan]
) -> tuple[NDArray[np.bool_], list[str]]:
    """The rows to use: one a text (a labelled one if there is one), none that is in a part held out."""
    warnings = []
    # A stable sort with labelled rows first: of equal texts the first labelled row comes first.
    labelled_first = np.argsort(labels == NO_LABEL, kind="stable")
    _, first, inverse = np.unique(keys[labelled_first], return_index=True, return_inverse=True)
    usable = np.zeros(len(keys), np.bool_)
    usable[labelled_first[first]] = True
    kept_label = labels[labelled_first[first]][inverse]
    own_label = labels[labelled_first]
    several = len(np.unique(inverse[(own_label != NO_LABEL) & (own_label != kept_label)]))
    if several:
        warnings.append(f"{several:,} texts have several gold labels; the first one counts")
    if len(keys) > len(first):
        warnings.append(f"{len(keys) - len(first):,} repeated texts count once")
    for part, other in held_out.items():
        shared = usable & np.isin(keys, other.keys)
        if shared.any():
            count = f"{int(shared.sum()):,} texts of train or unlabelled"
            warnings.append(f"{count} are in {part} too; learning leaves them out")
            usable &= ~shared
    return usable, warnings


def _repeats(part: str, held_out: Scan, classes: Classes) -> list[str]:
    """Warnings about texts that a part to be judged on holds more than once."""
    if not len(held_out.keys):
        return []
    warnings = []
    distinct, inverse = np.unique(held_out.keys, return_inverse=True)
    repeated = len(held_out.keys) - len(distinct)
    if repeated:
        warnings.append(f"{repeated:,} rows of {part} repeat a text; each row counts")
    known = np.array([classes.number(name) for name in held_out.names] + [NO_LABEL], np.int64)
    numbers = known[np.where(held_out.labels == NO_LABEL, -1, held_out.labels)]
    kinds = np.unique(np.stack([inverse, numbers]), axis=1)[0]
    several = int((np.bincount(kinds) > 1).sum())
    if several:
        warnings.append(f"{several:,} texts of {part} have several gold labels; no model can get all of them right")
    return warnings
