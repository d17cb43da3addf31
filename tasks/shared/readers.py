"""Reading rows from files: a streaming reader for each format, and errors that name file and line."""

import csv
import json
import re
from collections.abc import Callable, Iterator
from itertools import chain, islice
from typing import BinaryIO

from tasks.shared.arrow import read_parquet
from tasks.shared.classes.spelling import described, label_text
from tasks.shared.errors import StillhouseError, brief
from tasks.shared.files.layout import without_separator_line
from tasks.shared.files.quoting import Marked
from tasks.shared.lines import LONGEST_LINE, decoded_lines
from tasks.shared.rows import Row, Table, check_columns, missing_column

_WORDS_OF_A_NAME = 2
_SURROGATE = re.compile("[\ud800-\udfff]")


def read_csv(table: Table, stream: BinaryIO) -> Iterator[Row]:
    """Comma-separated values with standard quoting."""
    return _separated(table, stream, table.separator or ",", quoted=True)


def read_tsv(table: Table, stream: BinaryIO) -> Iterator[Row]:
    """Tab-separated values; a quotation mark is a character like any, unless the file shows that cells are quoted."""
    return _separated(table, stream, table.separator or "\t", quoted=table.quoted)


def read_txt(table: Table, stream: BinaryIO) -> Iterator[Row]:
    """One text a line, blank lines included; there are no columns, so neither pairs nor labels."""
    for number, line in enumerate(decoded_lines(table, stream, newline=None), 1):
        yield Row(line.removesuffix("\n"), None, None, number)


def read_jsonl(table: Table, stream: BinaryIO) -> Iterator[Row]:
    """One JSON object a line; the keys of label and group may be absent on some lines, not on all."""
    text_key, pair_key = table.columns.text, table.columns.text_pair
    seen, keys = set[str](), None
    for number, line in enumerate(decoded_lines(table, stream, newline="\n"), 1):
        line = line.rstrip()
        if not line:
            continue
        record = json_object(line, table.at, number)
        keys = keys or list(record)
        text = _json_text(record, text_key, "data.text", table.at, number)
        pair = None if pair_key is None else _json_text(record, pair_key, "data.text_pair", table.at, number)
        found = dict[str, str | None]()
        for what, name in (("label", table.columns.label), ("group", table.columns.group)):
            if name is not None and name in record:
                seen.add(what)
                found[what] = label_text(record[name], table.at, "line", number, what)
        label, group = found.get("label"), found.get("group")
        if "\\u" in line and _SURROGATE.search(f"{text}{pair}{label}{group}"):
            raise StillhouseError(
                f"{table.at} line {number}: a \\u escape is half of a surrogate pair, which is not a character; "
                "write both halves or remove it"
            )
        yield Row(text, pair, label, number, group, record if table.columns.whole else None)
    if keys is None:
        return
    for what, name in (("label", table.columns.label), ("group", table.columns.there(keys).group)):
        if name is not None and what not in seen:
            raise missing_column(name, f"data.{what}", keys, table.at)


READERS: dict[str, Callable[[Table, BinaryIO], Iterator[Row]]] = {
    ".csv": read_csv,
    ".tsv": read_tsv,
    ".tab": read_tsv,
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
    ".parquet": read_parquet,
    ".txt": read_txt,
}
"""The reader of each file name extension, in lower case."""


def _separated(table: Table, stream: BinaryIO, separator: str, *, quoted: bool | None) -> Iterator[Row]:
    places = None
    for line, names, cells in separated_cells(table, stream, separator, quoted=quoted):
        text_at, pair_at, label_at, group_at = places = places or _positions(names, table)
        label = None if label_at is None else label_text(cells[label_at], table.at, "line", line)
        group = None if group_at is None else label_text(cells[group_at], table.at, "line", line, "group")
        whole = dict(zip(names, cells, strict=True)) if table.columns.whole else None
        yield Row(cells[text_at], None if pair_at is None else cells[pair_at], label, line, group, whole)


