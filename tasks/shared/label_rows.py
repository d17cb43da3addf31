"""What a row of a file of soft labels says of its text: logits, however they are written."""

import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tasks.shared.classes.classes import Classes
from tasks.shared.classes.spelling import described, label_text
from tasks.shared.errors import StillhouseError, brief

PROBABILITY = "probability_"
"""Begins the names of columns that hold a class's probability; the class follows."""
LOGIT = "logit_"
"""The same, for logits."""
PREDICTED = "label"
"""The column of the class that the teacher names."""
DISTRIBUTION = "probabilities"
"""The column of an object with the probabilities of all classes or of the best, as `predict` writes JSON lines."""
RANKED = ("predicted", "probability")
"""The columns of the best class and its probability, as `predict` writes tables; of the others `predicted_2` ..."""
SURE = 0.9999
"""The probability of a class that is all that is known of a text; the others share what is left."""

_SUM_MAY_BE_OFF = 0.02
_LEAST = 1e-7

Record = Mapping[str, object]
Logits = NDArray[np.float32]


class UnknownClassError(Exception):
    """A row names a class that the data does not have; the argument is its name."""


class Spellings:
    """The data's classes, and which of a file's labels were spelt otherwise than they are.

    Attributes:
        classes: the data's.
        other: how often a label meant a class of another spelling, by both.
    """

    def __init__(self, classes: Classes) -> None:
        """Nothing has been read yet."""
        self.classes = classes
        self.other = Counter[tuple[str, str]]()

    def find(self, label: str) -> int | None:
        """Number of the class that a label means, the one that differs in case if there is one; else None."""
        found = self.classes.find(label)
        return self.classes.near(label) if found is None else found

    def number(self, label: str) -> int:
        """The same, counted where the spelling is another; raises UnknownClassError where there is no such class."""
        found = self.find(label)
        if found is None:
            raise UnknownClassError(label)
        name = self.classes.names[found]
        if name != label:
            self.other[label, name] += 1
        return found

    def columns(self, names: Sequence[str], prefix: str) -> dict[int, str]:
        """The column of each class that has one whose name begins with a prefix; an exact name goes first."""
        found = dict[int, str]()
        for name in names:
            label = name.removeprefix(prefix)
            is_name = name.startswith(prefix) and not self.classes.by_position(label)
            number = self.find(label) if is_name else None
            if number is not None and (number not in found or name == prefix + self.classes.names[number]):
                found[number] = name
        return dict(sorted(found.items()))


class RowReader:
    """Reads the logits of a row."""

    def __call__(self, record: Record, at: str) -> Logits | None:
        """Logits [classes] of a row; None where it says nothing.

        Raises:
            StillhouseError: it says something unclear; `at` is where.
            UnknownClassError: it names a class that the data does not have.
        """
        raise NotImplementedError


class LogitColumns(RowReader):
    """A column of logits for each class."""

    def __init__(self, columns: Sequence[str]) -> None:
        """The columns' names, in the order of the classes."""
        self._columns = columns

    def __call__(self, record: Record, at: str) -> Logits | None:
        """See `RowReader`."""
        if all(is_blank(record.get(name)) for name in self._columns):
            return None
        with np.errstate(over="ignore"):
            found = np.array([_number(record.get(name), name, at) for name in self._columns]).astype(np.float32)
        if not np.isfinite(found).all():
            raise StillhouseError(f"{at}: a number is too large")
        return found


class ProbabilityColumns(LogitColumns):
    """A column of probabilities for each class."""

    def __call__(self, record: Record, at: str) -> Logits | None:
        """See `RowReader`."""
        found = super().__call__(record, at)
        return None if found is None else _log(found.astype(np.float64), at)


class ChosenClass(RowReader):
    """A column of the class that was chosen, of which nothing more is known."""

    def __init__(self, column: str, spellings: Spellings) -> None:
        """The column's name, and the data's classes."""
        self._column, self._spellings = column, spellings
        count = len(spellings.classes.names)
        self._logits = np.log(np.where(np.eye(count, dtype=bool), SURE, (1 - SURE) / (count - 1))).astype(np.float32)

    def __call__(self, record: Record, at: str) -> Logits | None:
        """See `RowReader`."""
        place, unit, number = at.rsplit(" ", 2)
        label = label_text(record.get(self._column), place, unit, int(number))
        if label is None or self._spellings.classes.is_missing(label):
            return None
        row: Logits = self._logits[self._spellings.number(label)]
        return row


class NamedProbabilities(RowReader):
    """The probabilities of classes that the row names, all or the best; the others share what is left evenly."""

    def __init__(self, otherwise: RowReader | None, spellings: Spellings) -> None:
        """`otherwise` reads a row that gives no class of ours a probability, such as one that was added by hand."""
        self._otherwise, self._spellings = otherwise, spellings

    def __call__(self, record: Record, at: str) -> Logits | None:
        """See `RowReader`."""
        named = {name: value for name, value in self._named(record) if not is_blank(value)}
        if self._otherwise and not any(self._spellings.find(str(name)) is not None for name in named):
            return self._otherwise(record, at)
        if not named:
            return None
        count = len(self._spellings.classes.names)
        found, known = np.zeros(count), np.zeros(count, np.bool_)
        for name, value in named.items():
            number = self._spellings.number(label_text(name, at, "class", 1) or "")
            found[number] += _number(value, str(name), at)
            known[number] = True
        if not known.all():
            found[~known] = max(1 - found.sum(), 0) / (count - known.sum())
        return _log(found, at)

    def _named(self, record: Record) -> Iterator[tuple[object, object]]:
        named = record.get(DISTRIBUTION)
        if isinstance(named, Mapping):
            yield from named.items()


class RankedClasses(NamedProbabilities):
    """The same, in a pair of columns for each class."""

    def _named(self, record: Record) -> Iterator[tuple[object, object]]:
        for predicted, probability in ranked_columns(record).items():
            name = record[predicted]
            if not is_blank(name):
                yield name if isinstance(name, str | float) else str(name), record[probability]


def ranked_columns(names: Collection[str]) -> dict[str, str]:
    """Of a table that `predict` wrote, the column of each probability by that of its class."""
    predicted, probability = RANKED
    pairs = {name: probability + name.removeprefix(predicted) for name in names if name.startswith(predicted)}
    return {name: other for name, other in pairs.items() if other in names}


def _log(probabilities: NDArray[np.float64], at: str) -> Logits:
    if probabilities.min() < 0 or abs(probabilities.sum() - 1) > _SUM_MAY_BE_OFF:
        said = f"its probabilities sum to {probabilities.sum():.4g}, the least is {probabilities.min():.4g}"
        raise StillhouseError(f"{at}: {said}; they have to be 0 or more and sum to 1 (logit_ columns may be anything)")
    logits: Logits = np.log(np.maximum(probabilities / probabilities.sum(), _LEAST)).astype(np.float32)
    return logits


def is_blank(value: object) -> bool:
    """Whether a cell says nothing: none, empty or NaN."""
    return value is None or value == "" or value != value


def _number(value: object, column: str, at: str) -> float:
    try:
        number = float(value)  # type: ignore[arg-type]  # what is no number is refused
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if isinstance(value, bool) or not math.isfinite(number):
        raise StillhouseError(f"{at}: {brief(column)} is {described(value)}, not a finite number")
    return number
