"""Step augment: noised copies of transfer texts, for the teacher to label and the students to learn from."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tasks.shared.dataset import KEY, NO_LABEL, DataRecord, PartWriter, part_file, read_chunks, read_keys
from tasks.shared.key_index import KeyIndex
from tasks.shared.outputs import Json, Output, hash_of
from tasks.shared.recipe_noise import Augment as AugmentOptions
from tasks.shared.steps import Advance, Context, Step
from tasks.shared.texts import NORMALISATION, draw_order, normalise, text_key

Copy = tuple[bytes, str, str | None]
"""Key, text, pair."""


@dataclass(frozen=True)
class Augment(Step[DataRecord]):
    """Writes the transfer texts again, and behind them each one's copies; a copy that is there already is left out."""

    name: ClassVar[str] = "augment"
    data: DataRecord
    options: AugmentOptions

    def inputs(self) -> Mapping[str, Json]:
        """The transfer texts, the texts of parts that must not be learnt from, and the noise."""
        parts = {part: self.data.digests[part] for part in ["transfer", *self._held_out]}
        return {"parts": parts, "options": self.options.model_dump(), "normalisation": NORMALISATION}

    @property
    def _held_out(self) -> list[str]:
        return [part for part in self.data.rows if part not in ("gold", "transfer")]

    def make(self, folder: Path, context: Context) -> Mapping[str, Json]:
        """Makes the copies twice, to choose among them by their keys and to write them, so that none has to be held."""
        rows = self.data.rows["transfer"]
        with context.progress(rows + 2 * rows * self.options.copies, "texts") as advance:
            keep = self._chosen(advance)
            writer = PartWriter(part_file(folder, "transfer"))
            for chunk in read_chunks(self.data.file("transfer")):
                for row, key in enumerate(chunk.keys.tolist()):
                    pair = chunk.pairs[row] if chunk.pairs else None
                    writer.add(key.ljust(KEY.itemsize, b"\0"), chunk.texts[row], pair, NO_LABEL)
                advance(len(chunk.texts))
            for wanted, (key, text, pair) in zip(keep, self._copies(advance), strict=True):
                if wanted:
                    writer.add(key, text, pair, NO_LABEL)
        return {"transfer": writer.close(), "rows": writer.count, "added": int(keep.sum())}

    def _chosen(self, advance: Advance) -> NDArray[np.bool_]:
        """Which copies are texts that are not there yet, in any part, [copies]."""
        keys = np.empty(self.data.rows["transfer"] * self.options.copies, KEY)
        for number, (key, _, _) in enumerate(self._copies(advance)):
            keys[number] = key
        keep = np.zeros(len(keys), np.bool_)
        keep[np.unique(keys, return_index=True)[1]] = True
        for part in ["transfer", *self._held_out]:
            keep &= KeyIndex(np.unique(read_keys(self.data.file(part)))).find(keys) < 0
        return keep

    def _copies(self, advance: Advance) -> Iterator[Copy]:
        from models.noise import Noise, perturb

        options = self.options
        for copy in range(options.copies):
            for chunk in read_chunks(self.data.file("transfer")):
                for row, key in enumerate(chunk.keys.tolist()):
                    drawn = draw_order(options.seed + copy, key.ljust(KEY.itemsize, b"\0"))
                    noise = Noise(options.noises[drawn % len(options.noises)])
                    seed = drawn % 2**32
                    text = normalise(perturb(chunk.texts[row], noise, options.strength, seed))
                    pair = normalise(perturb(chunk.pairs[row], noise, options.strength, seed)) if chunk.pairs else None
                    yield text_key(text, pair), text, pair
                advance(len(chunk.texts))

    def read(self, output: Output) -> DataRecord:
        """The record of the data with the longer transfer part."""
        facts = output.facts
        return replace(
            self.data,
            digest=hash_of([self.data.digest, output.digest]),
            digests={**self.data.digests, "transfer": facts["transfer"]},
            rows={**self.data.rows, "transfer": facts["rows"]},
            given=self.data.rows["transfer"],
            elsewhere={**self.data.elsewhere, "transfer": part_file(output.path, "transfer")},
        )

    def consumed(self) -> Mapping[str, tuple[str, Path]]:
        """The transfer texts."""
        return {"transfer": (self.data.digests["transfer"], self.data.file("transfer"))}

    def summary(self, record: DataRecord) -> str:
        """How many there are now."""
        before, now = self.data.rows["transfer"], record.rows["transfer"]
        return f"{now - before:,} noised texts more than {before:,}"
