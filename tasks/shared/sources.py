"""Where rows come from: files and globs, data sets of the Hugging Face hub, and samples, all read the same way."""

import codecs
import difflib
import glob
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from tasks.shared.arrow import arrow_rows
from tasks.shared.errors import StillhouseError
from tasks.shared.readers import READERS
from tasks.shared.rows import Columns, Row, Table, brief, check_columns, reason
from tasks.shared.samples import sample_table

if TYPE_CHECKING:
    import datasets

    from tasks.shared.recipe import Data

__all__ = ["FileSource", "HubSource", "Row", "Source", "open_sources"]


class Source(Protocol):
    """One file, or one split of a data set."""

    @property
    def name(self) -> str:
        """The source as a person knows it: the path or the spec in the recipe."""

    def digest(self) -> str:
        """SHA-256 in hex of what is there now: a file's bytes, or the rows of a hub data set as they are read."""

    def rows(self) -> Iterator[Row]:
        """The rows in order, streaming: memory does not grow with their number.

        Raises:
            StillhouseError: the source cannot be read, lacks a column or has no rows; one line says where.
        """

    def place(self, line: int) -> str:
        """Where the row with this `line` stands, for messages: `reviews.csv line 12`."""


def open_sources(spec: str, data: "Data", *, split: str, labelled: bool, where: str) -> list[Source]:
    """The sources that a recipe's text names, in a fixed order; a glob can name several. Nothing is read yet.

    Args:
        spec: a file, a glob, `hub:NAMESPACE/NAME:CONFIG@REVISION#SPLIT` or `sample:NAME`.
        data: the recipe's section with columns, encoding, separator and header; samples bring their own.
        split: the split of a hub data set whose spec names none.
        labelled: False for texts only: labels are not read, their column may be missing, and .txt is allowed.
        where: the recipe's path of the spec, such as `data.train`, for messages.

    Raises:
        StillhouseError: nothing is there, or it is of an unknown kind; one line says what to do.
    """
    columns = Columns(data.text, data.text_pair, data.label if labelled else None)
    if spec.startswith("hub:"):
        return [_hub_source(spec, columns, split, where)]
    if spec.startswith("sample:"):
        return [_sample_source(spec, columns, where)]
    _check_encoding(data.encoding)
    _check_separator(data.separator)
    options = Table(Path(), "", columns, data.encoding, data.separator, data.header)
    return [_file_source(path, options, where) for path in _matching(spec, where)]


@dataclass(frozen=True)
class FileSource:
    """A file on disk."""

    name: str
    table: Table

    def digest(self) -> str:
        """SHA-256 of the file's bytes."""
        try:
            with self.table.path.open("rb") as stream:
                return hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise StillhouseError(f"{self.table.at}: cannot be read: {error.strerror}") from None

    def rows(self) -> Iterator[Row]:
        """The file's rows; see `Source.rows`."""
        empty = StillhouseError(f"{self.table.at}: has no rows; name a file with data, or remove it")
        if self.table.path.is_file() and self.table.path.stat().st_size == 0:
            raise empty  # before the reader finds that it is not even the right format
        rows = READERS[self.table.path.suffix.lower()](self.table)
        first = next(rows, None)
        if first is None:
            raise empty
        yield first
        yield from rows

    def place(self, line: int) -> str:
        """See `Source.place`."""
        unit = "row" if self.table.path.suffix.lower() == ".parquet" else "line"
        return f"{self.name} {unit} {line}"


_HUB_SPEC = re.compile(
    r"hub:(?P<path>\w[\w.-]*/[\w.-]+)(?::(?P<config>[^@#]+))?(?:@(?P<revision>[^#]+))?(?:#(?P<split>.+))?"
)
_ROWS_AT_ONCE = 1000


