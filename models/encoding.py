"""Token ids of many texts in flat arrays, and batches of similar length cut from them.

Flat arrays can be memory-mapped and need no Python object a row, so neither memory nor the interpreter
bounds training and inference.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Encoding
from transformers import BatchEncoding, PreTrainedTokenizerBase

Ints = NDArray[np.integer]
Batch = dict[str, torch.Tensor]

_FILES = {"ids": np.int32, "types": np.uint8, "offsets": np.int64}


class TokenizerError(ValueError):
    """A tokenizer cannot be loaded, or fails at a text."""


@contextmanager
def tokenizing() -> Iterator[None]:
    """Says of what a tokenizer raises that it is the tokenizer's; a panic of its Rust code is no Exception even."""
    try:
        yield
    except BaseException as error:
        if type(error) is not Exception and type(error).__name__ != "PanicException":
            raise
        raise TokenizerError(f"the tokenizer fails: {error}") from None


@dataclass(frozen=True)
class Encoded:
    """Token ids of `len(self)` texts.

    Attributes:
        ids: token ids of all texts one after the other, [tokens].
        types: segment of each token where the tokenizer tells pairs apart so, [tokens], else empty.
        offsets: text i has tokens offsets[i] to offsets[i + 1], [texts + 1].
        pad_id: the id that fills a batch up.
        truncated: how many texts were cut off.
        left_out: tokens that each of those lost, [truncated]; not known of what was loaded.
    """

    ids: Ints
    types: Ints
    offsets: Ints
    pad_id: int
    truncated: int = 0
    left_out: tuple[int, ...] = ()

    def __len__(self) -> int:
        """Texts."""
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Ints:
        """Tokens of each text, [texts]."""
        return np.diff(self.offsets)

    def first(self, rows: int) -> "Encoded":
        """The first texts; how many of them were cut off is not known."""
        end = int(self.offsets[rows])
        return Encoded(self.ids[:end], self.types[:end], self.offsets[: rows + 1], self.pad_id)

    def some(self, rows: Ints) -> "Encoded":
        """Some texts, by their numbers; how many of them were cut off is not known."""
        lengths = self.lengths[rows]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        places = np.arange(offsets[-1]) + np.repeat(self.offsets[rows] - offsets[:-1], lengths)
        types = self.types[places] if len(self.types) else self.types
        return Encoded(self.ids[places], types, offsets.astype(self.offsets.dtype), self.pad_id)

    def filled_with(self, pad_id: int) -> "Encoded":
        """The same texts, but that batches are filled up with another token."""
        return replace(self, pad_id=pad_id)

    def batch(self, rows: Ints) -> Batch:
        """`input_ids`, `attention_mask` (and `token_type_ids`) of some texts, padded on the right to the longest.

        All are int64, the mask too: some models subtract it from 1, which a boolean one does not bear.
        """
        starts = self.offsets[rows]
        lengths = self.offsets[rows + 1] - starts
        columns = np.arange(lengths.max())
        mask = columns < lengths[:, None]
        places = (starts[:, None] + columns)[mask]
        batch = {
            "input_ids": _spread(self.ids, places, mask, self.pad_id),
            "attention_mask": torch.from_numpy(mask.astype(np.int64)),
        }
        if len(self.types):
            batch["token_type_ids"] = _spread(self.types, places, mask, 0)
        return batch

    def save(self, folder: Path) -> None:
        """Writes the arrays as .npy files into an existing folder."""
        for name in _FILES:
            np.save(folder / f"{name}.npy", getattr(self, name))
        np.save(folder / "facts.npy", np.array([self.pad_id, self.truncated]))

    @classmethod
    def load(cls, folder: Path) -> "Encoded":
        """Memory-maps what `save` wrote."""
        arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in _FILES}
        pad_id, truncated = np.load(folder / "facts.npy", allow_pickle=False).tolist()
        return cls(**arrays, pad_id=pad_id, truncated=truncated)


def _spread(flat: Ints, places: Ints, mask: NDArray[np.bool_], fill: int) -> torch.Tensor:
    grid = np.full(mask.shape, fill, dtype=np.int64)
    grid[mask] = flat[places]
    return torch.from_numpy(grid)


