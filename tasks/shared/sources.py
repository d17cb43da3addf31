"""Where rows come from: files and globs, data sets of the Hugging Face hub, and samples, all read the same way."""

import codecs
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from io import BufferedReader
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from tasks.shared.arrow import parquet_class_names
from tasks.shared.errors import StillhouseError, brief, brief_path
from tasks.shared.files.layout import BEGINNING, SEPARATORS, settled
from tasks.shared.files.matching import matching, said_of_skipped
from tasks.shared.files.packed import PACKED, kind_of, unpacked
from tasks.shared.held import changed, opened
from tasks.shared.hub_data import HubSource, hub_source
from tasks.shared.outputs import hash_file
from tasks.shared.readers import READERS, has_quoted_cells, read_tsv
from tasks.shared.rows import Columns, Row, Table, within_limits
from tasks.shared.samples import sample_table

if TYPE_CHECKING:
    from tasks.shared.recipe_data import Data

_ROWS_TO_CHECK = 100
_UNPACKED = 10
"""How many times as large, at most, a packed text usually is."""
_ADVICE = {
    **dict.fromkeys((".xlsx", ".xls", ".xlsm", ".xlsb", ".ods", ".numbers"), "save the sheet as CSV UTF-8 (.csv)"),
    **dict.fromkeys((".zip", ".tar", ".tgz", ".7z", ".rar", ".xz"), "unpack it first, or pack it as .gz, .bz2, .zst"),
    **dict.fromkeys(PACKED, "name it after what is in it, such as rows.csv.gz"),
    ".parquet": "it is packed inside; unpack the file, or write it without",
}
"""What to do about kinds of files that people have and that are not read."""

__all__ = ["FileSource", "HubSource", "Row", "Source", "found_out", "open_sources"]


class Source(Protocol):
    """One file, or one split of a data set."""

    @property
    def name(self) -> str:
        """The source as a person knows it: the path or the spec in the recipe."""

    @property
    def held_to(self) -> str | None:
        """The digest that what is read must have; None where any will do."""

    @property
    def size(self) -> float:
        """How large it is; infinite where nobody knows before it is read."""

    def check(self) -> None:
        """Finds out cheaply whether it can be read: its beginning, or whether the hub has it.

        Raises:
            StillhouseError: it cannot.
        """

    def digest(self) -> str:
        """SHA-256 in hex of what is there now: a file's bytes, or the rows of a hub data set as they are read."""

    def held(self) -> "Source":
        """The same source, held to what is there now."""

    def check_held(self) -> None:
        """Raises StillhouseError where it is not any more what it is held to."""

    def rows(self) -> Iterator[Row]:
        """The rows in order, streaming: memory does not grow with their number.

        Raises:
            StillhouseError: the source cannot be read, lacks a column, has no rows, or, once it is read, was not what
                it is held to; one line says where.
        """

    def is_header(self, row: Row) -> bool:
        """Whether a row is the names of the columns once more, as in files that were joined."""

    @property
    def class_names(self) -> Sequence[str]:
        """Names of the classes, where labels are stored as positions in such a list; else none."""

    def place(self, line: int) -> str:
        """Where the row with this `line` stands, for messages: `reviews.csv line 12`."""


def open_sources(
    spec: str, data: "Data", *, split: str, labelled: bool, where: str, whole: bool = False
) -> list[Source]:
    """The sources that a recipe's text names, in a fixed order. Nothing is read yet.

    A glob can name several files; of these the beginning is read, and those without rows are left out.

    Args:
        spec: a file, a glob, `hub:NAMESPACE/NAME:CONFIG@REVISION#SPLIT` or `sample:NAME`.
        data: the recipe's section with columns, encoding, separator and header; samples bring their own.
        split: the split of a hub data set whose spec names none.
        labelled: False for texts only: labels are not read, their column and that of groups may be missing, and .txt
            is allowed.
        where: the recipe's path of the spec, such as `data.train`, for messages.
        whole: whether the rows of files come with all of their columns.

    Raises:
        StillhouseError: nothing is there, or it is of an unknown kind; one line says what to do.
    """
    columns = Columns(data.text, data.text_pair, data.label if labelled else None, data.group)
    if spec.startswith("hub:"):
        return [hub_source(spec, columns, split, where)]
    if spec.startswith("sample:"):
        return [_sample_source(spec, columns, where)]
    options = _options(data, replace(columns, whole=whole))
    matches = matching(spec, READERS, where)
    sources = [_file_source(path, options, where) for path in matches.files]
    count = len(matches.files) + len(matches.others)
    return [*(_without_empty(sources, count, spec, matches.others, where) if count > 1 else sources)]