@dataclass(frozen=True)
class HubSource:
    """A split of a data set on the Hugging Face hub, or of a local folder of that name, read by `datasets`."""

    name: str
    path: str
    config: str | None
    revision: str | None
    split: str
    columns: Columns
    at: str

    def digest(self) -> str:
        """SHA-256 of the columns as they are read; what `datasets` calls a fingerprint changes with file dates."""
        found, rows = hashlib.sha256(), self.rows()
        while batch := list(islice(rows, _ROWS_AT_ONCE)):
            found.update(json.dumps(batch).encode())
        return found.hexdigest()

    def rows(self) -> Iterator[Row]:
        """The split's rows; see `Source.rows`. The data set is downloaded first, then read from disk."""
        if len(self._dataset) == 0:
            raise StillhouseError(f"{self.at}: split {brief(self.split)} has no rows; choose one with #SPLIT")
        columns = self.columns
        check_columns(self._dataset.column_names, columns, self.at)
        features = self._dataset.features
        class_names = getattr(features[columns.label], "names", ()) if columns.label else ()
        batches = self._dataset.select_columns(columns.names).with_format("arrow").iter(batch_size=_ROWS_AT_ONCE)
        yield from arrow_rows(batches, columns, self.at, class_names)

    def place(self, line: int) -> str:
        """See `Source.place`."""
        return f"{self.name} row {line}"

    @cached_property
    def _dataset(self) -> "datasets.Dataset":
        try:
            import datasets
        except ImportError:
            raise StillhouseError(
                f"{self.at}: reading the hub needs one more package: pip install 'stillhouse[hub]'"
            ) from None
        try:
            return datasets.load_dataset(self.path, self.config, split=self.split, revision=self.revision)
        except Exception as error:  # the library and its HTTP client have no common base class
            raise StillhouseError(f"{self.at}: {_hub_trouble(error)}") from None


def _hub_source(spec: str, columns: Columns, split: str, where: str) -> HubSource:
    match = _HUB_SPEC.fullmatch(spec)
    if match is None:
        raise StillhouseError(
            f"{where}: {brief(spec)} is not hub:NAMESPACE/NAME:CONFIG@REVISION#SPLIT; all but the name may be left out"
        )
    path, config, revision, named_split = match.group("path", "config", "revision", "split")
    return HubSource(spec, path, config, revision, named_split or split, columns, f"{where}: {_shown(spec)}")


def _hub_trouble(error: Exception) -> str:
    from datasets.exceptions import DatasetNotFoundError

    said = reason(error)
    if isinstance(error, DatasetNotFoundError):
        return f"not on the hub, or not without a login ({said}); check the name, or run `hf auth login`"
    if isinstance(error, FileNotFoundError):
        return f"holds no data files that can be read ({said}); check the name, or download files and name those"
    if isinstance(error, ConnectionError):
        return f"the hub cannot be reached ({said}); check the network, or download files and name those instead"
    return f"cannot be loaded ({said}); check its :CONFIG, @REVISION and #SPLIT, or download files and name those"


def _sample_source(spec: str, columns: Columns, where: str) -> FileSource:
    try:
        sample = sample_table(spec)
    except StillhouseError as error:
        raise StillhouseError(f"{where}: {error}") from None
    if columns.text_pair is not None:
        raise StillhouseError(f"{where}: {spec} has single texts, but data.text_pair asks for pairs; remove that line")
    own = Columns(sample.text, None, sample.label if columns.label is not None else None)
    return FileSource(spec, Table(sample.path, f"{where}: {spec}", own, skip=sample.skip))


def _file_source(path: Path, options: Table, where: str) -> FileSource:
    name = _shown(str(path))
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
            raise StillhouseError(f"{where}: {_shown(spec)} is a folder; name a file, or a pattern such as *.csv in it")
        if not glob.has_magic(spec):
            raise _missing_file(path, spec, where)
    except OSError as error:
        raise StillhouseError(f"{where}: {_shown(spec)} cannot be read: {error.strerror}") from None
    # Path.glob refuses absolute patterns and takes hidden files along.
    found = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207
    files = [Path(name) for name in found if Path(name).is_file()]
    if not files:
        raise StillhouseError(f"{where}: no file matches {_shown(spec)}; looked for {_shown(str(path.absolute()))}")
    return files


def _missing_file(path: Path, spec: str, where: str) -> StillhouseError:
    if "://" in spec:
        return StillhouseError(f"{where}: {_shown(spec)} is a URL; download the file and name it here, or use hub:")
    advice = "check the name and the folder it starts from"
    if not path.parent.is_dir():
        advice = f"there is no folder {_shown(str(path.parent))}"
    else:
        near = difflib.get_close_matches(path.name, [entry.name for entry in path.parent.iterdir()], n=1)
        if near:
            advice = f"did you mean {_shown(str(path.with_name(near[0])))}?"
    return StillhouseError(f"{where}: no file {_shown(spec)}; looked for {_shown(str(path.absolute()))}; {advice}")


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


def _shown(name: str) -> str:
    """A name in a message: as it is, unless it would not fit one printable line."""
    return name if name.isprintable() else ascii(name)
