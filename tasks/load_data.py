"""Step load_data: from whatever files there are to the parts gold, dev, test, transfer and perhaps gate."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.shared.classes.classes import Classes, find_classes, renamed_classes, respelt
from tasks.shared.classes.spelling import MISSING, spelt_alike
from tasks.shared.dataset import FURTHER, NO_LABEL, PARTS, DataRecord, PartWriter, facts_of, part_file
from tasks.shared.draw import DEV, GOLD, TEST, TRANSFER, Draw, draw_parts
from tasks.shared.errors import StillhouseError
from tasks.shared.outputs import Json, Output
from tasks.shared.recipe_data import Data
from tasks.shared.scan import Text, counted, read_texts, scan
from tasks.shared.sources import FileSource, Source, found_out, open_sources
from tasks.shared.steps import Advance, Context, Foreseen, Step
from tasks.shared.texts import NORMALISATION, normalise
from tasks.shared.workspace import Workspace

CHECKED_WHOLE = 5_000_000
"""Bytes of all sources together up to which they are read whole before a run starts, in less than a second."""


@dataclass(frozen=True)
class CheckedData:
    """What is known of the data before it is loaded.

    Attributes:
        classes: None where it takes reading more to know them.
        found: what was found out of how its files are written, a line each.
    """

    classes: tuple[str, ...] | None
    found: tuple[str, ...]


class _Chosen(NamedTuple):
    """The classes, the draw, and what was read otherwise than it is written, a line each."""

    classes: Classes
    draw: Draw
    read: list[str]


@dataclass(frozen=True)
class LoadData(Step[DataRecord]):
    """Reads the sources twice, as a stream: once to choose, once to write."""

    name: ClassVar[str] = "load_data"
    data: Data

    def inputs(self) -> Mapping[str, Json]:
        """The options of the draw, and the digests of the sources, in place of their paths."""
        added = {"dev_share": 0.2, "group": None, "test_share": None}
        options = self.data.decided(added, but=["train", "test", "tests", "dev", "gate", "unlabelled"])
        options["encoding"] = self.data.encoding or "utf-8"  # as it was called before it could be left to the file
        sources = {part: [source.held_to for source in found] for part, found in self._held_sources.items()}
        decided = {"options": options, "sources": sources, "normalisation": NORMALISATION}
        # An older Stillhouse read these otherwise: a doubled quotation mark stayed two, a class had a number.
        quoted = self._places(lambda file: file.found.quoted)
        named = self._places(lambda file: bool(file.class_names))
        marks = {"quoted": quoted, "class_names": named}
        return decided | {name: places for name, places in marks.items() if any(places.values())}

    def _places(self, is_so: Callable[[FileSource], bool | None]) -> dict[str, list[int]]:
        """Which sources are such files, by part."""
        return {
            part: [place for place, source in enumerate(found) if isinstance(source, FileSource) and is_so(source)]
            for part, found in self._held_sources.items()
        }

    @cached_property
    def _held_sources(self) -> dict[str, list[Source]]:
        """The sources, held to what they were when the key was made: no file that came since is among them."""
        return {part: [source.held() for source in found] for part, found in self._sources().items()}

    def _sources(self) -> dict[str, list[Source]]:
        data = self.data
        train = open_sources(data.train, data, split="train", labelled=True, where="data.train")
        test = data.test and open_sources(data.test, data, split="test", labelled=True, where="data.test")
        dev = data.dev and open_sources(data.dev, data, split="validation", labelled=True, where="data.dev")
        unlabelled = [
            source
            for number, spec in enumerate(data.unlabelled)
            for source in open_sources(spec, data, split="train", labelled=False, where=f"data.unlabelled.{number}")
        ]
        sources = {"train": train, "test": test or [], "dev": dev or [], "unlabelled": unlabelled}
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
                classes, draw, read = self._choose(sources, advance)
                rows, digests, size = self._write(folder, sources, draw.places, classes, advance)
        except (StillhouseError, KeyError):  # a label that was not there a moment ago, for one
            for source in chain.from_iterable(sources.values()):
                source.check_held()
            raise
        warnings = [*self._told(chain.from_iterable(sources.values())), *read, *draw.warnings]
        for warning in warnings:
            context.warn(warning)
        facts = {"classes": classes.names, "rows": rows, "digests": digests, "warnings": warnings}
        return {**facts, "transfer_bytes": size}

    def check_sources(self) -> CheckedData:
        """Opens every source and reads its first rows; sources that are small all together are read whole.

        Raises:
            StillhouseError: what is wrong with a source, or with the data that was read.
        """
        sources = self._sources()
        every = list(chain.from_iterable(sources.values()))
        if _small(sources):
            chosen = self._choose(sources, lambda rows: None)
            return CheckedData(tuple(chosen.classes.names), (*self._told(every), *chosen.read))
        for source in every:
            source.check()
        given = self.data.classes and tuple(map(normalise, self.data.classes))  # hub data would be fetched for more
        return CheckedData(given or None, tuple(self._told(every, whole=False)))

    def _told(self, sources: Iterable[Source], *, whole: bool = True) -> list[str]:
        """What a person should know of how the data is read, whatever is in it."""
        found = found_out(sources, whole=whole)
        if self.data.test_share:
            what = f"{100 * self.data.test_share:g}% of the labelled texts of data.train, in each class, are test"
            unit = "text" if self.data.group is None else "group"
            found.append(f"data.test_share: {what}, drawn by a hash of the {unit}; nothing is learnt from them")
        return found

    def _given(self, sources: Mapping[str, Sequence[Source]]) -> Classes | None:
        """The recipe's classes; None if train's labels are to say which there are."""
        if self.data.classes is None:
            return None
        declared = [source.class_names for source in chain.from_iterable(sources.values())]
        return Classes(self.data.classes, True, renamed_classes(declared, self.data.classes))

    def _choose(self, sources: Mapping[str, Sequence[Source]], advance: Advance) -> _Chosen:
        grouped = self.data.group is not None
        given = self._given(sources)
        listed = _declared(sources["train"])
        train = scan(sources["train"], given, advance, grouped=grouped, listed=listed)
        if self.data.minimum_rows and len(train.keys) < self.data.minimum_rows:
            found = f"{len(train.keys):,} rows with a text, fewer than data.minimum_rows, {self.data.minimum_rows:,}"
            raise StillhouseError(f"data.train: {self.data.train} has {found}; is the delivery whole?")
        classes = given or find_classes(train.counts, train.missing, self.data.train)
        reported_on = self._reported_on
        held_out = {
            part: scan(
                sources[part], classes, advance, labelled=True, may_lack_labels=part in reported_on, grouped=grouped
            )
            for part in self._held_out
        }
        for part, rows in held_out.items():
            if part != "dev" and not len(rows.keys):
                raise StillhouseError(f"{self._named(part)} has no row with a text")
        unlabelled = scan(sources["unlabelled"], advance=advance, grouped=grouped)
        draw = draw_parts(self.data, classes, train, unlabelled, held_out)
        for part in [part for part in reported_on if part in held_out]:
            if (held_out[part].labels == NO_LABEL).all():
                what = "so nothing is said of accuracy there, only of loyalty to the teacher"
                draw.warnings.append(f"{self._named(part)} has no gold labels, {what}")
        read = [said for found in (train, unlabelled, *held_out.values()) for said in found.told]
        return _Chosen(classes, draw, [*read, *respelt(classes, train.counts, self.data.train)])

    @property
    def _held_out(self) -> list[str]:
        """The parts of rows of their own that nothing is learnt from."""
        return [
            "dev",
            *(["test"] if self.data.test else []),
            *(["gate"] if self.data.gate else []),
            *(FURTHER + name for name in sorted(self.data.tests)),
        ]

    @property
    def _reported_on(self) -> list[str]:
        """The parts that there are intervals of."""
        return ["test", *(part for part in self._held_out if part.startswith(FURTHER))]

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
    ) -> tuple[dict[str, int], dict[str, str], int]:
        whole = self._held_out
        grouped = self._reported_on if self.data.group is not None else []
        writers = {
            part: PartWriter(part_file(folder, part), part in grouped) for part in dict.fromkeys([*PARTS, *whole])
        }
        for part in whole:
            for key, text, pair, label, group in counted(read_texts(sources[part]), advance):
                writers[part].add(key, text, pair, classes.number(label), *([group] if part in grouped else []))
        learning = [*sources["train"], *sources["unlabelled"]]
        for place, (key, text, pair, label, group) in _together(places, counted(read_texts(learning), advance)):
            if place == TEST:
                writers["test"].add(key, text, pair, classes.number(label), *([group] if grouped else []))
            if place in (GOLD, DEV):
                writers["gold" if place == GOLD else "dev"].add(key, text, pair, classes.number(label))
            if place in (GOLD, TRANSFER):
                writers["transfer"].add(key, text, pair, NO_LABEL)
        digests = {part: writer.close() for part, writer in writers.items()}
        return {part: writer.count for part, writer in writers.items()}, digests, writers["transfer"].size

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
            facts=facts_of(len(facts["classes"]), facts["rows"], facts["transfer_bytes"]),
        )

    def stands(self, output: Output, workspace: Workspace) -> bool:
        """Whether its classes are as labels are read now; an older Stillhouse left 1.0, True and nan as they were.

        Nor did one tell how long texts are, which is made up for by reading them again.
        """
        if "transfer_bytes" not in output.facts:
            return False
        names = output.facts["classes"]
        if self.data.classes is not None or spelt_alike(list(map(normalise, names))) != names:
            return self.data.classes is not None
        return not MISSING & {*names} - _declared(self._held_sources["train"])

    def summary(self, record: DataRecord) -> str:
        """Rows a part."""
        return _counts(len(record.classes), record.rows)

    def foreseen(self) -> Foreseen:
        """Rows a part, of sources that are small."""
        sources = self._sources()
        if not _small(sources):
            return Foreseen("rows and classes are counted when it runs")
        classes, draw, _ = self._choose(sources, lambda rows: None)
        gold, dev, test, transfer = (int((draw.places == place).sum()) for place in (GOLD, DEV, TEST, TRANSFER))
        held_out = {part: sum(1 for _ in read_texts(sources[part])) for part in self._held_out if sources[part]}
        parts = {"gold": gold, "dev": dev, "test": test, "transfer": gold + transfer, **held_out}
        learning = _together(draw.places, read_texts([*sources["train"], *sources["unlabelled"]]))
        size = sum(
            len(text.encode()) + len((pair or "").encode())
            for place, (_, text, pair, *_) in learning
            if place in (GOLD, TRANSFER)
        )
        facts = facts_of(len(classes.names), parts, size)
        return Foreseen(_counts(len(classes.names), parts), parts, facts)


def _declared(sources: Iterable[Source]) -> set[str]:
    """Names of classes that the sources themselves list."""
    return {name for source in sources for name in source.class_names}


def _small(sources: Mapping[str, Sequence[Source]]) -> bool:
    return sum(source.size for source in chain.from_iterable(sources.values())) <= CHECKED_WHOLE


def _counts(classes: int, rows: Mapping[str, int]) -> str:
    return f"{classes} classes; {', '.join(f'{count:,} {part}' for part, count in rows.items())}"


def _together(places: NDArray[np.uint8], texts: Iterator[Text]) -> Iterator[tuple[int, Text]]:
    try:
        yield from zip(places.tolist(), texts, strict=True)
    except ValueError:
        raise StillhouseError("data.train or data.unlabelled changed while it was being read; run again") from None
