"""The bytes of a part of soft labels: keys and logits in Parquet, which say whose they are."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tasks.shared.dataset import KEY, key_column, keys_of
from tasks.shared.errors import StillhouseError, brief
from tasks.shared.key_index import Keys
from tasks.shared.labeller import FORMAT, Labeller

Logits = NDArray[np.floating]

MOST_ROWS = 2**16
MOST_LOGITS = 2**26
"""What a part may hold at most: a file that claims more is not ours."""

_DTYPES = {"float32": pa.float32(), "float16": pa.float16()}


class DamagedPartError(Exception):
    """A part is not what it should be; the message says how, as the rest of a sentence that begins with its name."""


def check_format(found: object, where: str) -> None:
    """Raises StillhouseError unless that is the format that this Stillhouse writes."""
    if str(found).isdecimal() and 0 < int(str(found)[:9]) < FORMAT:
        raise StillhouseError(f"soft labels {where} have an older format, {found}; delete them, a run makes them anew")
    if found not in (FORMAT, str(FORMAT)):
        raise StillhouseError(
            f"soft labels {where} have format {brief(found)}, this Stillhouse knows {FORMAT}: update it"
        )


def to_bytes(labeller: Labeller, keys: Keys, logits: Logits) -> bytes:
    """Parquet of logits [rows, classes] and keys [rows]: the same bytes for the same rows."""
    dtype, classes = _DTYPES[labeller.stored], len(labeller.classes)
    schema = pa.schema(
        [
            pa.field("key", pa.binary(KEY.itemsize), nullable=False),
            pa.field("logits", pa.list_(dtype, classes), nullable=False),
        ],
        metadata=_metadata(labeller),
    )
    flat = pa.array(logits.astype(labeller.stored, copy=False).reshape(-1), dtype)
    table = pa.table([key_column(keys), pa.FixedSizeListArray.from_arrays(flat, classes)], schema=schema)
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    content: bytes = sink.getvalue().to_pybytes()
    return content


def from_bytes(labeller: Labeller, content: bytes, rows: int, where: str) -> tuple[Keys, Logits]:
    """Keys [rows] and logits [rows, classes] of a part; `where` it is, for messages.

    Raises:
        DamagedPartError: it is no such file, somebody else's, or has another number of rows.
        StillhouseError: it is of another format.
    """
    try:
        with pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True) as file:
            schema = file.schema_arrow
            metadata = schema.metadata or {}
            check_format(metadata.get(b"stillhouse.format", b"unknown").decode("ascii", "replace"), where)
            ours = {name.encode(): value.encode() for name, value in _metadata(labeller).items()}
            if not ours.items() <= metadata.items():
                raise DamagedPartError("are of another teacher or class order")
            if file.metadata.num_rows != rows:
                raise DamagedPartError(f"have {file.metadata.num_rows:,} rows, but {rows:,} were written")
            if rows > MOST_ROWS or rows * len(labeller.classes) > MOST_LOGITS:
                raise DamagedPartError(f"have {rows:,} rows of {len(labeller.classes):,} classes, too many for a part")
            wanted = pa.list_(_DTYPES[labeller.stored], len(labeller.classes))
            if schema.names != ["key", "logits"] or not schema.field("key").type.equals(pa.binary(KEY.itemsize)):
                raise DamagedPartError("have other columns than key and logits")
            if not schema.field("logits").type.equals(wanted):
                raise DamagedPartError(f"hold logits of type {brief(str(schema.field('logits').type))}, not {wanted}")
            table = file.read()
    except (pa.ArrowException, OSError) as error:
        raise DamagedPartError("are damaged") from error
    key, logits = (table.column(name).combine_chunks() for name in ("key", "logits"))
    if key.null_count or logits.null_count or logits.flatten().null_count or len(table) != rows:
        raise DamagedPartError("are damaged")
    values = logits.flatten().to_numpy().reshape(rows, len(labeller.classes))
    if not np.isfinite(values).all():
        raise DamagedPartError("hold logits that are not finite")
    return keys_of(key), values


def _metadata(labeller: Labeller) -> dict[str, str]:
    return {
        "stillhouse.format": str(FORMAT),
        "stillhouse.labeller": labeller.id,
        "stillhouse.teacher": labeller.teacher,
        "stillhouse.classes": json.dumps(labeller.classes),
        "stillhouse.problem_type": labeller.problem_type,
    }
