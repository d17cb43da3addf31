"""Step disturb: a sample of the test texts as they come with mistakes in them, the same for every model."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tasks.shared.conditions import CLEAN
from tasks.shared.dataset import NO_LABEL, DataRecord, read_chunks, read_keys, read_labels
from tasks.shared.misspellings import read_misspellings
from tasks.shared.outputs import Json, Output
from tasks.shared.recipe_noise import Robustness
from tasks.shared.steps import Context, Step
from tasks.shared.texts import NORMALISATION, draw_order, normalise

DISTURBED = "disturbed.parquet"

_SCHEMA = pa.schema(
    [
        pa.field("noise", pa.string(), nullable=False),
        pa.field("strength", pa.float64(), nullable=False),
        pa.field("row", pa.int32(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("text_pair", pa.string()),
        pa.field("label", pa.int32(), nullable=False),
    ]
)

TextRow = tuple[int, str, str | None, int]
"""Row of test, text, pair, gold class."""


@dataclass(frozen=True)
class DisturbRecord:
    """The disturbed texts.

    Attributes:
        path: folder with disturbed.parquet.
        digest: of that folder.
        rows: test texts in the sample; each is there undisturbed and once for each noise and strength.
    """

    path: Path
    digest: str
    rows: int

    @property
    def file(self) -> Path:
        """The texts: the undisturbed ones first, then noise by noise, each in the same order."""
        return self.path / DISTURBED


@dataclass(frozen=True)
class Disturb(Step[DisturbRecord]):
    """Draws test rows that have a gold label by a hash of their text, and puts every noise into each."""

    name: ClassVar[str] = "disturb"
    data: DataRecord
    options: Robustness

    def inputs(self) -> Mapping[str, Json]:
        """The test rows, and what is put into them."""
        options = self.options.model_dump(exclude={"adversary", "candidates", "misspellings"})
        return {
            "test": self.data.digests["test"],
            "options": options,
            "misspellings": self._misspellings,
            "normalisation": NORMALISATION,
        }

    @cached_property
    def _misspellings(self) -> Mapping[str, Sequence[str]] | None:
        """What the recipe's file says, read once: it may be another one later."""
        return read_misspellings(self.options.misspellings) if self.options.misspellings else None

    def make(self, folder: Path, context: Context) -> Mapping[str, Json]:
        """Writes the texts."""
        rows = self._sample()
        texts = self._texts(rows)
        kinds = len(self.options.noises) * len(self.options.strengths)
        with (
            context.progress(len(rows) * (kinds + 1), "texts") as advance,
            pq.ParquetWriter(folder / DISTURBED, _SCHEMA, compression="zstd") as writer,
        ):
            for noise, strength, some in self._conditions(texts):
                columns = list(zip(*some, strict=True)) or [(), (), (), ()]
                named = [[noise] * len(some), [strength] * len(some), *columns]
                arrays = [pa.array(column, field.type) for column, field in zip(named, _SCHEMA, strict=True)]
                writer.write_table(pa.Table.from_arrays(arrays, schema=_SCHEMA))
                advance(len(some))
        return {"rows": len(rows)}

    def _sample(self) -> NDArray[np.intp]:
        """Rows of test in the order of the draw, so that the first of them are a sample too."""
        file = self.data.file("test")
        known = np.flatnonzero(read_labels(file) != NO_LABEL)
        keys = read_keys(file)[known]
        order = [draw_order(self.options.seed, key.ljust(32, b"\0")) for key in keys.tolist()]
        return known[np.argsort(np.array(order, np.int64), kind="stable")][: self.options.texts]

    def _texts(self, rows: NDArray[np.intp]) -> list[TextRow]:
        found = {text[0]: text for text in self._found(set(rows.tolist()))}
        return [found[row] for row in rows.tolist()]

    def _found(self, wanted: set[int]) -> Iterator[TextRow]:
        start = 0
        for chunk in read_chunks(self.data.file("test")):
            for place, text in enumerate(chunk.texts):
                if start + place in wanted:
                    pair = chunk.pairs[place] if chunk.pairs else None
                    yield start + place, text, pair, int(chunk.labels[place])
            start += len(chunk.texts)

    def _conditions(self, texts: Sequence[TextRow]) -> Iterator[tuple[str, float, Sequence[TextRow]]]:
        from models.noise import Noise, perturb
        from models.noise_data import MISSPELLINGS

        options = self.options
        words = MISSPELLINGS if self._misspellings is None else self._misspellings

        def disturbed(text: str, noise: Noise, strength: float) -> str:
            return normalise(perturb(text, noise, strength, options.seed, words))

        yield CLEAN, 0.0, texts
        for kind in options.noises:
            noise = Noise(kind)
            for strength in options.strengths:
                some = [
                    (row, disturbed(text, noise, strength), pair and disturbed(pair, noise, strength), label)
                    for row, text, pair, label in texts
                ]
                if some != texts:  # capitals, say, are nothing in Chinese
                    yield kind, strength, some

    def read(self, output: Output) -> DisturbRecord:
        """The record of the texts."""
        return DisturbRecord(output.path, output.digest, output.facts["rows"])

    def consumed(self) -> Mapping[str, tuple[str, Path]]:
        """The test rows."""
        return {"test": (self.data.digests["test"], self.data.file("test"))}

    def summary(self, record: DisturbRecord) -> str:
        """How much there is."""
        if not record.rows:
            if self.options.texts:
                return "nothing: test has no gold labels"
            return "nothing: mistakes are tried in the first draw of labels alone, with robustness.texts above 0"
        return f"{record.rows:,} texts of test in {len(self.options.noises)} kinds of noise"
