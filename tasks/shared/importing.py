"""Taking a file of soft labels into the label store: read twice, so that of its rows only the keys are in memory."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tasks.shared.dataset import KEY
from tasks.shared.key_index import Keys
from tasks.shared.label_plan import Plan, begun_plan, new_plan
from tasks.shared.label_store import LabelStore
from tasks.shared.labels_file import LabelsFile

_ROWS_AT_ONCE = 65536


def take_in(file: LabelsFile, store: LabelStore, plan_file: Path, advance: Callable[[int], None]) -> tuple[Keys, int]:
    """Writes those rows of a file to a store that it does not hold; a text that is there twice counts with its last.

    Going on after a kill ends with the same bytes: the plan was written down.

    Args:
        file: the soft labels.
        store: where to.
        plan_file: where the plan is until it is carried out.
        advance: called with the number of texts read, twice for each.

    Returns:
        The file's distinct keys, in the order of their last rows, and how many of them are new.

    Raises:
        StillhouseError: a row says nothing clear, or the file changed between the readings.
    """
    every = _all_keys(file, advance)
    last = _last_of_each(every)
    keys = every[last]
    plan = begun_plan(plan_file) or new_plan(plan_file, store, keys)
    held = {part.place for part in store.parts()}
    planned = _planned(file, last, plan, advance)
    for place, some in plan.parts():
        logits = [next(planned) for _ in range(len(some))]
        if place not in held:
            file.check_unchanged()
            store.write(place, some, np.stack(logits))
    plan_file.unlink(missing_ok=True)
    return keys, len(plan.keys)


def _all_keys(file: LabelsFile, advance: Callable[[int], None]) -> Keys:
    """The key of each row, [rows]."""
    chunks: list[Keys] = []
    waiting: list[bytes] = []
    for key, _ in file.rows():
        waiting.append(key)
        advance(1)
        if len(waiting) == _ROWS_AT_ONCE:
            chunks.append(np.array(waiting, KEY))
            waiting = []
    return np.concatenate([*chunks, np.array(waiting, KEY)])


def _last_of_each(keys: Keys) -> NDArray[np.bool_]:
    """Whether a row is the last one of its key, [rows]."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    last = np.ones(len(keys), np.bool_)
    last[order[:-1][ordered[:-1] == ordered[1:]]] = False
    return last


def _planned(
    file: LabelsFile, last: NDArray[np.bool_], plan: Plan, advance: Callable[[int], None]
) -> Iterator[NDArray[np.float32]]:
    """Logits of the plan's texts, whose order is that of their last rows."""
    done = 0
    for row, (key, logits) in enumerate(file.rows()):
        advance(1)
        if done < len(plan.keys) and row < len(last) and last[row] and plan.keys[done : done + 1] == np.array(key, KEY):
            done += 1
            yield logits
    if done != len(plan.keys):
        file.check_unchanged()
        raise RuntimeError(f"{len(plan.keys) - done} texts of the plan of an import are not in its file")
