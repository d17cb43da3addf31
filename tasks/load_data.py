"""Step load_data: from whatever files there are to the parts gold, dev, test, transfer and perhaps gate."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tasks.shared.dataset import FURTHER, NO_LABEL, PARTS, DataRecord, PartWriter, part_file
from tasks.shared.draw import (
    DEV,
    GOLD,
    TRANSFER,
    Classes,
    Draw,
    Text,
    counted,
    draw_parts,
    find_classes,
    read_texts,
    scan,
)
from tasks.shared.errors import StillhouseError
from tasks.shared.outputs import Json, Output
from tasks.shared.recipe_data import Data
from tasks.shared.sources import Source, open_sources
from tasks.shared.steps import Advance, Context, Step
from tasks.shared.texts import NORMALISATION

CHECKED_WHOLE = 5_000_000
"""Bytes of all sources together up to which they are read whole before a run starts, in less than a second."""


@dataclass(frozen=True)
class LoadData(Step[DataRecord]):
    """Reads the sources twice, as a stream: once to choose, once to write."""

    name: ClassVar[str] = "load_data"
    data: Data

    def inputs(self) -> Mapping[str, Json]:
        """The options of the draw, and the digests of the sources, in place of their paths."""
        options = self.data.decided(["dev_share", "group"], but=["train", "test", "tests", "dev", "gate", "unlabelled"])
        sources = {part: [source.held_to for source in found] for part, found in self._held_sources.items()}
        return {"options": options, "sources": sources, "normalisation": NORMALISATION}

    @cached_property
    def _held_sources(self) -> dict[str, list[Source]]:
        """The sources, held to what they were when the key was made: no file that came since is among them."""
        return {part: [source.held() for source in found] for part, found in self._sources().items()}

    def _sources(self) -> dict[str, list[Source]]:
        data = self.data
        train = open_sources(data.train, data, split="train", labelled=True, where="data.train")
        test = open_sources(data.test, data, split="test", labelled=True, where="data.test")
        dev = data.dev and open_sources(data.dev, data, split="validation", labelled=True, where="data.dev")
        unlabelled = [
            source
            for number, spec in enumerate(data.unlabelled)
            for source in open_sources(spec, data, split="train", labelled=False, where=f"data.unlabelled.{number}")
        ]
        sources = {"train": train, "test": test, "dev": dev or [], "unlabelled": unlabelled}
        if data.gate:
            sources["gate"] = open_sources(data.gate, data, split="test", labelled=True, where="data.gate")
        for name, spec in sorted(data.tests.items()):
            where = f"data.tests.{name}"
            sources[FURTHER + name] = open_sources(spec, data, split="test", labelled=True, where=where)
        return sources

    def make(self, folder: Path, context: Context) -> Mapping[str, Json]:
        """Writes a Parquet file a part; the facts hold classes, counts, digests and warnings."""
        sources = self._held_sources
        try:
            with context.progress(None, "rows") as advance:
                classes, draw = self._choose(sources, advance)
                rows, digests = self._write(folder, sources, draw.places, classes, advance)
        except (StillhouseError, KeyError):  # a label that was not there a moment ago, for one
            for source in chain.from_iterable(sources.values()):
                source.check_held()
            raise
        for warning in draw.warnings:
            context.warn(warning)
        return {"classes": classes.names, "rows": rows, "digests": digests, "warnings": draw.warnings}

    def check_sources(self) -> tuple[str, ...] | None:
        """Opens every source and reads its first rows; sources that are small all together are read whole.

        Returns:
            The classes of the data, None where that takes reading more.

        Raises:
            StillhouseError: what is wrong with a source, or with the data that was read.
        """
        sources = self._sources()
        if _small(sources):
            return tuple(self._choose(sources, lambda rows: None)[0].names)
        for source in chain.from_iterable(sources.values()):
            source.check()
        return tuple(self.data.classes) if self.data.classes else None

    def _choose(self, sources: Mapping[str, Sequence[Source]], advance: Advance) -> tuple[Classes, Draw]:
        grouped = self.data.group is not None
        train = scan(sources["train"], advance=advance, grouped=grouped)
        if self.data.minimum_rows and len(train.keys) < self.data.minimum_rows:
            found = f"{len(train.keys):,} rows with a text, fewer than data.minimum_rows, {self.data.minimum_rows:,}"
            raise StillhouseError(f"data.train: {self.data.train} has {found}; is the delivery whole?")
        classes = find_classes(self.data.classes, train, self.data.train)
        reported_on = self._reported_on
        held_out = {
            part: scan(sources[part], classes, advance, part in reported_on, grouped) for part in self._held_out
        }
        for part, rows in held_out.items():
            if part != "dev" and not len(rows.keys):
                raise StillhouseError(f"{self._named(part)} has no row with a text")
        unlabelled = scan(sources["unlabelled"], advance=advance, grouped=grouped)
        draw = draw_parts(self.data, classes, train, unlabelled, held_out)
        for part in reported_on:
            if (held_out[part].labels == NO_LABEL).all():
                what = "so nothing is said of accuracy there, only of loyalty to the teacher"
                draw.warnings.append(f"{self._named(part)} has no gold labels, {what}")
        return classes, draw

    @property
    def _held_out(self) -> list[str]:
        """The parts that nothing is learnt from."""
        return [
            "dev",
            "test",
            *(["gate"] if self.data.gate else []),
            *(FURTHER + name for name in sorted(self.data.tests)),
        ]

    @property
    def _reported_on(self) -> list[str]:
        """The parts that there are intervals of."""
        return [part for part in self._held_out if part == "test" or part.startswith(FURTHER)]

    def _named(self, part: str) -> str:
        """A part's key in the recipe and its source."""
        if part.startswith(FURTHER):
            name = part.removeprefix(FURTHER)
            return f"data.tests.{name}: {self.data.tests[name]}"
        return f"data.{part}: {getattr(self.data, part)}"

    def _write(
        self,
        folder: Path,
        sources: Mapping[str, Sequence[Source]],
        places: NDArray[np.uint8],
        classes: Classes,
        advance: Advance,
    ) -> tuple[dict[str, int], dict[str, str]]:
        whole = self._held_out
        grouped = self._reported_on if self.data.group is not None else []
        writers = {
            part: PartWriter(part_file(folder, part), part in grouped) for part in dict.fromkeys([*PARTS, *whole])
        }
        for part in whole:
            for key, text, pair, label, group in counted(read_texts(sources[part]), advance):
                writers[part].add(key, text, pair, classes.number(label), *([group] if part in grouped else []))
        learning = [*sources["train"], *sources["unlabelled"]]
        for place, (key, text, pair, label, _) in _together(places, counted(read_texts(learning), advance)):
            if place in (GOLD, DEV):
                writers["gold" if place == GOLD else "dev"].add(key, text, pair, classes.number(label))
            if place in (GOLD, TRANSFER):
                writers["transfer"].add(key, text, pair, NO_LABEL)
        digests = {part: writer.close() for part, writer in writers.items()}
        return {part: writer.count for part, writer in writers.items()}, digests

    def read(self, output: Output) -> DataRecord:
        """The record of the parts."""
        facts = output.facts
        return DataRecord(
            path=output.path,
            digest=output.digest,
            digests=facts["digests"],
            rows=facts["rows"],
            classes=tuple(facts["classes"]),
            warnings=tuple(facts["warnings"]),
            pairs=self.data.text_pair is not None,
            given=facts["rows"]["transfer"],
        )

    def summary(self, record: DataRecord) -> str:
        """Rows a part."""
        return _counts(len(record.classes), record.rows)

    def foreseen(self) -> str:
        """Rows a part, of sources that are small."""
        sources = self._sources()
        if not _small(sources):
            return "rows and classes are counted when it runs"
        classes, draw = self._choose(sources, lambda rows: None)
        gold, dev, transfer = (int((draw.places == place).sum()) for place in (GOLD, DEV, TRANSFER))
        held_out = {part: sum(1 for _ in read_texts(sources[part])) for part in self._held_out if sources[part]}
        parts = {"gold": gold, "dev": dev, "test": 0, "transfer": gold + transfer}
        return _counts(len(classes.names), {**parts, **held_out})


def _small(sources: Mapping[str, Sequence[Source]]) -> bool:
    return sum(source.size for source in chain.from_iterable(sources.values())) <= CHECKED_WHOLE


def _counts(classes: int, rows: Mapping[str, int]) -> str:
    return f"{classes} classes; {', '.join(f'{count:,} {part}' for part, count in rows.items())}"


def _together(places: NDArray[np.uint8], texts: Iterator[Text]) -> Iterator[tuple[int, Text]]:
    try:
        yield from zip(places.tolist(), texts, strict=True)
    except ValueError:
        raise StillhouseError("data.train or data.unlabelled changed while it was being read; run again") from None
