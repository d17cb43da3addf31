"""The soft labels of one run on disk, a row a transfer text: what students learn from, and what is exported.

Where a teacher was asked about a text and did not answer, its logits are NaN, here and in memory.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tasks.shared.dataset import KEY, key_column, keys_of
from tasks.shared.errors import StillhouseError
from tasks.shared.key_index import KeyIndex, Keys

_ROWS_AT_ONCE = 65536


class SoftLabelWriter(AbstractContextManager["SoftLabelWriter"]):
    """Writes keys and logits some rows at a time."""

    def __init__(self, file: Path, classes: Sequence[str]) -> None:
        """Starts the file; `classes` are in the order of the logits."""
        logits = pa.list_(pa.float32(), len(classes))
        fields = [pa.field("key", pa.binary(KEY.itemsize), nullable=False), pa.field("logits", logits, nullable=False)]
        self._schema = pa.schema(fields, metadata={"stillhouse.classes": json.dumps(list(classes))})
        self._writer = pq.ParquetWriter(file, self._schema, compression="zstd")

    def add(self, keys: Keys, logits: NDArray[np.float32]) -> None:
        """Appends logits [rows, classes] of keys [rows]."""
        flat = pa.array(np.ascontiguousarray(logits).reshape(-1), pa.float32())
        column = pa.FixedSizeListArray.from_arrays(flat, logits.shape[1])
        self._writer.write_table(pa.table([key_column(keys), column], schema=self._schema))

    def __exit__(self, *_: object) -> None:
        """Completes the file."""
        self._writer.close()


def answered(logits: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Whether somebody answered, [rows], from logits [rows, classes]."""
    known: NDArray[np.bool_] = ~np.isnan(logits[:, 0])
    return known


def share_right(logits: NDArray[np.floating], gold: NDArray[np.integer]) -> float:
    """The accuracy of logits [rows, classes] against gold classes [rows]; no answer is a wrong one."""
    return float(((logits.argmax(-1) == gold) & answered(logits)).mean())


def read_some(file: Path) -> Iterator[tuple[Keys, NDArray[np.float32]]]:
    """Keys [rows] and logits [rows, classes] in order, some thousands at a time."""
    with pq.ParquetFile(file) as parquet:
        for batch in parquet.iter_batches(_ROWS_AT_ONCE):
            yield keys_of(batch.column("key")), batch.column("logits").flatten().to_numpy().reshape(batch.num_rows, -1)


def read_soft_labels(file: Path, wanted: Keys) -> NDArray[np.float32]:
    """Logits of some distinct keys, [keys, classes].

    Raises:
        StillhouseError: a key has none.
    """
    index, found, logits = KeyIndex(wanted), np.zeros(len(wanted), np.bool_), None
    for keys, some in read_some(file):
        rows = index.find(keys)
        hits = rows >= 0
        logits = np.empty((len(wanted), some.shape[1]), np.float32) if logits is None else logits
        logits[rows[hits]] = some[hits]
        found[rows[hits]] = True
    if logits is None or not found.all():
        raise StillhouseError(
            f"{int((~found).sum()):,} of {len(wanted):,} texts have no soft label in {file}; run with --force fuse"
        )
    return logits
