"""The label view: what one run reads from the label store, joined by key and refused unless it is what it was."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.shared.dataset import KEY
from tasks.shared.errors import StillhouseError
from tasks.shared.key_index import KeyIndex, Keys
from tasks.shared.label_parts import Logits
from tasks.shared.label_store import LabelStore, Part, parts_from

_MODULUS = 1 << 256


def view_of(store: LabelStore, wanted: Keys) -> dict[str, Any]:
    """The label view: which parts answer for some distinct keys, and the digest of the joined rows.

    Raises:
        StillhouseError: a wanted text has no label.
    """
    index, answering, digest = KeyIndex(wanted), list[Part](), RowDigest()
    for part, rows, logits in _joined(store, store.parts(), index, len(wanted)):
        answering.append(part)
        digest.add(wanted[rows], logits)
    return {"parts": [asdict(part) for part in answering], "rows": len(wanted), "digest": digest.hex()}


def read_view(store: LabelStore, view: Mapping[str, Any], wanted: Keys) -> NDArray[np.float32]:
    """What a view says of the wanted keys, [rows, classes], NaN where it was made without one; see `joined_view`."""
    logits = np.full((len(wanted), len(store.labeller.classes)), np.nan, np.float32)
    for rows, found in joined_view(store, view, KeyIndex(wanted)):
        logits[rows] = found
    return logits


def joined_view(
    store: LabelStore, view: Mapping[str, Any], index: KeyIndex
) -> Iterator[tuple[NDArray[np.intp], Logits]]:
    """Part by part, rows of the index and their logits; refused unless all is to the bit what the view was made of.

    The index may hold more keys than the view answers for: texts that a teacher was asked about without an answer.

    Raises:
        StillhouseError: labels are missing, damaged or changed; the last is only known at the end.
    """
    digest = RowDigest()
    parts, expected = parts_from(view.get("parts", 0), store.place), view.get("rows", len(index))
    for _, rows, logits in _joined(store, parts, index, expected):
        digest.add(index.keys[rows], logits)
        yield rows, logits
    if digest.hex() != view.get("digest"):
        raise StillhouseError(f"soft labels in {store.place} changed since they were made; run with --force label")


def _joined(
    store: LabelStore, parts: Iterable[Part], index: KeyIndex, expected: int
) -> Iterator[tuple[Part, NDArray[np.intp], Logits]]:
    """Part by part, the rows of the index that it is the first to answer for, and their logits.

    Raises:
        StillhouseError: fewer keys than expected have a label, or a part is not what it was.
    """
    found = np.zeros(len(index), np.bool_)
    for part in parts:
        keys, logits = store.read(part)
        rows = index.find(keys)
        hits = np.flatnonzero(rows >= 0)
        fresh = hits[~found[rows[hits]]]
        targets, first = np.unique(rows[fresh], return_index=True)
        if len(targets):
            found[targets] = True
            yield part, targets, logits[fresh[first]]
    lacking = expected - int(found.sum())
    if lacking > 0:
        example = index.keys[~found][0].ljust(KEY.itemsize, b"\0").hex()
        raise StillhouseError(
            f"{lacking:,} of {expected:,} texts have no soft label in {store.place} "
            f"(one has key {example[:16]}...); run again with --force label"
        )


class RowDigest:
    """A hash of rows that does not depend on their order or on the parts they lie in, made as they pass by.

    It is the sum, modulo 2^256, of the SHA-256 of each row (Bellare and Micciancio 1997, AdHash), so that no row has to
    be held for it.
    """

    def __init__(self) -> None:
        """Starts without a row."""
        self._sum = 0
        self._rows = 0

    def add(self, keys: Keys, logits: Logits) -> None:
        """Adds logits [rows, classes] of keys [rows]."""
        width = logits.shape[1] * 4
        packed = np.concatenate(
            [
                np.ascontiguousarray(keys).view(np.uint8).reshape(-1, KEY.itemsize),
                np.ascontiguousarray(logits, np.float32).view(np.uint8).reshape(-1, width),
            ],
            axis=1,
        ).tobytes()
        size = KEY.itemsize + width
        total = self._sum
        for start in range(0, len(packed), size):
            total += int.from_bytes(hashlib.sha256(packed[start : start + size]).digest(), "big")
        self._sum = total % _MODULUS
        self._rows += len(keys)

    def hex(self) -> str:
        """The hash so far, 64 hex digits."""
        return hashlib.sha256(self._sum.to_bytes(32, "big") + self._rows.to_bytes(8, "big")).hexdigest()


def digest_of(keys: Keys, logits: Logits) -> str:
    """The digest of some rows."""
    digest = RowDigest()
    digest.add(keys, logits)
    return digest.hex()


def all_there(store: LabelStore, view: Mapping[str, Any]) -> bool:
    """Whether the parts of a view are still in the store; reads none."""
    names: Sequence[Part] = store.parts()
    return set(parts_from(view["parts"], store.place)) <= set(names)