def separated_cells(
    table: Table, stream: BinaryIO, separator: str, *, quoted: bool | None
) -> Iterator[tuple[int, list[str], list[str]]]:
    """Line, column names and cells of each row of separated values; `quoted` is None where that is to be found out.

    Raises:
        StillhouseError: broken quoting, or a row that is longer or shorter than the first.
    """
    csv.field_size_limit(LONGEST_LINE)
    line = 0
    try:
        records = _records(table, stream, separator, quoted)
        first = next((record for record in records if record[1]), None)
        if first is None:
            return
        names = first[1] if table.header else [str(position) for position in range(len(first[1]))]
        _positions(names, table)  # a missing column is told though there be no row
        if table.header:
            line, _ = [first, *islice(records, table.skip)][-1]
        else:
            records = chain([first], records)
        for end, cells in records:
            start, line = line + 1, end
            if len(cells) != len(names):
                if not cells:
                    continue  # a blank line
                raise _ragged(table, start, len(cells), len(names))
            yield start, names, cells
    except csv.Error as error:
        raise StillhouseError(
            f"{table.at} line {line + 1}: broken quoting ({error}); close the quotation mark and "
            "double the ones inside a text, or save the rows as .jsonl"
        ) from None


def has_quoted_cells(table: Table, stream: BinaryIO) -> bool:
    """Whether cells of a file of separated values are quoted, as `separated_cells` finds it out."""
    _, lines = without_separator_line(decoded_lines(table, stream, newline=""))
    marked = Marked(lines)
    for _ in marked.before():
        pass
    return _quoted(table, marked, table.separator or "\t")


def _records(table: Table, stream: BinaryIO, separator: str, quoted: bool | None) -> Iterator[tuple[int, list[str]]]:
    """The number of the line on which each record ends, and its cells."""
    line, lines = without_separator_line(decoded_lines(table, stream, newline=""))
    if quoted is not None:
        yield from _parsed(lines, line, separator, quoted)
        return
    marked = Marked(lines)
    before = _parsed(marked.before(), line, separator, False)
    for line, cells in before:
        yield line, cells
    yield from _parsed(marked.rest(), line, separator, _quoted(table, marked, separator))


def _quoted(table: Table, marked: Marked, separator: str) -> bool:
    return marked.quoted(separator, table.columns.text if table.header else None)


def _parsed(lines: Iterator[str], before: int, separator: str, quoted: bool) -> Iterator[tuple[int, list[str]]]:
    """As `_records`, of lines that come after so many others."""
    # strict: a stray or open quotation mark is an error, where it would quietly join texts.
    reader = csv.reader(
        lines, delimiter=separator, quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE, strict=True
    )
    for cells in reader:
        yield before + reader.line_num, cells


def _positions(names: list[str], table: Table) -> tuple[int, int | None, int | None, int | None]:
    columns = table.columns.there(names)
    try:
        check_columns(names, columns, table.at)
    except StillhouseError as error:
        if table.header and not _like_data(names):
            raise
        if table.header:
            advice = "if the first line is data and not column names, use data.header: false"
            raise StillhouseError(f"{error}; {advice}: columns are then numbers from 0") from None
        raise StillhouseError(f"{error}; data.header is false, so columns are numbers from 0") from None
    return (
        names.index(columns.text),
        None if columns.text_pair is None else names.index(columns.text_pair),
        None if columns.label is None else names.index(columns.label),
        None if columns.group is None else names.index(columns.group),
    )


def _like_data(names: list[str]) -> bool:
    """Whether a first line reads like texts and labels rather than like the names of columns."""
    return len(set(names)) < len(names) or any(
        name.strip().lstrip("-").isdigit() or len(name.split()) > _WORDS_OF_A_NAME for name in names
    )


def _ragged(table: Table, line: int, found: int, expected: int) -> StillhouseError:
    return StillhouseError(
        f"{table.at} line {line}: {found} column{'s' * (found != 1)} where the first line has {expected}; "
        "put a text that holds the separator in quotation marks, or set data.separator"
    )


def json_object(line: str, at: str, number: int) -> dict[str, object]:
    """The object that a line of JSON lines is; `at` and `number` say where it stands.

    Raises:
        StillhouseError: it is none.
    """
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise StillhouseError(
            f"{at} line {number}: not valid JSON ({error.msg.removesuffix(' at')} at column {error.colno}); "
            "each line must hold one whole JSON object"
        ) from None
    except (ValueError, RecursionError):
        raise StillhouseError(f"{at} line {number}: a number too long or brackets too deep to read") from None
    if not isinstance(record, dict):
        raise StillhouseError(
            f"{at} line {number}: {described(record)}, not an object; each line must hold one whole JSON object"
        )
    return record


def _json_text(record: dict[str, object], key: str, field: str, at: str, number: int) -> str:
    if key not in record:
        raise missing_column(key, field, list(record), f"{at} line {number}")
    value = record[key]
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    raise StillhouseError(
        f"{at} line {number}: {brief(key)} is {described(value)}, not text; put it in quotation marks"
    )
