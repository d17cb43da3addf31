"""Soft labels in a plain file, as they are exported here and made elsewhere: a text, and a number for each class.

A class's column is called `probability_CLASS`, `logit_CLASS`, or just as the class, which then holds probabilities.
Where there are no such columns, the label's column says which class the teacher named, and nothing more is known.
"""

import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from tasks.shared.errors import StillhouseError, brief, brief_path
from tasks.shared.held import changed, opened
from tasks.shared.lines import decoded_lines
from tasks.shared.readers import json_object, separated_cells
from tasks.shared.rows import LONGEST_TEXT, Columns, Table, described, label_text, missing_column, reason
from tasks.shared.texts import normalise, text_key

PROBABILITY = "probability_"
"""Begins the names of columns that hold a class's probability; the class follows."""
LOGIT = "logit_"
"""The same, for logits."""
PREDICTED = "label"
"""The column of the class that the teacher names."""
SURE = 0.9999
"""The probability of a class that is all that is known of a text; the others share what is left."""

_SUM_MAY_BE_OFF = 0.02
_LEAST = 1e-7
_SURROGATE = re.compile("[\ud800-\udfff]")
_FORMATS = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")

Record = Mapping[str, object]


class LabelsFile:
    """A file of soft labels for certain classes."""

    def __init__(
        self, path: Path, columns: Columns, classes: Sequence[str], where: str, held_to: str | None = None
    ) -> None:
        """Opens nothing yet.

        Args:
            path: of the file.
            columns: of text, pair and chosen class.
            classes: of the data, in order.
            where: the recipe's path of the setting, for messages.
            held_to: SHA-256 in hex that its bytes must have when they have been read; None where any will do.

        Raises:
            StillhouseError: it is of an unknown kind, or not there.
        """
        name = brief_path(path)
        if path.suffix.lower() not in _FORMATS:
            raise StillhouseError(f"{where}: {name} is of an unknown kind; known are {', '.join(_FORMATS)}")
        if not path.is_file():
            raise StillhouseError(f"{where}: no file {name}; looked for {brief_path(path.absolute())}")
        self._held_to = held_to
        self._table = Table(path, f"{where}: {name}", Columns(columns.text, columns.text_pair, None))
        self._label, self._classes = columns.label, list(classes)
        prefixes = (PROBABILITY, LOGIT, "")
        self._wanted = [*columns.names, *(prefix + name for prefix in prefixes for name in classes)]

    def changed(self) -> StillhouseError:
        """The error for a file that is not any more what was read before."""
        return changed(self._table.at)

    def rows(self) -> Iterator[tuple[bytes, NDArray[np.float32]]]:
        """Key and logits [classes] of each row that has a text.

        Raises:
            StillhouseError: a column is missing, a row does not say what it should, or the file, once it is read, was
                not what it is held to; one line says where.
        """
        try:
            with opened(self._table.path, self._held_to, self._table.at) as stream:
                yield from self._rows(stream)
        except OSError as error:
            raise StillhouseError(f"{self._table.at}: cannot be read: {error.strerror}") from None

    def _rows(self, stream: BinaryIO) -> Iterator[tuple[bytes, NDArray[np.float32]]]:
        columns = self._table.columns
        read = None
        for line, record in _records(self._table, stream, self._wanted):
            at = f"{self._table.at} row {line}"
            for name in columns.names:
                if name not in record:
                    raise missing_column(name, "data.text", list(record), at)
            read = read or self._reader(list(record))
            text, *pair = (normalise(_text(record[name], name, at)) for name in columns.names)
            if text:
                yield text_key(text, *pair), read(record, at)
        if read is None:
            raise StillhouseError(f"{self._table.at}: has no rows; name a file with labels")

    def _reader(self, names: Sequence[str]) -> "_Reader":
        """What reads a row's logits, by the columns that there are."""
        for prefix, kind in ((PROBABILITY, _Probabilities), (LOGIT, _Logits), ("", _Probabilities)):
            wanted = [prefix + name for name in self._classes]
            there = [name for name in wanted if name in names]
            if len(there) == len(wanted):
                return kind(wanted)
            if there and prefix:
                lacking = next(name for name in wanted if name not in names)
                raise StillhouseError(
                    f"{self._table.at}: has {brief(there[0])} but no {brief(lacking)}; each of the {len(wanted)} "
                    "classes needs its column"
                )
        if self._label in names:
            return _Chosen(str(self._label), self._classes)
        raise StillhouseError(
            f"{self._table.at}: no columns {brief(PROBABILITY + self._classes[0])}, {brief(LOGIT + self._classes[0])} "
            f"or {brief(self._classes[0])} and so on for each class, nor {brief(self._label)}; there is "
            + ", ".join(brief(name) for name in names[:10])
        )


