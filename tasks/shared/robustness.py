"""A model that reads disturbed texts, and texts that an adversary disturbs for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from models.adversary import Attacked, attack
from models.encoding import encode
from tasks.shared.conditions import ADVERSARY, CLEAN, Condition, Noisy
from tasks.shared.recipe_noise import Robustness
from tasks.shared.steps import Advance
from tasks.shared.texts import normalise

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from models.engine import Engine

EDITS = 2
_TEXTS_AT_ONCE = 8192
_TRIED_AT_ONCE = 4096
"""Edited texts that are held together."""
_MARGIN = 200
"""Characters behind those a model reads: edits move a few of them in."""


@dataclass(frozen=True)
class Reader:
    """A model that reads texts.

    Attributes:
        engine: runs it.
        tokenizer: its own.
        max_length: tokens read of a text.
        columns: which of its logits belongs to each class of the data.
    """

    engine: "Engine"
    tokenizer: "PreTrainedTokenizerBase"
    max_length: int
    columns: Sequence[int]

    def logits(
        self, texts: Sequence[str], pairs: Sequence[str] | None, advance: Advance = lambda texts: None
    ) -> NDArray[np.float32]:
        """What it says, [texts, classes]."""
        encoded = encode(self.tokenizer, texts, pairs, self.max_length)
        return self.engine.answers(encoded, advance)[:, list(self.columns)]

    def reach(self, texts: Sequence[str], pairs: Sequence[str | None]) -> list[int]:
        """How many characters of each text it reads; all, as far as its tokenizer does not tell."""
        if not self.tokenizer.is_fast:
            return [len(text) for text in texts]
        found = []
        for text, pair in zip(texts, pairs, strict=True):
            encoded = self.tokenizer(
                text, pair, truncation=True, max_length=self.max_length, return_offsets_mapping=True
            )
            places = zip(encoded["offset_mapping"], encoded.sequence_ids(), strict=True)
            found.append(max((end for (_, end), sequence in places if sequence == 0), default=0))
        return found


def read_disturbed(file: Path, reader: Reader, advance: Advance) -> list[Noisy]:
    """A model's answers to a file of disturbed texts, condition by condition."""
    found: dict[Condition, list[tuple[NDArray[np.int32], NDArray[np.bool_]]]] = {}
    with pq.ParquetFile(file) as parquet:
        for batch in parquet.iter_batches(_TEXTS_AT_ONCE):
            pairs = batch.column("text_pair")
            logits = reader.logits(
                batch.column("text").to_pylist(),
                None if pairs.null_count == len(pairs) else [pair or "" for pair in pairs.to_pylist()],
                advance,
            )
            right = logits.argmax(-1) == batch.column("label").to_numpy()
            rows = batch.column("row").to_numpy()
            named = np.array(batch.column("noise").to_pylist(), object), batch.column("strength").to_numpy()
            for condition in dict.fromkeys(zip(named[0].tolist(), named[1].tolist(), strict=True)):
                these = (named[0] == condition[0]) & (named[1] == condition[1])
                found.setdefault(condition, []).append((rows[these], right[these]))
    return [
        Noisy(*condition, np.concatenate([rows for rows, _ in parts]), np.concatenate([right for _, right in parts]))
        for condition, parts in found.items()
    ]


def attack_texts(file: Path, reader: Reader, options: Robustness, advance: Advance) -> list[Noisy]:
    """A model's answers to the texts that a greedy adversary makes of some undisturbed ones, by number of edits."""
    table = pq.read_table(file, filters=[("noise", "==", CLEAN)]).slice(0, options.adversary)
    at_once = max(1, _TRIED_AT_ONCE // options.candidates)
    found = [
        attacked
        for start in range(0, table.num_rows, at_once)
        for attacked in _attack(table.slice(start, at_once), reader, options, advance)
    ]
    rows = table.column("row").to_numpy()
    return [
        Noisy(ADVERSARY, float(edits), rows, np.array([text.right[edits] for text in found]))
        for edits in range(1, EDITS + 1)
        if found
    ]


def _attack(table: pa.Table, reader: Reader, options: Robustness, advance: Advance) -> list[Attacked]:
    texts: list[str] = table.column("text").to_pylist()
    pairs: list[str | None] = table.column("text_pair").to_pylist()
    reach = reader.reach(texts, pairs)
    if pairs[0] is None:  # what comes after the last token that is read makes long texts slow to edit, and nothing else
        texts = [text[: end + _MARGIN] for text, end in zip(texts, reach, strict=True)]

    def logits_of(rows: Sequence[int], tried: Sequence[str]) -> NDArray[np.float32]:
        with_pairs = None if pairs[0] is None else [pairs[row] or "" for row in rows]
        return reader.logits(tried, with_pairs, advance)

    return attack(
        texts,
        table.column("label").to_numpy(),
        logits_of,
        edits=EDITS,
        candidates=options.candidates,
        seed=options.seed,
        normalise=normalise,
        reach=reach,
    )
