"""What models get right of disturbed texts, text by text and condition by condition, so that losses have intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tasks.shared.outputs import Json
from tasks.shared.predictions import read_table

NOISY = "noise.parquet"
CLEAN, ADVERSARY, POOLED = "none", "adversary", "all kinds"
Condition = tuple[str, float]
"""Kind of noise and its strength."""
Answers = tuple[NDArray[np.int32], NDArray[Any]]
"""Rows of test, and what share of them is right, [texts] and [seeds, texts]."""


@dataclass(frozen=True)
class Noisy:
    """What a model gets right under one condition.

    Attributes:
        noise: its kind.
        strength: share of the words that it changes; of the adversary, how many edits.
        rows: of test, [texts].
        right: whether each is, [texts].
    """

    noise: str
    strength: float
    rows: NDArray[np.int32]
    right: NDArray[np.bool_]

    @property
    def condition(self) -> Condition:
        """Both together."""
        return self.noise, self.strength


def noisy_scores(found: Sequence[Noisy]) -> list[dict[str, Json]]:
    """Accuracy by condition, with that of the same texts undisturbed."""
    clean = [dict(zip(one.rows.tolist(), one.right.tolist(), strict=True)) for one in found if one.noise == CLEAN]
    return [
        {
            "noise": one.noise,
            "strength": one.strength,
            "rows": len(one.rows),
            "accuracy": float(one.right.mean()),
            "clean": float(np.mean([clean[0][row] for row in one.rows.tolist()])),
        }
        for one in found
        if one.noise != CLEAN and len(one.rows)
    ]


def pooled(found: Mapping[Condition, Answers]) -> dict[Condition, Answers]:
    """For each strength the mean over all kinds of noise, text by text; {} of a single kind."""
    by_strength: dict[float, list[Answers]] = {}
    for (noise, strength), answers in found.items():
        if noise not in (CLEAN, ADVERSARY):
            by_strength.setdefault(strength, []).append(answers)
    return {
        (POOLED, strength): (kinds[0][0], np.mean([right for _, right in kinds], axis=0))
        for strength, kinds in by_strength.items()
        if len(kinds) > 1
    }


def write_noisy(file: Path, found: Sequence[Noisy]) -> None:
    """A row for each condition and text."""
    columns = {
        "noise": pa.array([one.noise for one in found for _ in one.rows], pa.string()),
        "strength": pa.array([one.strength for one in found for _ in one.rows], pa.float64()),
        "row": pa.array(np.concatenate([np.empty(0, np.int32), *(one.rows for one in found)])),
        "right": pa.array(np.concatenate([np.empty(0, np.bool_), *(one.right for one in found)])),
    }
    pq.write_table(pa.table(columns), file, compression="zstd")


def read_noisy(file: Path) -> list[Noisy]:
    """What `write_noisy` wrote."""
    frame = read_table(file).to_pandas()
    return [
        Noisy(str(noise), float(strength), some["row"].to_numpy(), some["right"].to_numpy())
        for (noise, strength), some in frame.groupby(["noise", "strength"], sort=False)
    ]