class _Reader:
    def __call__(self, record: Record, at: str) -> NDArray[np.float32]:
        """Logits [classes] of a row."""
        raise NotImplementedError


class _Logits(_Reader):
    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = columns

    def __call__(self, record: Record, at: str) -> NDArray[np.float32]:
        with np.errstate(over="ignore"):
            found = np.array([_number(record.get(name), name, at) for name in self._columns]).astype(np.float32)
        if not np.isfinite(found).all():
            raise StillhouseError(f"{at}: a number is too large")
        return found


class _Probabilities(_Logits):
    def __call__(self, record: Record, at: str) -> NDArray[np.float32]:
        found = super().__call__(record, at).astype(np.float64)
        if found.min() < 0 or abs(found.sum() - 1) > _SUM_MAY_BE_OFF:
            said = f"its probabilities sum to {found.sum():.4g}, the least is {found.min():.4g}"
            raise StillhouseError(
                f"{at}: {said}; they have to be 0 or more and sum to 1 (logit_ columns may be anything)"
            )
        logits: NDArray[np.float32] = np.log(np.maximum(found / found.sum(), _LEAST)).astype(np.float32)
        return logits


class _Chosen(_Reader):
    def __init__(self, column: str, classes: Sequence[str]) -> None:
        self._column = column
        self._numbers = {name: number for number, name in enumerate(classes)}
        left = (1 - SURE) / (len(classes) - 1)
        self._logits = np.log(np.where(np.eye(len(classes), dtype=bool), SURE, left)).astype(np.float32)

    def __call__(self, record: Record, at: str) -> NDArray[np.float32]:
        label = label_text(record[self._column], at, "column", 1) if self._column in record else None
        if label not in self._numbers:
            raise StillhouseError(f"{at}: {brief(label)} in column {brief(self._column)} is no class of the data")
        row: NDArray[np.float32] = self._logits[self._numbers[label]]
        return row


def _records(table: Table, stream: BinaryIO, wanted: Collection[str]) -> Iterator[tuple[int, Record]]:
    """Line or number of each row, and its columns; of a Parquet file the wanted ones alone."""
    suffix = table.path.suffix.lower()
    if suffix in (".csv", ".tsv"):
        separator = "," if suffix == ".csv" else "\t"
        for line, names, cells in separated_cells(table, stream, separator, quoted=suffix == ".csv"):
            record = dict(zip(names, cells, strict=True))
            if len(record) != len(names):
                _check_distinct(names, wanted, table)
            yield line, record
    elif suffix == ".parquet":
        yield from enumerate(_parquet_records(table, stream, wanted), 1)
    else:
        for number, text in enumerate(decoded_lines(table, stream, newline="\n"), 1):
            if text.strip():
                yield number, json_object(text.rstrip(), table.at, number)


def _check_distinct(names: Sequence[str], wanted: Collection[str], table: Table) -> None:
    twice = next((name for name in wanted if list(names).count(name) > 1), None)
    if twice is not None:
        raise StillhouseError(f"{table.at}: has more than one column {brief(twice)}; rename one of them")


def _parquet_records(table: Table, stream: BinaryIO, wanted: Collection[str]) -> Iterable[Record]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(stream, buffer_size=1 << 20, pre_buffer=False, page_checksum_verification=True) as file:
            names = file.schema_arrow.names
            _check_distinct(names, wanted, table)
            columns = [name for name in names if name in set(wanted)]
            if table.columns.text not in columns or len(columns) <= len(table.columns.names):
                columns = names  # something is missing, and the message shows what there is
            for batch in file.iter_batches(1024, columns=columns):
                yield from batch.to_pylist()
    except (pa.ArrowException, OSError, UnicodeError) as error:
        raise StillhouseError(f"{table.at}: broken or cut off, or not Parquet ({reason(error)})") from None


def _text(value: object, column: str, at: str) -> str:
    if isinstance(value, str):
        if len(value) > LONGEST_TEXT // 4 and len(value.encode(errors="replace")) > LONGEST_TEXT:
            raise StillhouseError(
                f"{at}: {brief(column)} is longer than {LONGEST_TEXT:,} bytes; no text of the data is"
            )
        if _SURROGATE.search(value):
            raise StillhouseError(f"{at}: {brief(column)} holds half of a surrogate pair, which is no character")
        return value
    if value is None:
        return ""
    raise StillhouseError(f"{at}: {brief(column)} is {described(value)}, not text")


def _number(value: object, column: str, at: str) -> float:
    try:
        number = float(value)  # type: ignore[arg-type]  # what is no number is refused
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if isinstance(value, bool) or not math.isfinite(number):
        raise StillhouseError(f"{at}: {brief(column)} is {described(value)}, not a finite number")
    return number
