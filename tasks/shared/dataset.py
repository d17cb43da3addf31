"""The parts of the data on disk, and reading them without holding them."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tasks.shared.defaults.facts import BYTES_PER_TOKEN, DataFacts
from tasks.shared.key_index import KeyIndex, Keys

PARTS = ("gold", "dev", "test", "transfer")
FURTHER = "test-"
"""How the names of further test parts begin."""
NO_LABEL = -100
KEY = np.dtype("S32")
ROWS_AT_ONCE = 8192

SCHEMA = pa.schema(
    [
        pa.field("key", pa.binary(32), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("text_pair", pa.string()),
        pa.field("label", pa.int32()),
    ]
)
GROUP = pa.field("group", pa.binary(32), nullable=False)
"""Of parts that are reported on, where the recipe names such a column: the key of what a row is of, or else its own."""


@dataclass(frozen=True)
class DataRecord:
    """The data of a run.

    Attributes:
        path: folder with a Parquet file a part.
        digest: of the folder.
        digests: of each part's rows, by the part's name.
        rows: of each part.
        classes: names, in the order of the class numbers.
        warnings: what a person may want to mend.
        pairs: whether its texts are pairs.
        given: how many of the transfer rows were there from the start; others, made of them, come behind.
        facts: what defaults are derived from.
        elsewhere: parts that are not in the folder.
    """

    path: Path
    digest: str
    digests: Mapping[str, str]
    rows: Mapping[str, int]
    classes: tuple[str, ...]
    warnings: tuple[str, ...]
    pairs: bool
    given: int
    facts: DataFacts
    elsewhere: Mapping[str, Path] = field(default_factory=dict)

    @property
    def gate(self) -> str:
        """The part whose rows decide which model is the champion."""
        return "gate" if "gate" in self.digests else "dev"

    def file(self, part: str) -> Path:
        """Parquet file of a part."""
        return self.elsewhere.get(part) or part_file(self.path, part)


def facts_of(classes: int, rows: Mapping[str, int], size: int) -> DataFacts:
    """What defaults are derived from.

    Args:
        classes: how many there are.
        rows: of each part, by its name.
        size: of all transfer texts together, in bytes of UTF-8.
    """
    transfer = rows["transfer"]
    return DataFacts(classes, rows["gold"], rows["dev"], transfer, max(1.0, size / transfer / BYTES_PER_TOKEN))


@dataclass(frozen=True)
class Chunk:
    """Some consecutive rows of a part: keys [rows], texts, pairs (None without), labels [rows], groups (likewise)."""

    keys: NDArray[np.bytes_]
    texts: list[str]
    pairs: list[str] | None
    labels: NDArray[np.int32]
    groups: NDArray[np.bytes_] | None


def part_file(folder: Path, part: str) -> Path:
    """Parquet file of a part in a data folder."""
    return folder / f"{part}.parquet"


def read_chunks(file: Path) -> Iterator[Chunk]:
    """The rows of a part in order, some thousands at a time."""
    with pq.ParquetFile(file) as parquet:
        for batch in parquet.iter_batches(ROWS_AT_ONCE):
            pairs = batch.column("text_pair")
            yield Chunk(
                keys=keys_of(batch.column("key")),
                texts=batch.column("text").to_pylist(),
                pairs=None if pairs.null_count == len(pairs) else pairs.to_pylist(),
                labels=batch.column("label").fill_null(NO_LABEL).to_numpy(zero_copy_only=False),
                groups=keys_of(batch.column(GROUP.name)) if GROUP.name in batch.schema.names else None,
            )


def read_keys(file: Path) -> NDArray[np.bytes_]:
    """All keys of a part, [rows]."""
    with pq.ParquetFile(file) as parquet:
        keys = np.empty(parquet.metadata.num_rows, KEY)
        start = 0
        for batch in parquet.iter_batches(ROWS_AT_ONCE, columns=["key"]):
            keys[start : start + batch.num_rows] = keys_of(batch.column("key"))
            start += batch.num_rows
    return keys


def read_labels(file: Path) -> NDArray[np.int32]:
    """All gold classes of a part, `NO_LABEL` where there is none, [rows]."""
    column = pq.read_table(file, columns=["label"]).column("label")
    labels: NDArray[np.int32] = column.fill_null(NO_LABEL).to_numpy()
    return labels


def texts_of(files: Sequence[Path], wanted: Set[int]) -> dict[int, tuple[str, str | None]]:
    """Some texts with their pairs, by their numbers, which are counted through the files."""
    found: dict[int, tuple[str, str | None]] = {}
    start = 0
    for file in files:
        for chunk in read_chunks(file):
            for place in wanted & set(range(start, start + len(chunk.texts))):
                found[place] = chunk.texts[place - start], chunk.pairs[place - start] if chunk.pairs else None
            start += len(chunk.texts)
    return found


def gold_of(data: DataRecord, keys: Keys) -> NDArray[np.int32]:
    """The gold class of each key that is in gold, `NO_LABEL` for the others, [keys]."""
    rows = KeyIndex(read_keys(data.file("gold"))).find(keys)
    labels: NDArray[np.int32] = np.where(rows >= 0, read_labels(data.file("gold"))[rows], np.int32(NO_LABEL))
    return labels


def keys_of(column: pa.Array) -> NDArray[np.bytes_]:
    """A column of 32-byte keys as an array, [rows]."""
    if not len(column):
        return np.empty(0, KEY)
    data = column.buffers()[1]
    start = column.offset * KEY.itemsize
    return np.frombuffer(data, dtype=np.uint8)[start : start + len(column) * KEY.itemsize].view(KEY)


def key_column(keys: NDArray[np.bytes_]) -> pa.Array:
    """An array of keys [rows] as a column of 32 bytes each."""
    raw = pa.py_buffer(np.ascontiguousarray(keys).tobytes())
    return pa.Array.from_buffers(pa.binary(KEY.itemsize), len(keys), [None, raw])


class PartWriter:
    """Writes one part row by row, and hashes its rows on the way."""

    def __init__(self, file: Path, grouped: bool = False) -> None:
        """Starts the file; `grouped`: rows come with the key of their group."""
        self._schema = SCHEMA.append(GROUP) if grouped else SCHEMA
        self._writer = pq.ParquetWriter(file, self._schema, compression="zstd")
        self._rows: list[tuple[object, ...]] = []
        self._hash = hashlib.sha256()
        self.count = 0
        self.size = 0
        """Of all texts so far, in bytes of UTF-8."""

    def add(self, key: bytes, text: str, pair: str | None, label: int, *group: bytes) -> None:
        """Appends a row; `label` may be `NO_LABEL`, and `group` is given where rows are grouped."""
        self._rows.append((key, text, pair, None if label == NO_LABEL else label, *group))
        self._hash.update(key + label.to_bytes(4, "big", signed=True) + b"".join(group))
        self.count += 1
        self.size += len(text.encode()) + len((pair or "").encode())
        if len(self._rows) == ROWS_AT_ONCE:
            self._flush()

    def close(self) -> str:
        """Completes the file; gives the digest of its rows."""
        self._flush()
        self._writer.close()
        return self._hash.hexdigest()

    def _flush(self) -> None:
        columns: Sequence[Sequence[object]] = list(zip(*self._rows, strict=True)) or [()] * len(self._schema)
        arrays = [pa.array(column, field.type) for column, field in zip(columns, self._schema, strict=True)]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))
        self._rows.clear()
