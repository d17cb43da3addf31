"""Tables as plain files for other tools, .csv and .parquet: written a chunk at a time, whole or not at all."""

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.shared.errors import StillhouseError, brief_path
from tasks.shared.outputs import replacing
from tasks.shared.rows import reason

if TYPE_CHECKING:
    import pyarrow as pa

Columns = Mapping[str, Sequence[Any]]
"""A chunk of rows: values by the name of the column, the same columns in each chunk."""
Write = Callable[[Columns], None]
Kinds = Mapping[str, "pa.DataType"]
"""Types of columns, where they are known before the first value."""


@contextmanager
def whole_file(output: Path) -> Iterator[Path]:
    """A file to write that takes an output's place once it is complete; a device or a pipe is written to itself.

    Raises:
        StillhouseError: it cannot be written.
    """
    try:
        if output.exists() and not output.is_file():  # not resolved: /dev/stdout leads to no path of a pipe
            yield output
        else:
            with replacing(output.resolve()) as temporary:
                yield temporary
    except OSError as error:
        raise StillhouseError(f"cannot write {brief_path(output)}: {error.strerror}") from None


@contextmanager
def table_file(output: Path, kinds: Kinds | None = None) -> Iterator[Write]:
    """Opens a table whose format the output's ending names, one of `TABLES`, and gives what writes a chunk of it.

    Raises:
        StillhouseError: it cannot be written, or the format cannot hold a column.
    """
    import pyarrow as pa

    try:
        with whole_file(output) as file, TABLES[output.suffix.lower()](file, kinds or {}) as write:
            yield write
    except UnicodeEncodeError:
        what = "a column holds half of a surrogate pair, which is not a character"
        raise StillhouseError(f"cannot write {brief_path(output)}: {what}; mend the input") from None
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        what = f"a column holds values of several kinds ({reason(error)})"
        raise StillhouseError(f"cannot write {brief_path(output)}: {what}; write .csv instead") from None


@contextmanager
def _csv(file: Path, kinds: Kinds) -> Iterator[Write]:
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        started = False

        def write(columns: Columns) -> None:
            nonlocal started
            if not started:
                writer.writerow(columns)
                started = True
            writer.writerows([_cell(value) for value in row] for row in zip(*columns.values(), strict=True))

        yield write


def _cell(value: object) -> object:
    """A value in CSV: as JSON has it where it is neither text nor a number."""
    if isinstance(value, bool | list | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return value


@contextmanager
def _parquet(file: Path, kinds: Kinds) -> Iterator[Write]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with file.open("wb") as stream, ExitStack() as opened:
        writers: list[pq.ParquetWriter] = []

        def write(columns: Columns) -> None:
            if not writers:
                found = {name: kinds.get(name) or _kind_of(values) for name, values in columns.items()}
                fields = [(name, pa.string() if pa.types.is_null(kind) else kind) for name, kind in found.items()]
                writers.append(opened.enter_context(pq.ParquetWriter(stream, pa.schema(fields), compression="zstd")))
            schema = writers[0].schema
            for name in columns.keys() - kinds.keys():
                _check_fits(columns[name], schema.field(name).type)
            writers[0].write_table(pa.table(dict(columns), schema=schema))

        yield write


def _kind_of(values: Sequence[Any]) -> "pa.DataType":
    """The type that holds some values; raises ArrowInvalid where none does."""
    import pyarrow as pa

    try:
        return pa.array(values).type
    except OverflowError as error:
        raise pa.ArrowInvalid(str(error)) from None


def _check_fits(values: Sequence[Any], kind: "pa.DataType") -> None:
    """Raises ArrowInvalid where a column's type would round values or drop keys, which Arrow does without a word."""
    import pyarrow as pa

    found = _kind_of(values)
    both = pa.unify_schemas([pa.schema([("", kind)]), pa.schema([("", found)])], promote_options="permissive")
    if both.field(0).type != kind:
        raise pa.ArrowInvalid(f"{found} after {kind}")


TABLES: Mapping[str, Callable[[Path, Kinds], AbstractContextManager[Write]]] = {".csv": _csv, ".parquet": _parquet}
"""What writes the format of each file name extension, in lower case."""
