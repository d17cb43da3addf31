"""Soft labels in a plain file, as they are exported here and made elsewhere: a text, and a number for each class.

A class's column is called `probability_CLASS`, `logit_CLASS`, or just as the class, which then holds probabilities; or
the probabilities are named as `predict` writes them. Else the label's column says which class the teacher named, and
nothing more is known. The file is read as those of the data are; what the recipe says of how these are written counts
where it fits.
"""

import codecs
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import islice, product
from pathlib import Path

import numpy as np

from tasks.shared.classes.classes import Classes, shown
from tasks.shared.dataset import KEY
from tasks.shared.errors import StillhouseError, brief
from tasks.shared.files.packed import unpacked
from tasks.shared.held import changed
from tasks.shared.key_index import Keys
from tasks.shared.label_rows import (
    DISTRIBUTION,
    LOGIT,
    PREDICTED,
    PROBABILITY,
    RANKED,
    ChosenClass,
    LogitColumns,
    Logits,
    NamedProbabilities,
    ProbabilityColumns,
    RankedClasses,
    RowReader,
    Spellings,
    UnknownClassError,
    is_blank,
    ranked_columns,
)
from tasks.shared.recipe_data import Data
from tasks.shared.rows import Columns
from tasks.shared.sources import FileSource, file_source, found_out
from tasks.shared.texts import normalise, text_key

_SHOWN = 5
_AT_ONCE = 1 << 20
_LOOKED_AT = 100


