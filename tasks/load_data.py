"""Step load_data: from whatever files there are to the four parts gold, dev, test and transfer."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tasks.shared.dataset import NO_LABEL, PARTS, DataRecord, PartWriter, part_file
from tasks.shared.draw import DEV, GOLD, TRANSFER, Classes, Text, counted, draw_parts, find_classes, read_texts, scan
from tasks.shared.errors import StillhouseError
from tasks.shared.outputs import Json, Output
from tasks.shared.recipe import Data
from tasks.shared.sources import Source, open_sources
from tasks.shared.steps import Advance, Context, Step
from tasks.shared.texts import NORMALISATION


@dataclass(frozen=True)
class LoadData(Step[DataRecord]):
    """Reads the sources twice, as a stream: once to choose, once to write."""

    name: ClassVar[str] = "load_data"
    data: Data

    def inputs(self) -> Mapping[str, Json]:
        """The options of the draw, and the digests of the sources, in place of their paths."""
        options = self.data.model_dump(exclude={"train", "test", "dev", "unlabelled"})
        sources = {part: [source.digest() for source in found] for part, found in self._sources().items()}
        return {"options": options, "sources": sources, "normalisation": NORMALISATION}

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
        return {"train": train, "test": test, "dev": dev or [], "unlabelled": unlabelled}

    def make(self, folder: Path, context: Context) -> Mapping[str, Json]:
        """Writes a Parquet file a part; the facts hold classes, counts, digests and warnings."""
        sources = self._sources()
        with context.progress(None, "rows") as advance:
            train = scan(sources["train"], advance=advance)
            classes = find_classes(self.data.classes, train, self.data.train)
            dev, test = (scan(sources[part], classes, advance) for part in ("dev", "test"))
            if not len(test.keys):
                raise StillhouseError(f"data.test: {self.data.test} has no row with a text")
            unlabelled = scan(sources["unlabelled"], advance=advance)
            draw = draw_parts(self.data, classes, train, unlabelled, dev, test)
            rows, digests = self._write(folder, sources, draw.places, classes, advance)
        for warning in draw.warnings:
            context.warn(warning)
        return {"classes": classes.names, "rows": rows, "digests": digests, "warnings": draw.warnings}

    def _write(
        self,
        folder: Path,
        sources: Mapping[str, Sequence[Source]],
        places: NDArray[np.uint8],
        classes: Classes,
        advance: Advance,
    ) -> tuple[dict[str, int], dict[str, str]]:
        writers = {part: PartWriter(part_file(folder, part)) for part in PARTS}
        for part in ("dev", "test"):
            for key, text, pair, label in counted(read_texts(sources[part]), advance):
                writers[part].add(key, text, pair, classes.number(label))
        learning = [*sources["train"], *sources["unlabelled"]]
        for place, (key, text, pair, label) in _together(places, counted(read_texts(learning), advance)):
            if place in (GOLD, DEV):
                writers["gold" if place == GOLD else "dev"].add(key, text, pair, classes.number(label))
            if place in (GOLD, TRANSFER):
                writers["transfer"].add(key, text, pair, NO_LABEL)
        digests = {part: writer.close() for part, writer in writers.items()}
        return {part: writer.count for part, writer in writers.items()}, digests

    def read(self, output: Output) -> DataRecord:
        """The record of the four parts."""
        facts = output.facts
        return DataRecord(
            path=output.path,
            digest=output.digest,
            digests=facts["digests"],
            rows=facts["rows"],
            classes=tuple(facts["classes"]),
            warnings=tuple(facts["warnings"]),
            pairs=self.data.text_pair is not None,
        )

    def summary(self, record: DataRecord) -> str:
        """Rows a part."""
        counts = ", ".join(f"{record.rows[part]:,} {part}" for part in PARTS)
        return f"{len(record.classes)} classes; {counts}"


def _together(places: NDArray[np.uint8], texts: Iterator[Text]) -> Iterator[tuple[int, Text]]:
    try:
        yield from zip(places.tolist(), texts, strict=True)
    except ValueError:
        raise StillhouseError("data.train or data.unlabelled changed while it was being read; run again") from None