def encode(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], pairs: Sequence[str] | None, max_length: int
) -> Encoded:
    """Tokenises texts (with their pairs), special tokens included, cut off at `max_length` tokens.

    Raises:
        TokenizerError: it fails at one of them.
    """
    found = BatchEncoding({"input_ids": []})  # a tokenizer stumbles over no texts at all
    if len(texts):
        with tokenizing():
            found = tokenizer(
                list(texts),
                text_pair=None if pairs is None else list(pairs),
                truncation=True,
                max_length=max_length,
                padding=False,
                return_attention_mask=False,
            )
    pad_id = tokenizer.pad_token_id
    # A text without a token (GPT-2 adds none of its own) still needs a place for the model to look at.
    ids = [row or [pad_id] for row in found["input_ids"]]
    types = found.get("token_type_ids") if "token_type_ids" in tokenizer.model_input_names else None
    left_out = tuple(map(_left_out, filter(lambda encoding: encoding.overflowing, found.encodings or [])))
    return Encoded(
        ids=_flat(ids, np.int32),
        types=_flat([row or [0] for row in types], np.uint8) if types else np.empty(0, np.uint8),
        offsets=np.cumsum([0, *map(len, ids)], dtype=np.int64),
        pad_id=pad_id,
        truncated=len(left_out),
        left_out=left_out,
    )


def _left_out(encoding: Encoding) -> int:
    """Tokens of a text, or of a pair, that were cut off, without the special ones that each piece of it gets."""
    if 1 not in encoding.sequence_ids:
        return sum(part.special_tokens_mask.count(0) for part in encoding.overflowing)
    pieces = dict[tuple[int, int, int], int]()
    for part in (encoding, *encoding.overflowing):  # a piece of one text comes with each piece of the other
        for sequence in (0, 1):
            spans = [span for of, span in zip(part.sequence_ids, part.offsets, strict=True) if of == sequence]
            if spans:
                pieces[sequence, spans[0][0], spans[-1][1]] = len(spans)
    return sum(pieces.values()) - sum(of is not None for of in encoding.sequence_ids)


def _flat(rows: Sequence[Sequence[int]], dtype: type[np.integer]) -> Ints:
    return np.fromiter((number for row in rows for number in row), dtype=dtype, count=sum(map(len, rows)))


def concatenate(parts: Sequence[Encoded]) -> Encoded:
    """One `Encoded` of several, in order."""
    lengths = np.concatenate([part.lengths for part in parts])
    return Encoded(
        ids=np.concatenate([part.ids for part in parts]),
        types=np.concatenate([part.types for part in parts]),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        pad_id=parts[0].pad_id,
        truncated=sum(part.truncated for part in parts),
        left_out=tuple(tokens for part in parts for tokens in part.left_out),
    )


def sorted_batches(lengths: Ints, batch_size: int) -> list[Ints]:
    """Rows in batches of similar length, the longest first: what does not fit in memory fails at once."""
    order = np.argsort(-lengths, kind="stable")
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


def budgeted_batches(lengths: Ints, tokens: int) -> list[Ints]:
    """Rows in batches of similar length that hold at most `tokens` tokens, padding counted, or a single row.

    The longest come first: what does not fit in memory fails at once.
    """
    order = np.argsort(-lengths, kind="stable")
    batches: list[Ints] = []
    start = 0
    while start < len(order):
        rows = max(1, tokens // max(1, int(lengths[order[start]])))
        batches.append(order[start : start + rows])
        start += rows
    return batches


class ShuffledBatches:
    """Batches of similar length in a new random order each epoch; the same for the same seed.

    Rows are shuffled, then sorted by length within windows of `window` batches: nearly no padding,
    and batches still mix. The last batch of an epoch may be smaller.
    """

    def __init__(self, lengths: Ints, batch_size: int, seed: int, window: int = 32) -> None:
        """Takes the tokens of each row, [rows]."""
        self._lengths = lengths
        self._batch_size = batch_size
        self._window = window * batch_size
        self._random = np.random.default_rng(seed)

    def skip(self, epochs: int) -> None:
        """Goes on as if the batches of so many epochs had been asked for."""
        for _ in range(epochs):
            for _ in self:
                pass

    def __len__(self) -> int:
        """Batches in an epoch."""
        return -(-len(self._lengths) // self._batch_size)

    def __iter__(self) -> Iterator[Ints]:
        """The next epoch's batches, each as rows."""
        order = self._random.permutation(len(self._lengths))
        batches: list[Ints] = []
        for start in range(0, len(order), self._window):
            rows = order[start : start + self._window]
            rows = rows[np.argsort(self._lengths[rows], kind="stable")]
            batches.extend(rows[first : first + self._batch_size] for first in range(0, len(rows), self._batch_size))
        for index in self._random.permutation(len(batches)):
            yield batches[index]
