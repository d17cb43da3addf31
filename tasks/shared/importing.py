"""Taking a file of soft labels into the label store: read twice, so that little more than keys is in memory.

What is in the store stays there, and the second reading is known to be of the right file only when it is over. So the
first, once it is, vouches for each row of the second.
"""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.shared.dataset import KEY
from tasks.shared.key_index import Keys
from tasks.shared.label_plan import Plan, begun_plan, new_plan
from tasks.shared.label_store import LabelStore
from tasks.shared.labels_file import LabelsFile

_ROWS_AT_ONCE = 65536
_SUM = 16
"""Bytes of a row's checksum."""

Sums = NDArray[np.void]
"""A checksum for each row's key and logits, [rows]."""


class Taken(NamedTuple):
    """What was taken in: the file's distinct keys, how many of them are new, and rows of texts that came again."""

    keys: Keys
    new: int
    again: int


def take_in(file: LabelsFile, store: LabelStore, plan_file: Path, advance: Callable[[int], None]) -> Taken:
    """Writes those rows of a file to a store that it does not hold; a text that is there twice counts with its last.

    Going on after a kill ends with the same bytes: the plan was written down.

    Args:
        file: the soft labels.
        store: where to.
        plan_file: where the plan is until it is carried out.
        advance: called with the number of texts read, twice for each.

    Returns:
        What was taken in, the keys in the order of their last rows.

    Raises:
        StillhouseError: a row says nothing clear, or the file changed between the readings.
    """
    every, sums = _all_rows(file, advance)
    last = _last_of_each(every)
    keys = every[last]
    plan = begun_plan(plan_file) or new_plan(plan_file, store, keys)
    held = {part.place for part in store.parts()}
    planned = _planned(file, last, sums, plan, advance)
    for place, some in plan.parts():
        logits = [next(planned) for _ in range(len(some))]
        if place not in held:
            store.write(place, some, np.stack(logits))
    plan_file.unlink(missing_ok=True)
    return Taken(keys, len(plan.keys), len(every) - len(keys))


def _all_rows(file: LabelsFile, advance: Callable[[int], None]) -> tuple[Keys, Sums]:
    """The key of each row and its checksum."""
    chunks: list[Keys] = []
    waiting: list[bytes] = []
    sums = bytearray()
    for key, logits in file.rows():
        waiting.append(key)
        sums += _sum(key, logits)
        advance(1)
        if len(waiting) == _ROWS_AT_ONCE:
            chunks.append(np.array(waiting, KEY))
            waiting = []
    return np.concatenate([*chunks, np.array(waiting, KEY)]), np.frombuffer(sums, f"V{_SUM}")


def _sum(key: bytes, logits: NDArray[np.float32]) -> bytes:
    return hashlib.blake2b(logits.tobytes(), digest_size=_SUM, key=key).digest()


def _last_of_each(keys: Keys) -> NDArray[np.bool_]:
    """Whether a row is the last one of its key, [rows]."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    last = np.ones(len(keys), np.bool_)
    last[order[:-1][ordered[:-1] == ordered[1:]]] = False
    return last


def _planned(
    file: LabelsFile, last: NDArray[np.bool_], sums: Sums, plan: Plan, advance: Callable[[int], None]
) -> Iterator[NDArray[np.float32]]:
    """Logits of the plan's texts, whose order is that of their last rows."""
    done = 0
    for row, (key, logits) in enumerate(file.rows()):
        advance(1)
        if row >= len(sums) or sums[row].tobytes() != _sum(key, logits):
            raise file.changed()
        if done < len(plan.keys) and last[row] and plan.keys[done : done + 1] == np.array(key, KEY):
            done += 1
            yield logits
    if done != len(plan.keys):
        raise RuntimeError(f"{len(plan.keys) - done} texts of the plan of an import are not in its file")
