"""What is to be labelled, fixed before the first forward pass.

Going on with the plan that a killed labelling had begun is what makes it end equal to an undisturbed one.
"""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tasks.shared.errors import StillhouseError
from tasks.shared.key_index import KeyIndex, Keys
from tasks.shared.label_store import LabelStore

ROWS_IN_PART = 1024


@dataclass(frozen=True)
class Plan:
    """Keys [rows] of the texts to label, in the order of the transfer set; a part every ROWS_IN_PART of them."""

    keys: Keys

    @property
    def id(self) -> str:
        """Hash of the keys in order; begins the names of the parts."""
        return hashlib.sha256(np.ascontiguousarray(self.keys).data).hexdigest()[:16]

    def parts(self) -> Iterator[tuple[str, Keys]]:
        """Place and keys of each part."""
        plan = self.id
        for number, start in enumerate(range(0, len(self.keys), ROWS_IN_PART)):
            yield f"{plan}-{number:06d}", self.keys[start : start + ROWS_IN_PART]


def begun_plan(file: Path) -> Plan | None:
    """The plan that was begun, if one was.

    Raises:
        StillhouseError: it is damaged.
    """
    try:
        return Plan(np.load(file, allow_pickle=False))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, EOFError):
        raise StillhouseError(f"{file} is damaged; delete it, and what is left is planned anew") from None


def new_plan(file: Path, store: LabelStore, wanted: Keys) -> Plan:
    """A plan for those wanted keys that no part holds, written down before anybody acts on it."""
    plan = Plan(missing(store, wanted))
    if len(plan.keys):
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_suffix(f".{os.getpid()}.partial")
        with temporary.open("wb") as writing:
            np.save(writing, plan.keys)
        temporary.replace(file)
    return plan


def missing(store: LabelStore, wanted: Keys) -> Keys:
    """Those of some distinct keys that no part holds, in order."""
    parts = store.parts()
    if not parts:
        return wanted
    index = KeyIndex(wanted)
    held = np.zeros(len(wanted), np.bool_)
    for part in parts:
        rows = index.find(store.read(part)[0])
        held[rows[rows >= 0]] = True
    return wanted[~held]
