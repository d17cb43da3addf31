"""Data sets of the Hugging Face hub as a source of rows, and local folders that `datasets` reads in the same way."""

import hashlib
import importlib.util
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, cast

from tasks.shared.arrow import arrow_rows, declared_classes
from tasks.shared.errors import StillhouseError, brief, brief_path
from tasks.shared.held import changed
from tasks.shared.hub import files_on_hub
from tasks.shared.rows import Columns, Row, check_columns, reason, within_limits

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa

_HUB_SPEC = re.compile(
    r"hub:(?P<path>\w[\w.-]{0,95}/\w[\w.-]{0,95})(?::(?P<config>[^@#]+))?(?:@(?P<revision>[^#]+))?(?:#(?P<split>.+))?"
)
_ROWS_AT_ONCE = 1000
_MARK = "\ufdd0"
"""Begins each cell that pandas reads of CSV, so that it takes no word such as None or NA for a missing value, in texts
too; Unicode keeps this sign out of texts."""


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
    held_to: str | None = None

    @property
    def size(self) -> float:
        """Nobody knows."""
        return float("inf")

    def check(self) -> None:
        """Asks the hub whether the data set is there; where it does not answer, a copy from before will do."""
        if importlib.util.find_spec("datasets") is None:
            raise _no_package(self.at)
        if Path(self.path).is_dir() or files_on_hub(self.path, self.revision, self.at, "data set") is not None:
            return
        if not _is_cached(self.path):
            raise StillhouseError(f"{self.at}: {_unreachable('there is no copy here either')}")

    def digest(self) -> str:
        """SHA-256 of the columns as they are read; what `datasets` calls a fingerprint changes with file dates."""
        found = hashlib.sha256()
        for _ in self._hashed(found):
            pass
        return found.hexdigest()

    def held(self) -> "HubSource":
        """See `Source.held`; it opens the data set anew, as whoever comes later would."""
        return replace(self, held_to=self.digest())

    def check_held(self) -> None:
        """See `Source.check_held`."""
        if self.held_to is not None and self.digest() != self.held_to:
            raise changed(self.at)

    def rows(self) -> Iterator[Row]:
        """The split's rows; see `Source.rows`. The data set is downloaded first, then read from disk."""
        found = hashlib.sha256()
        yield from self._hashed(found) if self.held_to else self._rows()
        if self.held_to and found.hexdigest() != self.held_to:
            raise changed(self.at)

    def _hashed(self, found: "hashlib._Hash") -> Iterator[Row]:
        """The rows as they are, which `found` hashes on their way."""
        rows = self._rows()
        while batch := list(islice(rows, _ROWS_AT_ONCE)):
            # Without groups as it was before there were any, so that older outputs stay good.
            found.update(json.dumps([row[:5] if self.columns.group else row[:4] for row in batch]).encode())
            yield from batch

    def _rows(self) -> Iterator[Row]:
        if len(self._dataset) == 0:
            raise StillhouseError(f"{self.at}: split {brief(self.split)} has no rows; choose one with #SPLIT")
        check_columns(self._dataset.column_names, self.columns, self.at)
        columns = self.columns.there(self._dataset.column_names)
        batches = self._dataset.select_columns(columns.names).with_format("arrow").iter(batch_size=_ROWS_AT_ONCE)
        yield from within_limits(arrow_rows(_unmarked(batches), columns, self.at, self.class_names), f"{self.at} row")

    def is_header(self, row: Row) -> bool:
        """See `Source.is_header`."""
        return self.columns.repeated_in(row)

    @property
    def class_names(self) -> Sequence[str]:
        """See `Source.class_names`."""
        return declared_classes(self._dataset.features.arrow_schema, self.columns.label)

    def place(self, line: int) -> str:
        """See `Source.place`."""
        return f"{self.name} row {line}"

    @cached_property
    def _dataset(self) -> "datasets.Dataset":
        try:
            import datasets  # noqa: F401 - is it there?
        except ImportError:
            raise _no_package(self.at) from None
        try:
            builder = self._builder()
            builder.download_and_prepare()
            return cast("datasets.Dataset", builder.as_dataset(split=self.split))
        except Exception as error:  # the library and its HTTP client have no common base class
            raise StillhouseError(f"{self.at}: {_hub_trouble(error)}") from None

    def _builder(self) -> "datasets.DatasetBuilder":
        """What reads the data set; of CSV our columns as marked texts, unless the data set declares other types."""
        from datasets import load_dataset_builder

        load = partial(load_dataset_builder, self.path, self.config, revision=self.revision)
        names = self.columns.names
        try:
            builder = load(converters=dict.fromkeys(names, _marked))
        except ValueError:  # it is no CSV
            return load()
        declared = builder.info.features or {}
        texts = [name for name in names if name not in declared or _is_text(declared[name])]
        return builder if texts == names else load(converters=dict.fromkeys(texts, _marked))


def _is_text(feature: object) -> bool:
    return getattr(feature, "dtype", None) in ("string", "large_string")


def _marked(cell: str) -> str:
    return _MARK + cell


def _unmarked(batches: "Iterable[pa.Table]") -> "Iterator[pa.Table]":
    import pyarrow as pa
    import pyarrow.compute as pc

    for batch in batches:
        for place, (name, column) in enumerate(zip(batch.column_names, batch.columns, strict=True)):
            if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
                batch = batch.set_column(place, name, pc.replace_substring_regex(column, f"^{_MARK}", ""))
        yield batch


def hub_source(spec: str, columns: Columns, split: str, where: str) -> HubSource:
    """The split that a spec names; nothing is read yet.

    Args:
        spec: `hub:NAMESPACE/NAME:CONFIG@REVISION#SPLIT`.
        columns: the columns to read.
        split: the split where the spec names none.
        where: the recipe's path of the spec, for messages.

    Raises:
        StillhouseError: the spec is not of that form.
    """
    match = _HUB_SPEC.fullmatch(spec)
    if match is None:
        raise StillhouseError(
            f"{where}: {brief(spec)} is not hub:NAMESPACE/NAME:CONFIG@REVISION#SPLIT; all but the name may be left out"
        )
    path, config, revision, named_split = match.group("path", "config", "revision", "split")
    return HubSource(spec, path, config, revision, named_split or split, columns, f"{where}: {brief_path(spec)}")


def _no_package(at: str) -> StillhouseError:
    return StillhouseError(f"{at}: reading the hub needs one more package: pip install 'stillhouse[hub]'")


def _unreachable(said: str) -> str:
    return f"the hub cannot be reached ({said}); check the network, or download files and name those instead"


def _is_cached(path: str) -> bool:
    """Whether `datasets` has loaded something of that name before."""
    from datasets import config, naming

    namespace, _, name = path.rpartition("/")
    return (Path(config.HF_DATASETS_CACHE) / f"{namespace}___{naming.camelcase_to_snakecase(name)}").is_dir()


def _hub_trouble(error: Exception) -> str:
    from datasets.exceptions import DatasetNotFoundError

    said = reason(error)
    if isinstance(error, DatasetNotFoundError):
        return f"not on the hub, or not without a login ({said}); check the name, or run `hf auth login`"
    if isinstance(error, FileNotFoundError):
        return f"holds no data files that can be read ({said}); check the name, or download files and name those"
    if isinstance(error, ConnectionError):
        return _unreachable(said)
    return f"cannot be loaded ({said}); check its :CONFIG, @REVISION and #SPLIT, or download files and name those"
