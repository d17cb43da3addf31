"""Step augment: changed copies of transfer texts, for the teacher to label and the students to learn from."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from tasks.shared.bases import find_base
from tasks.shared.dataset import KEY, DataRecord, PartWriter, part_file, read_chunks, read_keys
from tasks.shared.defaults.resolved import ResolvedAugment
from tasks.shared.held import HeldModel, hold_model
from tasks.shared.key_index import KeyIndex
from tasks.shared.outputs import Json, Output, hash_of
from tasks.shared.steps import Advance, Context, Step
from tasks.shared.texts import NORMALISATION, draw_order, normalise, text_key
from tasks.shared.token_vectors import token_vectors
from tasks.shared.word_vectors import hash_vectors, read_vectors

if TYPE_CHECKING:
    from models.augmentation import WordNeighbours

Copy = tuple[bytes, str, str | None, int]
"""Key, text, pair, label, which transfer texts have none of."""
Change = Callable[[str, int], str]
"""From a text and a number that was drawn for it to its changed copy."""


@dataclass(frozen=True)
class Augment(Step[DataRecord]):
    """Writes a part's texts again, and behind them each one's copies; a copy that is there already is left out.

    `model` is the one whose tokenizer students have, as the recipe names it: masked words become its mask token.
    `part` is transfer here; copies of gold, of which a step of its own is, have their texts' labels.
    """

    name: ClassVar[str] = "augment"
    part: ClassVar[Literal["transfer", "gold"]] = "transfer"
    data: DataRecord
    options: ResolvedAugment
    model: str

    def inputs(self) -> Mapping[str, Json]:
        """The transfer texts, the texts of parts that must not be learnt from, and how copies are made."""
        parts = {part: self.data.digests[part] for part in [self.part, *self._held_out]}
        return {
            "parts": parts,
            "options": self.options.model_dump(exclude={"vectors"}),
            "mask_token": self._mask_token,
            "neighbours_by": self._vectors_digest if self.options.neighbours else None,
            "normalisation": NORMALISATION,
            **({"noise": "comes first"} if self.options.noise else {}),
        }

    @cached_property
    def _base(self) -> Path:
        return find_base(self.model, "student.tokenizer").path

    @property
    def _mask_token(self) -> str | None:
        """What stands for a masked word, where words are masked; BERT's for a tokenizer without one."""
        return (self._own_mask_token or "[MASK]") if self.options.mask else None

    @cached_property
    def _own_mask_token(self) -> str | None:
        for name in ("tokenizer_config.json", "special_tokens_map.json"):
            file = self._base / name
            found = json.loads(file.read_text(encoding="utf-8")).get("mask_token") if file.is_file() else None
            if found:
                return str(found["content"] if isinstance(found, dict) else found)
        return None

    @cached_property
    def _vectors_digest(self) -> str:
        return hash_vectors(self.options.vectors) if self.options.vectors else self._held_base.digest

    @cached_property
    def _held_base(self) -> HeldModel:
        return hold_model(self._base)

    @property
    def _held_out(self) -> list[str]:
        return [part for part in self.data.rows if part not in ("gold", "transfer")]

    def make(self, folder: Path, context: Context) -> Mapping[str, Json]:
        """Makes the copies twice, to choose among them by their keys and to write them, so that none has to be held."""
        rows = self.data.rows[self.part]
        if self.options.mask and not self._own_mask_token:
            context.warn("augment.mask: the tokenizer has no mask token; masked words become the letters [MASK]")
        change = self._change(context)
        with context.progress(rows + 2 * rows * self.options.copies, "texts") as advance:
            keep = self._chosen(change, advance)
            writer = PartWriter(part_file(folder, self.part))
            for chunk in read_chunks(self.data.file(self.part)):
                for row, key in enumerate(chunk.keys.tolist()):
                    pair = chunk.pairs[row] if chunk.pairs else None
                    writer.add(key.ljust(KEY.itemsize, b"\0"), chunk.texts[row], pair, int(chunk.labels[row]))
                advance(len(chunk.texts))
            for wanted, (key, text, pair, label) in zip(keep, self._copies(change, advance), strict=True):
                if wanted:
                    writer.add(key, text, pair, label)
        return {self.part: writer.close(), "rows": writer.count, "added": int(keep.sum())}

    def _chosen(self, change: Change, advance: Advance) -> NDArray[np.bool_]:
        """Which copies are texts that are not there yet, in any part, [copies]."""
        keys = np.empty(self.data.rows[self.part] * self.options.copies, KEY)
        for number, (key, *_) in enumerate(self._copies(change, advance)):
            keys[number] = key
        keep = np.zeros(len(keys), np.bool_)
        keep[np.unique(keys, return_index=True)[1]] = True
        for part in [self.part, *self._held_out]:
            keep &= KeyIndex(np.unique(read_keys(self.data.file(part)))).find(keys) < 0
        return keep

    def _copies(self, change: Change, advance: Advance) -> Iterator[Copy]:
        for copy in range(self.options.copies):
            for chunk in read_chunks(self.data.file(self.part)):
                for row, key in enumerate(chunk.keys.tolist()):
                    drawn = draw_order(self.options.seed + copy, key.ljust(KEY.itemsize, b"\0"))
                    text = normalise(change(chunk.texts[row], drawn))
                    pair = normalise(change(chunk.pairs[row], drawn)) if chunk.pairs else None
                    yield text_key(text, pair), text, pair, int(chunk.labels[row])
                advance(len(chunk.texts))

    def _texts(self) -> Iterator[str]:
        for chunk in read_chunks(self.data.file(self.part)):
            yield from chunk.texts
            yield from chunk.pairs or []

    def _change(self, context: Context) -> Change:
        """What makes a copy of a text."""
        from models.augmentation import Rewriting, WordClasses, rewrite
        from models.noise import Noise, perturb

        options = self.options
        how = Rewriting(
            options.mask, options.same_class, options.neighbours, options.n_gram, self._mask_token or "[MASK]"
        )
        classes = WordClasses.learn(self._texts) if options.same_class else None
        neighbours = self._neighbours() if options.neighbours else None
        noises = [Noise(name) for name in options.noises]

        def change(text: str, drawn: int) -> str:
            seed = drawn % 2**32
            if options.noise:  # before words are masked, or it would break the mask token
                text = perturb(text, noises[drawn % len(noises)], options.noise, seed)
            return rewrite(text, how, seed, classes, neighbours)

        return change

    def _neighbours(self) -> "WordNeighbours":
        """The closest words of the texts' common ones, by a file of vectors or by the model's own token vectors."""
        from models.augmentation import WordNeighbours, common_words

        words = common_words(self._texts())
        file = self.options.vectors
        if file:
            found = read_vectors(file, None, words, self._vectors_digest)
            return WordNeighbours(list(found), np.stack(list(found.values())))
        found = token_vectors(self._base, words)
        vectors = np.stack(list(found.values()))
        self._held_base.check("student.tokenizer")
        return WordNeighbours(list(found), vectors)

    def read(self, output: Output) -> DataRecord:
        """The record of the data with the longer transfer part."""
        facts = output.facts
        return replace(
            self.data,
            digest=hash_of([self.data.digest, output.digest]),
            digests={**self.data.digests, self.part: facts[self.part]},
            rows={**self.data.rows, self.part: facts["rows"]},
            elsewhere={**self.data.elsewhere, self.part: part_file(output.path, self.part)},
        )

    def consumed(self) -> Mapping[str, tuple[str, Path]]:
        """The texts."""
        return {self.part: (self.data.digests[self.part], self.data.file(self.part))}

    def summary(self, record: DataRecord) -> str:
        """How many there are now."""
        before, now = self.data.rows[self.part], record.rows[self.part]
        return f"{now - before:,} texts more than {before:,}"
