"""How a file of text is written, found out from its beginning where the recipe does not say: encoding and separator."""

import codecs
import csv
import re
from collections.abc import Iterator
from dataclasses import replace
from io import StringIO
from itertools import chain

from tasks.shared.rows import Table

BEGINNING = 1 << 16
"""Bytes that are looked at; the line of column names has to end in them."""
SEPARATORS = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
"""The separator that a file name extension stands for."""

_OTHER_SEPARATORS = (";", ",", "\t", "|")
_MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?[\r\n]*', re.IGNORECASE)


def settled(table: Table, kind: str, beginning: bytes) -> Table:
    """The table with encoding and separator, found out where they are None.

    Args:
        table: the file, and what the recipe says of it.
        kind: its file name extension, in lower case.
        beginning: the first `BEGINNING` bytes, or all there are.
    """
    encoding = table.encoding or _encoding(beginning)
    table = replace(table, encoding=encoding)
    if kind not in SEPARATORS or table.separator is not None:
        return table
    try:
        text = codecs.getincrementaldecoder(encoding)("ignore").decode(beginning).removeprefix("\ufeff")
    except UnicodeError:  # of which the reader says where it is
        text = ""
    return replace(table, separator=_separator(table, text, SEPARATORS[kind]))


def without_separator_line(lines: Iterator[str]) -> tuple[int, Iterator[str]]:
    """How many lines were taken away, and the lines without a first one such as `sep=;`, which is for Excel alone."""
    first = next(lines, "")
    return (1, lines) if _SEPARATOR_LINE.fullmatch(first) else (0, chain([first] if first else [], lines))


def _encoding(beginning: bytes) -> str:
    """By the byte order mark; else UTF-16 where every other byte is often zero; else UTF-8."""
    for mark, encoding in _MARKS.items():
        if beginning.startswith(mark):
            return encoding
    low, high = beginning[::2].count(0), beginning[1::2].count(0)
    many = max(2, len(beginning) // 100)  # commas and line ends alone are more, whatever the script
    if high >= many and high > 2 * low:
        return "utf-16-le"
    if low >= many and low > 2 * high:
        return "utf-16-be"
    return "utf-8"


def _separator(table: Table, text: str, usual: str) -> str:
    """What the first line says or shows: the usual one, or the first of the others with which all columns are there.

    Where none is that good and the usual one finds no columns, it is the one that finds most, for the message.
    """
    said = _SEPARATOR_LINE.match(text)
    if said:
        return said[1]
    names = {sign: _names(table, text, sign) for sign in dict.fromkeys([usual, *_OTHER_SEPARATORS])}
    fitting = [sign for sign, there in names.items() if set(table.columns.there(there).names) <= set(there)]
    if fitting:
        return fitting[0]
    return usual if len(names[usual]) > 1 else max(names, key=lambda sign: len(names[sign]))


def _names(table: Table, text: str, separator: str) -> list[str]:
    """Names of the columns, were that the separator."""
    try:
        first = next(filter(None, csv.reader(StringIO(text, newline=""), delimiter=separator)), [])
    except csv.Error:
        return []
    return first if table.header else [str(place) for place in range(len(first))]