class LabelsFile:
    """A file of soft labels for certain classes."""

    def __init__(self, path: Path, data: Data, classes: Sequence[str], where: str, held_to: str | None = None) -> None:
        """Opens nothing yet.

        Args:
            path: of the file.
            data: how files of the data are written, and what their columns are called.
            classes: of the data, in order.
            where: the recipe's path of the setting, for messages.
            held_to: SHA-256 in hex that its bytes must have when they have been read; None where any will do.

        Raises:
            StillhouseError: it is of an unknown kind, or not there.
        """
        columns = Columns(data.text, data.text_pair, None, whole=True, nameless=True)
        self._as_told = file_source(path, data, columns, where)
        self._data = data
        self._classes = Classes(classes, given=data.classes is not None)
        self._held_to = held_to
        self._told: list[str] = []
        self._unanswered: list[bytes] = []

    def changed(self) -> StillhouseError:
        """The error for a file that is not any more what was read before."""
        return changed(self._as_told.table.at)

    def rows(self, most: int | None = None) -> Iterator[tuple[bytes, Logits]]:
        """Key and logits [classes] of each row that has a text and says something of it, or of those among the first.

        Args:
            most: rows to read; None for all.

        Raises:
            StillhouseError: a column is missing, a row does not say what it should, or the file, once it is read, was
                not what it is held to; one line says where.
        """
        source = replace(self._source, held_to=self._held_to)
        spellings, unanswered, unknown = Spellings(self._classes), list[bytes](), 0
        first_unknown, read = "", None
        for row in islice(source.rows(), most):
            if source.is_header(row):
                continue
            record, at = row.cells or {}, source.at(row.line)
            read = read or self._reader(spellings)
            text, pair = normalise(row.text), None if row.text_pair is None else normalise(row.text_pair)
            if not text:
                continue
            try:
                logits = read(record, at)
            except UnknownClassError as error:
                unknown += 1
                first_unknown = first_unknown or f"{at}: {brief(str(error))}"
                continue
            if logits is None:
                unanswered.append(text_key(text, pair))
            else:
                yield text_key(text, pair), logits
        if unknown:
            names = shown(self._classes.names)
            rows = (
                f"{unknown:,} row{'s' * (unknown > 1)}" if most is None else f"{unknown:,} of the first {most:,} rows"
            )
            what = f"is no class of the data ({names}); so in {rows}"
            raise StillhouseError(f"{first_unknown} {what}; have them labelled with these classes, or leave them out")
        self._unanswered = unanswered
        self._told = self._what_was_read(spellings, len(unanswered))

    @property
    def unanswered(self) -> Keys:
        """Once all is read, the key of each row that has a text and no label, so that nobody answered for it."""
        return np.array(self._unanswered, KEY)

    @property
    def told(self) -> list[str]:
        """What was found out of how the file is written and, once all is read, what was read otherwise, a line each."""
        return [*found_out([self._source]), *self._told]

    @cached_property
    def kind(self) -> str:
        """How it names probabilities where that is `predict`'s way; empty for all others."""
        if RANKED[0] in ranked_columns(self._names):
            return RANKED[0]
        said = False
        for number, row in enumerate(self._source.rows()):
            cells = row.cells or {}
            if isinstance(cells.get(DISTRIBUTION), dict):
                return DISTRIBUTION
            # Rows that say nothing do not show how the others say it.
            said = said or any(not is_blank(value) for name, value in cells.items() if name != self._data.text)
            if said and number >= _LOOKED_AT:
                break
        return ""

    @cached_property
    def _names(self) -> Sequence[str]:
        """The columns' names: of JSON lines those that the first rows have, some of which may lack some."""
        rows = islice(self._source.rows(), _LOOKED_AT)
        return list(dict.fromkeys(name for row in rows for name in row.cells or ()))

    def _what_was_read(self, spellings: Spellings, unanswered: int) -> list[str]:
        at, told = self._as_told.table.at, []
        if unanswered:
            rows = f"{unanswered:,} row{'s' * (unanswered > 1)}"
            told.append(f"{at}: {rows} without a label skipped")
        if spellings.other:
            count = len(spellings.other)
            some = [
                f"{brief(label)} as class {brief(name)} ({rows:,} rows)"
                for (label, name), rows in spellings.other.most_common(_SHOWN)
            ]
            more = f" and {count - _SHOWN:,} more" if count > _SHOWN else ""
            told.append(f"{at}: read {', '.join(some)}{more}")
        return told

    @cached_property
    def _source(self) -> FileSource:
        """The file, in the first way of reading it that finds the columns of texts; in the recipe's if none does."""
        table = self._as_told.table
        encoding = None if table.encoding is None or self._is_utf8() else table.encoding
        own = replace(table.columns, text="text", text_pair=table.columns.text_pair and "text_pair")
        for header, separator, columns in product(
            dict.fromkeys([True, table.header]), dict.fromkeys([table.separator, None]), (table.columns, own)
        ):
            way = replace(table, header=header, separator=separator, columns=columns, encoding=encoding)
            source = replace(self._as_told, table=way)
            try:
                next(source.rows(), None)
            except StillhouseError:
                continue
            return source
        return replace(self._as_told, table=replace(table, encoding=encoding))

    def _is_utf8(self) -> bool:
        """Whether all of a file of text is UTF-8: what we export is, whatever the encoding of the data."""
        decoder = codecs.getincrementaldecoder("utf-8")()
        table = self._as_told.table
        try:
            with table.path.open("rb") as packed:
                stream = unpacked(packed, table.at)
                while some := stream.read(_AT_ONCE):
                    decoder.decode(some)
                decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return False
        except OSError as error:
            raise StillhouseError(f"{table.at}: cannot be read: {error.strerror}") from None
        return True

    def _reader(self, spellings: Spellings) -> RowReader:
        """What reads a row's logits, by the columns that there are."""
        at, ranked = self._as_told.table.at, ranked_columns(self._names).values()
        names = [name for name in self._names if name not in ranked]  # probability_2 is that of no class 2
        for prefix, kind in ((PROBABILITY, ProbabilityColumns), (LOGIT, LogitColumns), ("", ProbabilityColumns)):
            there = spellings.columns(names, prefix)
            if len(there) == len(self._classes.names):
                return kind(list(there.values()))
            if there and prefix:
                lacking = next(name for number, name in enumerate(self._classes.names) if number not in there)
                raise StillhouseError(
                    f"{at}: has {brief(next(iter(there.values())))} but no {brief(prefix + lacking)}; each of the "
                    f"{len(self._classes.names)} classes needs its column"
                )
        label = next((name for name in (self._data.label, PREDICTED) if name in names), None)
        chosen = ChosenClass(label, spellings) if label else None
        if self.kind == DISTRIBUTION:
            return NamedProbabilities(chosen, spellings)
        if self.kind:
            return RankedClasses(None, spellings)
        if chosen:
            return chosen
        first = self._classes.names[0]
        raise StillhouseError(
            f"{at}: no columns {brief(PROBABILITY + first)}, {brief(LOGIT + first)} or {brief(first)} and so on for "
            f"each class, nor {brief(DISTRIBUTION)} or {brief(self._data.label)}; there is "
            + ", ".join(brief(name) for name in names[:10])
        )
