"""Carrying out a labelling plan: reading and tokenising, the forward passes, and writing overlap."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from models.encoding import Encoded, encode
from tasks.shared.dataset import read_chunks
from tasks.shared.key_index import Keys
from tasks.shared.label_plan import ROWS_IN_PART, Plan
from tasks.shared.label_store import LabelStore, Part

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from models.engine import Engine

Item = TypeVar("Item")

_EVERY = 4


@dataclass(frozen=True)
class Labelled:
    """What a labelling did.

    Attributes:
        new: texts of its plan.
        truncated: those of them that the teacher saw only the beginning of.
        rounding: how much of a logit the type on disk lost at most.
    """

    new: int = 0
    truncated: int = 0
    rounding: float = 0.0


def carry_out(
    plan: Plan,
    store: LabelStore,
    texts: Path,
    engine: "Engine",
    tokenizer: "PreTrainedTokenizerBase",
    max_length: int,
    columns: Sequence[int],
    advance: Callable[[int], None],
) -> Labelled:
    """Labels those parts of a plan that the store does not hold, and commits each whole.

    Args:
        plan: what to label.
        store: where to.
        texts: the part of the data that has them, in the plan's order.
        engine: runs the teacher.
        tokenizer: the teacher's.
        max_length: tokens read of a text.
        columns: which of the teacher's logits belongs to each class.
        advance: called with the number of texts done.

    Raises:
        StillhouseError: logits that are not finite; what was committed stays.
    """
    held = {part.place for part in store.parts()}
    truncated, roundings = 0, [0.0]
    with ThreadPoolExecutor(1, "writing") as writing:
        written: Future[Part] | None = None
        for place, keys, encoded in _one_ahead(encoded_parts(plan, texts, tokenizer, max_length)):
            truncated += encoded.truncated
            if place in held:
                advance(len(keys))
                continue
            logits = np.ascontiguousarray(engine.answers(encoded, advance)[:, list(columns)])
            with np.errstate(over="ignore"):  # the store refuses what is too large
                roundings.append(float(np.abs(logits - logits.astype(store.labeller.stored)).max()))
            if written:
                written.result()  # what went wrong there is raised here
            written = writing.submit(store.write, place, keys, logits)
        if written:
            written.result()
    return Labelled(len(plan.keys), truncated, max(roundings))


def encoded_parts(
    plan: Plan, texts: Path, tokenizer: "PreTrainedTokenizerBase", max_length: int
) -> Iterator[tuple[str, Keys, Encoded]]:
    """The plan's parts with their token ids, read in one pass: a plan follows the order of the texts."""
    rows = rows_in_order(plan.keys, texts)
    for place, keys in plan.parts():
        found = [next(rows) for _ in range(len(keys))]
        pairs = None if found[0][1] is None else [pair or "" for _, pair in found]
        yield place, keys, encode(tokenizer, [text for text, _ in found], pairs, max_length)


def rows_in_order(keys: Keys, texts: Path) -> Iterator[tuple[str, str | None]]:
    """Text and pair of each key; the keys follow the order of the file."""
    place = 0
    for chunk in read_chunks(texts):
        for row, key in enumerate(chunk.keys):
            if place == len(keys):
                return
            if key == keys[place]:
                place += 1
                yield chunk.texts[row], chunk.pairs[row] if chunk.pairs else None
    if place != len(keys):
        raise RuntimeError(f"the labelling plan has {len(keys) - place} texts that the transfer set lacks")


def first_texts(plan: Plan, texts: Path, tokenizer: "PreTrainedTokenizerBase", max_length: int) -> Encoded:
    """Some texts of a plan, to try something on: every fourth of its first part."""
    some = list(islice(rows_in_order(plan.keys, texts), 0, ROWS_IN_PART, _EVERY))
    pairs = None if some[0][1] is None else [pair or "" for _, pair in some]
    return encode(tokenizer, [text for text, _ in some], pairs, max_length)


def _one_ahead(items: Iterable[Item]) -> Iterator[Item]:
    """The items; while one is used, the next is made."""
    iterator, end = iter(items), object()
    with ThreadPoolExecutor(1, "reading") as reading:
        coming: Future[Item | object] = reading.submit(next, iterator, end)
        while (item := coming.result()) is not end:
            coming = reading.submit(next, iterator, end)
            yield item  # type: ignore[misc]
