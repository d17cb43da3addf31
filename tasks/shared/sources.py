"""Where rows come from: files and globs, data sets of the Hugging Face hub, and samples, all read the same way."""

import codecs
import difflib
import glob
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from tasks.shared.errors import StillhouseError, brief, brief_path
from tasks.shared.held import changed, opened
from tasks.shared.hub_data import HubSource, hub_source
from tasks.shared.outputs import hash_file
from tasks.shared.readers import READERS
from tasks.shared.rows import Columns, Row, Table, within_limits
from tasks.shared.samples import sample_table

if TYPE_CHECKING:
    from tasks.shared.recipe_data import Data

_ROWS_TO_CHECK = 100

__all__ = ["FileSource", "HubSource", "Row", "Source", "open_sources"]


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

    def place(self, line: int) -> str:
        """Where the row with this `line` stands, for messages: `reviews.csv line 12`."""


def open_sources(
    spec: str, data: "Data", *, split: str, labelled: bool, where: str, whole: bool = False
) -> list[Source]:
    """The sources that a recipe's text names, in a fixed order; a glob can name several. Nothing is read yet.

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
    _check_encoding(data.encoding)
    _check_separator(data.separator)
    options = Table(Path(), "", replace(columns, whole=whole), data.encoding, data.separator, data.header)
    return [_file_source(path, options, where) for path in _matching(spec, where)]


@dataclass(frozen=True)
class FileSource:
    """A file on disk."""

    name: str
    table: Table
    held_to: str | None = None

    @property
    def size(self) -> float:
        """Size of the file, 0 where it is gone."""
        return self.table.path.stat().st_size if self.table.path.is_file() else 0

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
        empty = StillhouseError(f"{table.at}: has no rows; name a file with data, or remove it")
        try:
            with opened(table.path, self.held_to, table.at) as stream:
                if os.fstat(stream.fileno()).st_size == 0:
                    raise empty  # before the reader finds that it is not even the right format
                rows = READERS[table.path.suffix.lower()](table, stream)
                first = next(rows, None)
                if first is None:
                    raise empty
                yield from within_limits(chain([first], rows), f"{table.at} {self._unit}")
        except OSError as error:
            raise StillhouseError(f"{table.at}: cannot be read: {error.strerror}") from None

    def place(self, line: int) -> str:
        """See `Source.place`."""
        return f"{self.name} {self._unit} {line}"

    @property
    def _unit(self) -> str:
        return "row" if self.table.path.suffix.lower() == ".parquet" else "line"


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
    return FileSource(spec, Table(sample.path, f"{where}: {spec}", own, skip=sample.skip))


def _file_source(path: Path, options: Table, where: str) -> FileSource:
    name = brief_path(path)
    if path.suffix.lower() not in READERS:
        raise StillhouseError(
            f"{where}: {name} is of an unknown kind {brief(path.suffix)}; known are {', '.join(READERS)}"
        )
    if path.suffix.lower() == ".txt" and options.columns.label is not None:
        raise StillhouseError(f"{where}: {name} is .txt, which has no labels; it fits data.unlabelled, or write .csv")
    if path.suffix.lower() == ".txt" and options.columns.text_pair is not None:
        raise StillhouseError(
            f"{where}: {name} is .txt, one text a line, but data.text_pair asks for pairs; write .csv"
        )
    return FileSource(name, replace(options, path=path, at=f"{where}: {name}"))


def _matching(spec: str, where: str) -> list[Path]:
    """The files a spec names. A file whose very name looks like a pattern is that file."""
    path = Path.home() / spec[2:] if spec.startswith("~/") else Path(spec)
    try:
        if path.is_file():
            return [path]
        if path.is_dir():
            raise StillhouseError(
                f"{where}: {brief_path(spec)} is a folder; name a file, or a pattern such as *.csv in it"
            )
        if path.exists():
            raise StillhouseError(f"{where}: {brief_path(spec)} is a device or a pipe; write the rows to a file first")
        if not glob.has_magic(spec):
            raise _missing_file(path, spec, where)
    except OSError as error:
        raise StillhouseError(f"{where}: {brief_path(spec)} cannot be read: {error.strerror}") from None
    # Path.glob refuses absolute patterns and takes hidden files along.
    found = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207
    files = [Path(name) for name in found if Path(name).is_file()]
    if not files:
        raise StillhouseError(f"{where}: no file matches {brief_path(spec)}; looked for {brief_path(path.absolute())}")
    return files


def _missing_file(path: Path, spec: str, where: str) -> StillhouseError:
    if "://" in spec:
        return StillhouseError(f"{where}: {brief_path(spec)} is a URL; download the file and name it here, or use hub:")
    advice = "check the name and the folder it starts from"
    if not path.parent.is_dir():
        advice = f"there is no folder {brief_path(path.parent)}"
    else:
        near = difflib.get_close_matches(path.name, [entry.name for entry in path.parent.iterdir()], n=1)
        if near:
            advice = f"did you mean {brief_path(path.with_name(near[0]))}?"
    return StillhouseError(f"{where}: no file {brief_path(spec)}; looked for {brief_path(path.absolute())}; {advice}")


def _check_encoding(encoding: str) -> None:
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
