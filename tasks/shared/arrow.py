"""Rows out of Arrow data: Parquet files, and what a hub data set hands out."""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import count, repeat
from typing import TYPE_CHECKING, BinaryIO

from tasks.shared.classes.spelling import is_whole, label_text
from tasks.shared.errors import StillhouseError, brief
from tasks.shared.files.parquet import bounded_batches
from tasks.shared.rows import Columns, Row, Table, check_columns, reason
from tasks.shared.texts import normalise

if TYPE_CHECKING:
    import pyarrow as pa


def read_parquet(table: Table, stream: BinaryIO) -> Iterator[Row]:
    """Parquet, a batch of rows at a time, in bounded memory."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = table.columns
    try:
        # Column chunks are read piece by piece: by default the whole file would be fetched into memory.
        with pq.ParquetFile(stream, buffer_size=1 << 20, pre_buffer=False, page_checksum_verification=True) as file:
            groups = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
            if sum(groups) != file.metadata.num_rows:
                raise pa.ArrowInvalid("it counts its rows in two ways")
            check_columns(file.schema_arrow.names, columns, table.at)
            columns = columns.there(file.schema_arrow.names)
            names = file.schema_arrow.names if columns.whole else columns.names
            class_names = declared_classes(file.schema_arrow, columns.label)
            yield from arrow_rows(bounded_batches(file, stream, names, table.at), columns, table.at, class_names)
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # from the system, not from the format
            raise StillhouseError(f"{table.at}: cannot be read: {os.strerror(error.errno)}") from None
        raise StillhouseError(
            f"{table.at}: broken or cut off, or not Parquet ({reason(error)}); write or download it again"
        ) from None
    except UnicodeError:
        raise StillhouseError(f"{table.at}: holds text that is not UTF-8; write the file again") from None
    except (ArithmeticError, LookupError, ValueError) as error:  # a date beyond Python's, a time zone nobody knows
        what = f"holds a value that cannot be read ({reason(error)})"
        raise StillhouseError(f"{table.at}: {what}; leave that column out") from None


def parquet_class_names(table: Table, stream: BinaryIO) -> Sequence[str]:
    """Names of the classes that a Parquet file declares, none if it cannot be read: reading its rows will tell."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return declared_classes(pq.read_schema(stream), table.columns.label)
    except (pa.ArrowException, OSError, UnicodeError):
        return ()


def declared_classes(schema: "pa.Schema", column: str | None) -> Sequence[str]:
    """Names of the classes that a column holds the positions of, as the library `datasets` writes them down."""
    try:
        feature = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"][column]
        while "feature" in feature:  # of a list
            feature = feature["feature"]
        names = feature["names"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return ()
    is_list = isinstance(names, list) and all(isinstance(name, str) for name in names)
    return [normalise(name) for name in names] if is_list else ()


def arrow_rows(
    batches: "Iterable[pa.RecordBatch | pa.Table]", columns: Columns, at: str, class_names: Sequence[str] = ()
) -> Iterator[Row]:
    """Rows of Arrow data; with `class_names`, labels are positions in that list, and -1 stands for no label."""
    before = 0
    for batch in batches:
        texts = _arrow_texts(batch, columns.text, at)
        pairs = repeat(None) if columns.text_pair is None else _arrow_texts(batch, columns.text_pair, at)
        labels: Iterable[str | None] = repeat(None)
        if columns.label is not None:
            values = batch.column(columns.label).to_pylist()
            if class_names:
                labels = [_class_name(value, class_names, at, row) for row, value in enumerate(values, before + 1)]
            else:
                labels = [label_text(value, at, "row", row) for row, value in enumerate(values, before + 1)]
        groups: Iterable[str | None] = repeat(None)
        if columns.group is not None:
            values = batch.column(columns.group).to_pylist()
            groups = [label_text(value, at, "row", row, "group") for row, value in enumerate(values, before + 1)]
        whole: Iterable[dict[str, object] | None] = batch.to_pylist() if columns.whole else repeat(None)
        yield from map(Row, texts, pairs, labels, count(before + 1), groups, whole)
        before += batch.num_rows


def _arrow_texts(batch: "pa.RecordBatch | pa.Table", name: str, at: str) -> list[str]:
    import pyarrow as pa

    column = batch.column(name)
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    string_kinds = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_null)
    if not any(is_kind(kind) for is_kind in string_kinds):
        raise StillhouseError(f"{at}: column {brief(name)} holds {brief(str(kind))}, not text; write it as strings")
    return [text or "" for text in column.to_pylist()]


def _class_name(value: object, names: Sequence[str], at: str, row: int) -> str | None:
    """The class at a position; of a label that is no number, its text."""
    found = label_text(value, at, "row", row)
    if found is None or found == "-1":  # data sets publish -1 for a label that is kept secret
        return None
    if isinstance(value, str) or not is_whole(found):
        return found
    if not 0 <= int(found) < len(names):
        raise StillhouseError(f"{at} row {row}: label {found} is none of its {len(names)} classes; mend the data set")
    return names[int(found)]
