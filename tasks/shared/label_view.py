"""The label view: what one run reads from the label store, joined by key and refused unless it is what it was."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.shared.errors import StillhouseError
from tasks.shared.label_store import Keys, LabelStore, Part


def view_of(store: LabelStore, wanted: Keys) -> dict[str, Any]:
    """The label view: which parts answer for the wanted keys, and the digest of the joined rows.

    Raises:
        StillhouseError: a wanted text has no label.
    """
    logits, answering = join(store, store.parts(), wanted)
    return {"parts": [asdict(part) for part in answering], "rows": len(wanted), "digest": digest_of(wanted, logits)}


def join(store: LabelStore, parts: Sequence[Part], wanted: Keys) -> tuple[NDArray[np.float32], list[Part]]:
    """Logits [rows, classes] of distinct keys [rows], joined by key; and those of the parts that they come from.

    Raises:
        StillhouseError: a wanted text has no label, or a part is not what it was.
    """
    order = np.argsort(wanted)
    ordered = wanted[order]
    logits = np.empty((len(wanted), len(store.labeller.classes)), np.float32)
    found = np.zeros(len(wanted), np.bool_)
    answering = []
    for part in parts:
        keys, rows = store.read(part)
        places = np.searchsorted(ordered, keys)
        places[places == len(ordered)] = 0
        hits = np.flatnonzero(ordered[places] == keys) if len(ordered) else np.empty(0, np.int64)
        targets, first = np.unique(order[places[hits]], return_index=True)
        fresh = ~found[targets]
        if fresh.any():
            answering.append(part)
        logits[targets[fresh]] = rows[hits[first[fresh]]]
        found[targets] = True
    if not found.all():
        example = wanted[~found][0].ljust(32, b"\0").hex()
        raise StillhouseError(
            f"{int((~found).sum()):,} of {len(wanted):,} texts have no soft label in {store.folder} "
            f"(one has key {example[:16]}...); run again with --force label"
        )
    return logits, answering


def digest_of(keys: Keys, logits: NDArray[np.float32]) -> str:
    """SHA-256 over the rows in the order of their keys: the same whatever parts they lie in."""
    digest = hashlib.sha256()
    order = np.argsort(keys)
    for start in range(0, len(order), 65536):
        rows = order[start : start + 65536]
        packed = np.concatenate([keys[rows].view(np.uint8).reshape(-1, 32), logits[rows].view(np.uint8)], axis=1)
        digest.update(packed.tobytes())
    return digest.hexdigest()


def read_view(store: LabelStore, view: Mapping[str, Any], wanted: Keys) -> NDArray[np.float32]:
    """What a view says of the wanted keys, [rows, classes]; refused unless it is to the bit what the view was made of.

    Raises:
        StillhouseError: labels are missing, damaged or changed.
    """
    try:
        parts = [Part(str(part["name"]), int(part["rows"]), str(part["sha256"])) for part in view["parts"]]
    except (KeyError, TypeError, ValueError):
        raise StillhouseError(f"the view of soft labels in {store.folder} is damaged; run with --force label") from None
    logits, _ = join(store, parts, wanted)
    if digest_of(wanted, logits) != view["digest"]:
        raise StillhouseError(f"soft labels in {store.folder} changed since they were made; run with --force label")
    return logits
