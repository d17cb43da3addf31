"""What a row is, whatever file or data set it came from: its columns, and errors about them."""

import difflib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from tasks.shared.errors import StillhouseError, brief, printable
from tasks.shared.texts import normalise

LONGEST_TEXT = 1 << 20
"""Bytes of a text in UTF-8: about a long novel. What is longer is a file in which something went wrong."""
_SHOWN_COLUMNS = 20


class Row(NamedTuple):
    """One row of a source, as it was read: texts are not normalised, an empty one stays."""

    text: str
    text_pair: str | None
    """None unless the recipe names a column for it."""
    label: str | None
    """The label as normalised text, see `label_text`; None where it is missing or blank, or labels are not read."""
    line: int
    """Number of the row's first line, or of the row in formats without lines; counted from 1."""
    group: str | None = None
    """What it is of (a document, an author) as text, like a label; None where that is missing, blank or not read."""
    cells: Mapping[str, object] | None = None
    """The whole row by column, as it was read; None where nobody asks for it, or there are no columns."""


@dataclass(frozen=True)
class Columns:
    """Names of the columns to read; `label` is None where labels are not read, `group` where the recipe names none."""

    text: str
    text_pair: str | None
    label: str | None
    group: str | None = None
    whole: bool = False
    """Whether each row also comes with all of its columns."""
    nameless: bool = False
    """Whether several of these may have no name, as spreadsheets leave at the end; the last of them counts."""

    @property
    def names(self) -> list[str]:
        """The columns to read, each once."""
        wanted = (self.text, self.text_pair, self.label, self.group)
        return list(dict.fromkeys(name for name in wanted if name is not None))

    def there(self, names: Collection[str]) -> "Columns":
        """Those to read of a table with these columns: texts without labels need not say what they are of."""
        return replace(self, group=None) if self.label is None and self.group not in names else self

    def repeated_in(self, row: Row) -> bool:
        """Whether a row has the names of the columns in the place of values, as between files that were joined."""
        wanted = (self.text, self.text_pair, self.label)
        return row.text == self.text and all(
            name is None or (cell is not None and normalise(cell) == normalise(name))
            for name, cell in zip(wanted, row[:3], strict=True)
        )


@dataclass(frozen=True)
class Table:
    """A file and how to read it."""

    path: Path
    at: str
    """Where errors are, such as `data.train: reviews.csv`."""
    columns: Columns
    encoding: str | None = None
    """Of text; None where that is to be found out, and once it is opened UTF-8."""
    separator: str | None = None
    """Of .csv and .tsv; None where that is to be found out, and once it is opened comma and tab."""
    header: bool = True
    """Whether .csv and .tsv start with column names."""
    skip: int = 0
    """Lines of .csv and .tsv to skip after the column names."""
    quoted: bool | None = None
    """Whether cells of .tsv are quoted; None where that is to be found out."""


def check_columns(names: Sequence[str], columns: Columns, at: str) -> None:
    """Refuses a table in which one of the columns to read is missing, or is there twice."""
    for field in ("text", "text_pair", "label", "group"):
        wanted = getattr(columns.there(names), field)
        if wanted is not None and wanted not in names:
            raise missing_column(wanted, f"data.{field}", names, at)
        if wanted is not None and list(names).count(wanted) > 1:
            raise _twice(wanted, at)
    others = [name for name in names if name.strip() or not columns.nameless] if columns.whole else []
    twice = [name for name, count in Counter(others).items() if count > 1]
    if twice:
        raise _twice(twice[0], at)


def _twice(name: str, at: str) -> StillhouseError:
    return StillhouseError(f"{at}: has more than one column {brief(name)}; rename one of them")


def within_limits(rows: Iterable[Row], at: str) -> Iterator[Row]:
    """The rows as they are; a text of more than `LONGEST_TEXT` bytes is refused. `at` is what stands before the line.

    Raises:
        StillhouseError: a text is too long.
    """
    for row in rows:
        for text in (row.text, row.text_pair):
            if text is not None and len(text) > LONGEST_TEXT // 4 and (size := len(text.encode())) > LONGEST_TEXT:
                found = f"a text of {size:,} bytes, more than {LONGEST_TEXT:,}"
                raise StillhouseError(f"{at} {row.line}: {found}; split it, or cut it off: a model reads the beginning")
        yield row


def missing_column(wanted: str, field: str, names: Sequence[str], at: str) -> StillhouseError:
    """The error for a table without a column that the recipe's `field` asks for."""
    near = difflib.get_close_matches(wanted, names, n=1)
    advice = f"did you mean {brief(near[0])}?" if near else f"set {field} to one of them"
    shown = ", ".join(brief(name) for name in names[:_SHOWN_COLUMNS])
    more = f" and {len(names) - _SHOWN_COLUMNS} more" if len(names) > _SHOWN_COLUMNS else ""
    return StillhouseError(f"{at}: no column {brief(wanted)} ({field}); there is {shown}{more}; {advice}")


def reason(error: Exception) -> str:
    """What a library said, as it may stand in a one-line message: its first line, cut to 150 characters."""
    return printable(str(error).partition("\n")[0], 150)
