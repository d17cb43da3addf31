"""The label store: what a teacher believes about texts, in append-only Parquet parts, a folder a teacher.

A row belongs to a text by its key, never to a row number. A part is immutable; its sidecar is written last and
means it is complete: a part without one is what a kill left behind, never read, and written over when the labelling
goes on. Where two parts hold the same text, the one whose name sorts first wins, for every reader.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tasks.shared.dataset import KEY, key_column, keys_of
from tasks.shared.errors import StillhouseError, brief
from tasks.shared.outputs import hash_file, hash_of, write_json

FORMAT = 1
ROWS_IN_PART = 1024
_PART_NAME = re.compile(r"[0-9a-f]{16}-[0-9]{6}")

Keys = NDArray[np.bytes_]


@dataclass(frozen=True)
class Labeller:
    """Everything about a teacher that its logits depend on; two that differ in anything never share labels.

    Attributes:
        teacher: digest of weights, configuration and tokenizer.
        classes: names, in the order of the logits.
        max_length: tokens read of a text.
        precision: of the forward pass.
        engine: what ran it.
        normalisation: version of the texts' normal form.
        problem_type: kind of task.
    """

    teacher: str
    classes: tuple[str, ...]
    max_length: int
    precision: str
    engine: str
    normalisation: int
    problem_type: str

    @property
    def id(self) -> str:
        """Name of its folder in the store."""
        return hash_of(asdict(self))[:32]


@dataclass(frozen=True)
class Part:
    """A complete part: its name, number of rows, and SHA-256 of its file."""

    name: str
    rows: int
    sha256: str


@dataclass(frozen=True)
class Plan:
    """What is to be labelled, fixed before the first forward pass: keys [rows], a part every ROWS_IN_PART of them."""

    keys: Keys

    @property
    def id(self) -> str:
        """Hash of the keys in order; begins the names of the parts."""
        return hashlib.sha256(self.keys.tobytes()).hexdigest()[:16]

    def parts(self) -> Iterator[tuple[str, Keys]]:
        """Name and keys of each part."""
        for number, start in enumerate(range(0, len(self.keys), ROWS_IN_PART)):
            yield f"{self.id}-{number:06d}", self.keys[start : start + ROWS_IN_PART]


class LabelStore:
    """The labels of one labeller."""

    def __init__(self, root: Path, labeller: Labeller) -> None:
        """Opens the labeller's folder below `root`; makes it if need be.

        Raises:
            StillhouseError: it is of another format, or what it says of itself is damaged.
        """
        self.labeller = labeller
        self.folder = root / labeller.id
        for name in ("parts", "plans"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        identity = self.folder / "labeller.json"
        if not identity.exists():
            write_json(identity, {"format": FORMAT, **asdict(labeller)})
        try:
            _check_format(json.loads(identity.read_text(encoding="utf-8"))["format"], self.folder)
        except (OSError, ValueError, KeyError, TypeError):
            raise StillhouseError(f"{identity} is damaged; delete that file, the labels stay") from None

    def parts(self) -> list[Part]:
        """The complete parts, in the order of their names."""
        names = sorted(path.stem for path in (self.folder / "parts").glob("*.json"))
        return [self._sidecar(name) for name in names if _PART_NAME.fullmatch(name)]

    def plan(self, name: str, wanted: Iterator[Keys]) -> Plan:
        """The unfinished plan of this name, else a new one for those wanted keys that no part holds.

        Going on with the old plan is what makes a killed and resumed labelling equal to an undisturbed one.
        """
        file = self.folder / "plans" / f"{name}.npy"
        if file.exists():
            try:
                return Plan(np.load(file, allow_pickle=False))
            except (OSError, ValueError, EOFError):
                raise StillhouseError(f"{file} is damaged; delete it, and what is left is planned anew") from None
        held = np.unique(np.concatenate([np.empty(0, KEY), *(self.read(part)[0] for part in self.parts())]))
        missing = [keys[~_among(keys, held)] for keys in wanted]
        plan = Plan(np.concatenate([np.empty(0, KEY), *missing]))
        if len(plan.keys):
            temporary = file.with_suffix(".partial")
            with temporary.open("wb") as writing:
                np.save(writing, plan.keys)
            temporary.replace(file)
        return plan

    def finish(self, name: str) -> None:
        """Forgets a plan whose parts are all there."""
        (self.folder / "plans" / f"{name}.npy").unlink(missing_ok=True)

    def holds(self, part: str) -> bool:
        """Whether a part is complete."""
        return self._sidecar_file(part).exists()

    def write(self, part: str, keys: Keys, logits: NDArray[np.float32]) -> None:
        """Commits a part: logits [rows, classes] of keys [rows]; one that is there already stays as it is.

        Raises:
            StillhouseError: a logit is not finite.
        """
        broken = ~np.isfinite(logits).all(axis=1)
        if broken.any():
            raise StillhouseError(
                f"the teacher gives {int(broken.sum())} of {len(keys)} texts logits that are not finite; train it anew"
            )
        if self.holds(part):
            return
        file = self._part_file(part)
        temporary = file.with_suffix(f".{os.getpid()}.partial")  # two runs can have the same plan
        pq.write_table(self._table(keys, logits), temporary, compression="zstd")
        sidecar = {"rows": len(keys), "sha256": hash_file(temporary)}
        temporary.replace(file)
        write_json(self._sidecar_file(part), sidecar)

    def read(self, part: Part) -> tuple[Keys, NDArray[np.float32]]:
        """Keys and logits of a part, checked against its sidecar and this labeller.

        Raises:
            StillhouseError: the file is missing, damaged, or somebody else's.
        """
        file, sidecar = self._part_file(part.name), self._sidecar_file(part.name)
        if not _PART_NAME.fullmatch(part.name):
            raise StillhouseError(f"{brief(part.name)} is no part of soft labels; run with --force label")
        if not sidecar.exists():
            raise StillhouseError(f"soft labels {file} have lost {sidecar.name}; run with --force label")
        if not file.exists() or hash_file(file) != part.sha256:
            state = "damaged" if file.exists() else "missing"
            raise StillhouseError(
                f"soft labels {file} are {state}; delete them with {sidecar.name}, and run with --force label"
            )
        table = pq.read_table(file)
        _check_format(table.schema.metadata.get(b"stillhouse.format", b"unknown").decode("ascii", "replace"), file)
        ours = {name.encode(): value.encode() for name, value in self._metadata.items()}
        if not ours.items() <= table.schema.metadata.items():
            raise StillhouseError(
                f"soft labels {file} are of another teacher or class order; delete them with {sidecar.name}"
            )
        if len(table) != part.rows:
            raise StillhouseError(
                f"soft labels {file} have {len(table):,} rows, {sidecar.name} says {part.rows:,}; "
                "delete both, and run with --force label"
            )
        logits = table.column("logits").combine_chunks().flatten().to_numpy()
        return keys_of(table.column("key").combine_chunks()), logits.reshape(part.rows, len(self.labeller.classes))

    def _table(self, keys: Keys, logits: NDArray[np.float32]) -> pa.Table:
        classes = len(self.labeller.classes)
        schema = pa.schema(
            [
                pa.field("key", pa.binary(KEY.itemsize), nullable=False),
                pa.field("logits", pa.list_(pa.float32(), classes), nullable=False),
            ],
            metadata=self._metadata,
        )
        column = pa.FixedSizeListArray.from_arrays(pa.array(logits.reshape(-1), pa.float32()), classes)
        return pa.table([key_column(keys), column], schema=schema)

    @property
    def _metadata(self) -> dict[str, str]:
        return {
            "stillhouse.format": str(FORMAT),
            "stillhouse.labeller": self.labeller.id,
            "stillhouse.teacher": self.labeller.teacher,
            "stillhouse.classes": json.dumps(self.labeller.classes),
            "stillhouse.problem_type": self.labeller.problem_type,
        }

    def _part_file(self, part: str) -> Path:
        return self.folder / "parts" / f"{part}.parquet"

    def _sidecar_file(self, part: str) -> Path:
        return self.folder / "parts" / f"{part}.json"

    def _sidecar(self, part: str) -> Part:
        file = self._sidecar_file(part)
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
            return Part(part, int(found["rows"]), str(found["sha256"]))
        except (OSError, ValueError, KeyError, TypeError):
            raise StillhouseError(
                f"{file} is damaged; delete it with its .parquet, and run with --force label"
            ) from None


def _check_format(found: object, where: Path) -> None:
    if found not in (FORMAT, str(FORMAT)):
        raise StillhouseError(
            f"soft labels {where} have format {brief(found)}, this Stillhouse knows {FORMAT}: update it"
        )


def _among(keys: Keys, ordered: Keys) -> NDArray[np.bool_]:
    """Which keys are in an ordered array, [keys]; np.isin would sort that array again for each chunk."""
    if not len(ordered):
        return np.zeros(len(keys), np.bool_)
    found: NDArray[np.bool_] = ordered[np.searchsorted(ordered, keys).clip(max=len(ordered) - 1)] == keys
    return found
