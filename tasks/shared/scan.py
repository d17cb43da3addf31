"""Reading sources as the draw does: their texts, and once before that what each row is, without the texts."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from tasks.shared.classes.classes import Classes, shown
from tasks.shared.classes.spelling import MISSING
from tasks.shared.dataset import KEY, NO_LABEL
from tasks.shared.errors import StillhouseError, brief
from tasks.shared.sources import Source
from tasks.shared.steps import Advance
from tasks.shared.texts import group_key, normalise, text_key

_ROWS_AT_ONCE = 1024

Item = TypeVar("Item")


class Text(NamedTuple):
    """A row that has a text: its key, the normalised text and pair, the label, and the key of its group or its own."""

    key: bytes
    text: str
    pair: str | None
    label: str | None
    group: bytes


@dataclass(frozen=True)
class Scan:
    """What the draw knows of the rows of some sources: 36 bytes a row, and 32 more where they are grouped.

    Attributes:
        keys: of the texts, [rows].
        labels: position in `names`, `NO_LABEL` without a label, [rows].
        names: the labels as they were read.
        empty: rows that were left out because they have no text.
        groups: key of each row's group, or of its text where it is of none, [rows]; `keys` where nothing is grouped.
        missing: words that were read as no label, and how many rows have each.
        told: what was read otherwise than it is written, a line each.
    """

    keys: NDArray[np.bytes_]
    labels: NDArray[np.int32]
    names: list[str]
    empty: int
    groups: NDArray[np.bytes_]
    missing: Counter[str] = field(default_factory=Counter)
    told: list[str] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        """How many rows have each label."""
        found = np.bincount(self.labels[self.labels != NO_LABEL], minlength=len(self.names))
        return dict(zip(self.names, found.tolist(), strict=True))


def read_texts(sources: Sequence[Source]) -> Iterator[Text]:
    """Each row that has a text, and is not the names of the columns once more."""
    for source in sources:
        for row in source.rows():
            text = normalise(row.text)
            if text and not source.is_header(row):
                pair = None if row.text_pair is None else normalise(row.text_pair)
                key = text_key(text, pair)
                yield Text(key, text, pair, row.label, key if row.group is None else group_key(row.group))


def counted(rows: Iterable[Item], advance: Advance) -> Iterator[Item]:
    """The rows as they are; `advance` is called with the number of rows now and then."""
    for number, row in enumerate(rows, start=1):
        if number % _ROWS_AT_ONCE == 0:
            advance(_ROWS_AT_ONCE)
        yield row


def scan(
    sources: Sequence[Source],
    classes: Classes | None = None,
    advance: Advance = lambda rows: None,
    labelled: bool = False,
    may_lack_labels: bool = False,
    grouped: bool = False,
    listed: Collection[str] = (),
) -> Scan:
    """Reads sources once.

    Args:
        sources: what to read.
        classes: refuse a row with a label that is not among these; None where they are not known yet.
        advance: called with the number of rows read now and then.
        labelled: for dev, test and gate: refuse a row without a label.
        may_lack_labels: whether all rows may be without one, where none has one.
        grouped: whether rows are of groups.
        listed: names of classes, where `classes` is not known: no words for a missing value.
    """
    keys, labels, groups, names, empty = bytearray(), bytearray(), bytearray(), dict[str, int](), 0
    unlabelled: str | None = None
    headers, missing = _Seen(), _Seen()
    for source in sources:
        kinds = dict[bool, str]()
        for row in counted(source.rows(), advance):
            text = normalise(row.text)
            if not text:
                empty += 1
                continue
            if source.is_header(row):
                headers.add(source.place(row.line), "")
                continue
            label = row.label
            if label in MISSING and (label not in listed if classes is None else classes.is_missing(label)):
                missing.add(source.place(row.line), label)
                label = None
            if label is None and unlabelled is None:
                unlabelled = source.place(row.line)
            if label is not None and classes is not None:
                _check(label, classes, kinds, source, row.line)
            key = text_key(text, None if row.text_pair is None else normalise(row.text_pair))
            keys += key
            if grouped:
                groups += key if row.group is None else group_key(row.group)
            code = NO_LABEL if label is None else names.setdefault(label, len(names))
            labels += code.to_bytes(4, "little", signed=True)
    if labelled and unlabelled and (names or not may_lack_labels):
        raise StillhouseError(
            f"{unlabelled} has no label{missing.at(unlabelled)}; give it one of the classes or leave it out"
        )
    # Not copied: these are what memory is needed for.
    found = np.frombuffer(keys, KEY)
    of_groups = np.frombuffer(groups, KEY) if grouped else found
    told = _told(headers, missing)
    return Scan(found, np.frombuffer(labels, np.int32), list(names), empty, of_groups, missing.counts, told)


@dataclass
class _Seen:
    """Rows of a kind: how many with each word, and where the first one is."""

    counts: Counter[str] = field(default_factory=Counter)
    first: str = ""

    def add(self, place: str, word: str) -> None:
        self.first = self.first or place
        self.counts[word] += 1

    def at(self, place: str) -> str:
        """What the word there is, if it is the first, for a message."""
        return f" ({brief(next(iter(self.counts)))} is a word for a missing value)" if place == self.first else ""


def _told(headers: _Seen, missing: _Seen) -> list[str]:
    told = []
    if headers.counts:
        count = headers.counts.total()
        told.append(f"{headers.first}: the column names again, in {count:,} row{'s' * (count > 1)}; left out")
    if missing.counts:
        count, words = missing.counts.total(), shown([*missing.counts])
        what = f"words for a missing value ({words}) count as no label, in {count:,} row{'s' * (count > 1)}"
        told.append(f"{missing.first}: {what}; list such a word in data.classes if it is a class")
    return told


def _check(label: str, classes: Classes, kinds: dict[bool, str], source: Source, line: int) -> None:
    """Refuses a label that means no class, or a position in a source that has names; `kinds` says where which is."""
    if classes.find(label) is None:
        raise StillhouseError(f"{source.place(line)} {classes.strange(label)}")
    by_position = classes.by_position(label)
    if by_position not in kinds:
        kinds[by_position] = f"{source.place(line)} has label {brief(label)}"
        if len(kinds) > 1:
            what = f"{kinds[False]}, a name, but {kinds[True]}, a position in data.classes"
            raise StillhouseError(f"{what}; write names or positions throughout the file")
