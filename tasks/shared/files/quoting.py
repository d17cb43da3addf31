"""Whether tab-separated cells are quoted as pandas and Excel write them, or a quotation mark is just a character.

Lines without a quotation mark are read alike either way, so nothing is decided before the first one: by it, and by
what follows it. Cells are quoted if every quotation mark is where a writer of quoted cells would put it, all rows have
as many columns as the first, and something shows that this is no chance: a cell in quotation marks in which all others
are doubled, a file of other columns, or rows of other lengths, if they were characters.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain

from tasks.shared.rows import LONGEST_TEXT

_WINDOW = 2 * LONGEST_TEXT
"""Characters that are looked at, from the first quotation mark on: more than the longest text that may be in them."""


class Marked:
    """Lines of separated values: those before the first that holds a quotation mark, and the others."""

    def __init__(self, lines: Iterator[str]) -> None:
        """Reads nothing yet."""
        self._lines = lines
        self._first: str | None = None
        self._window: list[str] = []
        self._whole = False

    def before(self) -> Iterator[str]:
        """The lines before the first quotation mark; to be read to their end before anything else is asked."""
        for line in self._lines:
            if '"' in line:
                self._look(line)
                return
            if self._first is None and line.strip("\r\n"):
                self._first = line
            yield line

    def rest(self) -> Iterator[str]:
        """The other lines."""
        return chain(self._window, self._lines)

    def quoted(self, separator: str, column: str | None) -> bool:
        """Whether the cells of the other lines are quoted.

        Args:
            separator: of columns.
            column: a name that the first line must have; None where it has no names.
        """
        return bool(self._window) and _is_quoted(self._window, separator, self._first, column, self._whole)

    def _look(self, line: str) -> None:
        self._window.append(line)
        size = len(line)
        while size < _WINDOW:
            line = next(self._lines, "")
            if not line:
                self._whole = True
                return
            self._window.append(line)
            size += len(line)


def _is_quoted(window: list[str], separator: str, first: str | None, column: str | None, whole: bool) -> bool:
    rows = _quoted_rows("".join(window), separator, whole)
    if not rows:
        return False
    header = (first or window[0]).rstrip("\r\n").split(separator)
    names = rows[0].cells if first is None else header
    if any(len(row.cells) != len(names) for row in rows):
        return False
    of_other_columns = column in names and column not in header
    ragged = any(line.count(separator) != len(header) - 1 for line in window if line.strip("\r\n"))
    return of_other_columns or ragged or any(row.doubled for row in rows)


@dataclass
class _QuotedRow:
    """Cells, and whether one is quoted for nothing but the quotation marks in it."""

    cells: list[str] = field(default_factory=list)
    doubled: bool = False


def _quoted_rows(text: str, separator: str, whole: bool) -> list[_QuotedRow]:
    """The text's rows but blank ones, if each quotation mark opens, closes or is doubled in a quoted cell; else none.

    Args:
        text: whole lines.
        separator: of columns.
        whole: whether no more lines follow; else a cell may be open at the end, and its row is left out.
    """
    sign = re.escape(separator)
    cell = re.compile(rf'"([^"]*+(?:""[^"]*+)*+)"|([^"\r\n{sign}]*+)')
    parts = re.compile(rf"[\r\n{sign}]")
    rows, row, place = list[_QuotedRow](), _QuotedRow(), 0
    while match := cell.match(text, place):
        quoted, plain = match.groups()
        place = match.end()
        following = text[place : place + 1]
        if following == '"':  # in a plain cell, or it opens one that is not closed
            is_cut = not plain and not whole and len(text) - place <= LONGEST_TEXT
            return rows if is_cut else []
        if quoted is not None and '""' in quoted and not parts.search(quoted):
            row.doubled = True
        row.cells.append(plain if quoted is None else quoted.replace('""', '"'))
        if following == separator:
            place += 1
            continue
        if following not in ("", "\r", "\n"):  # after a closing mark
            return []
        if row.cells != [""]:
            rows.append(row)
        row = _QuotedRow()
        place += 2 if text.startswith("\r\n", place) else 1
        if place >= len(text):
            break
    return rows