def file_source(path: Path, data: "Data", columns: Columns, where: str) -> "FileSource":
    """A single file of rows in columns, written as the recipe's section says; see `open_sources`."""
    options = _options(data, columns)
    if kind_of(path) == ".txt":
        raise StillhouseError(f"{where}: {brief_path(path)} is .txt, which has no columns; write .csv")
    source = _file_source(path, options, where)
    if not path.is_file():
        raise StillhouseError(f"{where}: no file {brief_path(path)}; looked for {brief_path(path.absolute())}")
    return source


def _options(data: "Data", columns: Columns) -> Table:
    _check_encoding(data.encoding)
    _check_separator(data.separator)
    return Table(Path(), "", columns, data.encoding, data.separator, data.header)


class _NoRows(StillhouseError):  # noqa: N818 - of a file among others it is no error
    """A file has no rows."""


@dataclass(frozen=True)
class FileSource:
    """A file on disk."""

    name: str
    table: Table
    held_to: str | None = None
    beside: str | None = None
    """What is to be said of files beside it that were skipped."""

    @property
    def size(self) -> float:
        """Size of the file, 0 where it is gone; of a packed one about as much as it unpacks to."""
        path = self.table.path
        times = _UNPACKED if path.suffix.lower() in PACKED else 1
        return path.stat().st_size * times if path.is_file() else 0

    def check(self) -> None:
        """Reads the first rows."""
        for _ in islice(self.rows(), _ROWS_TO_CHECK):
            pass

    def digest(self) -> str:
        """SHA-256 of the file's bytes."""
        try:
            return hash_file(self.table.path)
        except OSError as error:
            raise StillhouseError(f"{self.table.at}: cannot be read: {error.strerror}") from None

    def held(self) -> "FileSource":
        """See `Source.held`."""
        return replace(self, held_to=self.digest())

    def check_held(self) -> None:
        """See `Source.check_held`."""
        if self.held_to is not None and self.digest() != self.held_to:
            raise changed(self.table.at)

    def rows(self) -> Iterator[Row]:
        """The file's rows; see `Source.rows`."""
        table = self.table
        empty = _NoRows(f"{table.at}: has no rows; name a file with data, or remove it")
        with self._opened() as (table, stream):
            if not stream.peek(1):
                raise empty  # before the reader finds that it is not even the right format
            rows = READERS[self._kind](table, stream)
            first = next(rows, None)
            if first is None:
                raise empty
            yield from within_limits(chain([first], rows), f"{table.at} {self._unit}")

    @contextmanager
    def _opened(self) -> Iterator[tuple[Table, BufferedReader]]:
        """The table, with what its beginning shows, and the bytes."""
        table = self.table
        try:
            with opened(table.path, self.held_to, table.at) as stream:
                if self._kind == ".parquet":
                    yield table, stream
                    return
                content = unpacked(stream, table.at)
                table = settled(table, self._kind, content.read(BEGINNING))
                content.seek(0)
                yield table, content
        except OSError as error:
            raise StillhouseError(f"{table.at}: cannot be read: {error.strerror}") from None

    def has_rows(self) -> bool:
        """Whether there is a first row; raises StillhouseError where it cannot be read."""
        try:
            return next(self.rows(), None) is not None
        except _NoRows:
            return False

    @cached_property
    def found(self) -> Table:
        """The table with what the recipe does not say, found out; the file is read as far as that takes."""
        with self._opened() as (table, stream):
            if READERS[self._kind] is read_tsv and table.quoted is None:
                return replace(table, quoted=has_quoted_cells(table, stream))
            return table

    @cached_property
    def _begun(self) -> Table:
        """The same, by the file's beginning alone: nothing of quoted cells, which may come late."""
        with self._opened() as (table, _):
            return table

    def found_out(self, *, whole: bool) -> list[str]:
        """What was found out, other than what its name stands for, in a sentence each; if not `whole`, soon."""
        said, found = [], self.found if whole else self._begun
        if self.table.encoding is None and found.encoding not in (None, "utf-8"):
            said.append(f"read with encoding {found.encoding}, as its beginning shows; data.encoding can say otherwise")
        if self.table.separator is None and found.separator != SEPARATORS.get(self._kind):
            shown = repr(found.separator)
            said.append(f"read with separator {shown}, as its first line shows; data.separator can say otherwise")
        if self.table.quoted is None and found.quoted:
            said.append('its cells are quoted, so the quotation marks around them are left out, and "" is one')
        return said

    def is_header(self, row: Row) -> bool:
        """See `Source.is_header`."""
        return self.table.columns.repeated_in(row) and self.table.header and self._kind in SEPARATORS

    @cached_property
    def class_names(self) -> Sequence[str]:
        """See `Source.class_names`; those of Parquet that `datasets` wrote."""
        if self._kind != ".parquet" or self.table.columns.label is None:
            return ()
        with self._opened() as (table, stream):
            return parquet_class_names(table, stream) if stream.peek(1) else ()

    def place(self, line: int) -> str:
        """See `Source.place`."""
        return f"{self.name} {self._unit} {line}"

    def at(self, line: int) -> str:
        """The same, with where the recipe names the file."""
        return f"{self.table.at} {self._unit} {line}"

    @property
    def _unit(self) -> str:
        return "row" if self._kind == ".parquet" else "line"

    @property
    def _kind(self) -> str:
        return kind_of(self.table.path)


