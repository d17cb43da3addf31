"""Reading Parquet in batches that are bounded in bytes, however small the file is that holds them.

A value that is in a column's dictionary once can stand in every row, so that a file of 500 bytes is gigabytes of text;
its metadata counts what is written, not what is read.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, BinaryIO

from tasks.shared.errors import StillhouseError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

_ROWS = 1024
_BYTES = 32 << 20
"""Bytes of a batch: what it may hold where values repeat."""
_FEWEST_ROWS = 16
"""Of a batch where nothing tells how long a value is, which may then be all of its row group. Fewer would make ordinary
files of that kind slow."""
_LARGE = 256 << 20
_MOST_DENSE = 500
"""Bytes of a large row group to a byte of the file: texts come to ten, logs that hardly differ to a hundred."""
_MANY_ROWS = 10_000_000
_MOST_ROWS_A_BYTE = 100


def bounded_batches(
    file: "pq.ParquetFile", stream: BinaryIO, columns: Sequence[str], at: str
) -> Iterator["pa.RecordBatch"]:
    """The columns of all rows, a row group after the other.

    Args:
        file: the opened file.
        stream: its bytes.
        columns: their names.
        at: what stands before a message.

    Raises:
        StillhouseError: no real file is as dense.
    """
    size, rows = stream.seek(0, 2), file.metadata.num_rows
    if rows > _MANY_ROWS and rows > _MOST_ROWS_A_BYTE * size:
        raise StillhouseError(f"{at}: says that it has {rows:,} rows, in {size:,} bytes; write it again")
    for group in range(file.num_row_groups):
        # What it says of single columns is not asked for: pyarrow aborts the process where that is broken.
        large = file.metadata.row_group(group).total_byte_size
        if large > _LARGE and large > _MOST_DENSE * size:
            what = f"row group {group + 1} would unpack to {large:,} bytes, in a file of {size:,}, as no text does"
            raise StillhouseError(f"{at}: {what}; write it again, in smaller row groups")
        at_once = _rows_at_once(file, stream, group, columns)
        yield from file.iter_batches(at_once, row_groups=[group], columns=[*columns])


def _rows_at_once(file: "pq.ParquetFile", stream: BinaryIO, group: int, columns: Sequence[str]) -> int:
    """How many rows a batch of a row group may have."""
    size: int = file.metadata.row_group(group).total_byte_size
    if size * _ROWS <= _BYTES:
        return _ROWS
    longest = _longest_in_dictionaries(file, stream, group, columns)
    if longest is None:
        return max(_FEWEST_ROWS, min(_BYTES // size, _ROWS))
    # Values that are in no dictionary are counted in the size, each time they stand there.
    average: int = size // max(file.metadata.row_group(group).num_rows, 1)
    return max(1, min(_BYTES // max(longest, average, 1), _ROWS))


def _longest_in_dictionaries(
    file: "pq.ParquetFile", stream: BinaryIO, group: int, columns: Sequence[str]
) -> int | None:
    """Bytes of the longest value in the columns' dictionaries, which come with the first row; None if unknown."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    probe = pq.ParquetFile(
        stream, metadata=file.metadata, read_dictionary=[*columns], buffer_size=1 << 20, pre_buffer=False
    )
    try:
        first = next(probe.iter_batches(1, row_groups=[group], columns=[*columns]), None)
    except (pa.ArrowException, OSError):  # one value is made of another; or it is broken, which the reading will tell
        return None
    longest = 0
    for column in first.columns if first is not None else []:
        if pa.types.is_nested(column.type):
            return None
        if pa.types.is_dictionary(column.type) and len(column.dictionary):
            longest = max(longest, pc.max(pc.binary_length(column.dictionary)).as_py() or 0)
    return longest