def _without_empty(
    sources: Sequence["FileSource"], count: int, spec: str, others: Sequence[Path], where: str
) -> list["FileSource"]:
    """Those of a pattern's files that have rows; the first one knows what is to be said of the others."""
    there = [source.has_rows() for source in sources]
    kept = [source for source, has_rows in zip(sources, there, strict=True) if has_rows]
    empty = [source for source, has_rows in zip(sources, there, strict=True) if not has_rows]
    if not kept:
        raise StillhouseError(f"{where}: none of the {count:,} files that match {brief_path(spec)} has rows")
    if empty or others:
        said = said_of_skipped(count, spec, [source.name for source in empty], others)
        kept[0] = replace(kept[0], beside=f"{where}: {said}")
    return kept


def found_out(sources: Iterable[Source], *, whole: bool = True) -> list[str]:
    """What was found out of how files are written, where the recipe does not say; a line for all files alike.

    Before that, which files were skipped.

    Args:
        sources: those that are files are looked at.
        whole: whether files are read as far as it takes to know all; else their beginnings alone.

    Raises:
        StillhouseError: one of them cannot be read.
    """
    alike, skipped = dict[str, list[str]](), []
    for source in sources:
        if isinstance(source, FileSource):
            skipped += [source.beside] if source.beside else []
            for said in source.found_out(whole=whole):
                alike.setdefault(said, []).append(source.table.at)
    return skipped + [
        f"{places[0]}{f' and {len(places) - 1:,} more' if len(places) > 1 else ''}: {said}"
        for said, places in alike.items()
    ]


def _sample_source(spec: str, columns: Columns, where: str) -> FileSource:
    try:
        sample = sample_table(spec)
    except StillhouseError as error:
        raise StillhouseError(f"{where}: {error}") from None
    if columns.text_pair is not None:
        raise StillhouseError(f"{where}: {spec} has single texts, but data.text_pair asks for pairs; remove that line")
    if columns.group is not None and columns.label is not None:
        raise StillhouseError(f"{where}: {spec} does not say what its texts are of; remove data.group")
    own = Columns(sample.text, None, sample.label if columns.label is not None else None)
    return FileSource(spec, Table(sample.path, f"{where}: {spec}", own, "utf-8", "\t", skip=sample.skip, quoted=False))


def _file_source(path: Path, options: Table, where: str) -> FileSource:
    name = brief_path(path)
    suffix, kind = path.suffix.lower(), kind_of(path)
    if kind not in READERS or (kind == ".parquet" and suffix in PACKED):
        advice = _ADVICE.get(kind or suffix, f"known are {', '.join(READERS)}, also .gz, .bz2 or .zst of text")
        raise StillhouseError(f"{where}: {name} is of an unknown kind {brief(path.suffix)}; {advice}")
    if kind == ".txt" and options.columns.label is not None:
        raise StillhouseError(f"{where}: {name} is .txt, which has no labels; it fits data.unlabelled, or write .csv")
    if kind == ".txt" and options.columns.text_pair is not None:
        raise StillhouseError(
            f"{where}: {name} is .txt, one text a line, but data.text_pair asks for pairs; write .csv"
        )
    return FileSource(name, replace(options, path=path, at=f"{where}: {name}"))


def _check_encoding(encoding: str | None) -> None:
    if encoding is None:
        return
    # Encodings of domain names and of program text are no encodings of files, and can yield half characters.
    odd = {"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape", "utf-7"}
    try:
        usable = codecs.lookup(encoding).name not in odd and isinstance("".encode(encoding), bytes)
    except (LookupError, ValueError):
        usable = False
    if not usable:
        raise StillhouseError(
            f"data.encoding: {brief(encoding)} is not a known encoding; write for example utf-8, gbk, cp1252 or utf-16"
        )


def _check_separator(separator: str | None) -> None:
    if separator is not None and separator in '"\r\n\0':
        raise StillhouseError(f"data.separator: {brief(separator)} cannot separate columns; write for example ';'")
