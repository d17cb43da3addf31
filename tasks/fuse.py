"""Step fuse: the soft labels that students learn from, joined by text and fused where there are several teachers."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tasks.import_labels import ImportRecord
from tasks.label import LabelRecord
from tasks.shared.dataset import DataRecord, gold_of, read_keys, read_labels
from tasks.shared.errors import StillhouseError
from tasks.shared.key_index import KeyIndex
from tasks.shared.label_files import open_files
from tasks.shared.label_store import LabelStore
from tasks.shared.label_view import joined_view
from tasks.shared.outputs import Json, Output, hash_file
from tasks.shared.recipe_teaching import Fuse as FuseOptions
from tasks.shared.soft_labels import SoftLabelWriter, answered, share_right
from tasks.shared.steps import Context, Step
from tasks.train_teacher import TeacherRecord

SOFT_LABELS = "soft-labels.parquet"
_ROWS_AT_ONCE = 8192


@dataclass(frozen=True)
class Mix:
    """How several teachers are weighed.

    Attributes:
        method: as in the recipe.
        temperatures: that calibrate each teacher.
        scores: accuracy of each on dev; 0 where that is not known.
    """

    method: str
    temperatures: tuple[float, ...]
    scores: tuple[float, ...]

    def together(self, said: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """What the teachers say together of some rows, as logits [rows, classes], from what each says of them.

        Gold labels of these rows weigh nothing: that would be telling.
        """
        from models.fusion import NO_LABEL, Fuser, Fusion

        rows, classes = said[0].shape
        fuser = Fuser(Fusion(self.method), np.empty((rows, classes)), np.empty(rows))
        for logits, temperature, score in zip(said, self.temperatures, self.scores, strict=True):
            some = np.flatnonzero(answered(logits))
            fuser.add(some, logits[some], temperature, score, np.full(len(some), NO_LABEL))
        return fuser.logits(slice(None))


@dataclass(frozen=True)
class FuseRecord:
    """What students learn from.

    Attributes:
        path: folder with soft-labels.parquet.
        digest: of that folder.
        rows: texts.
        teachers: how many were fused.
        dev_accuracy: share of dev that they get right together; None where one says nothing of dev.
        mix: how they are weighed where no gold label says how.
    """

    path: Path
    digest: str
    rows: int
    teachers: int
    dev_accuracy: float | None
    mix: "Mix"

    @property
    def file(self) -> Path:
        """The soft labels."""
        return self.path / SOFT_LABELS


@dataclass(frozen=True)
class Fuse(Step[FuseRecord]):
    """Joins the teachers' label views by key; a single teacher's logits stay as they are."""

    name: ClassVar[str] = "fuse"
    data: DataRecord
    teachers: tuple[TeacherRecord | ImportRecord, ...]
    labels: tuple[LabelRecord, ...]
    options: FuseOptions

    def inputs(self) -> Mapping[str, Json]:
        """The label views, and of several teachers what they are weighed and calibrated by."""
        joined = {
            "labels": [view.digest for view in self.labels],
            "transfer": self.data.digests["transfer"],
            "classes": self.data.classes,
        }
        if len(self.labels) == 1:
            return joined
        return {
            **joined,
            "said_of_dev": [teacher.dev_logits and hash_file(teacher.dev_logits) for teacher in self.teachers],
            "gold": self.data.digests["gold"],
            "dev": self.data.digests["dev"],
            "options": self.options.model_dump(),
        }

    def make(self, folder: Path, context: Context) -> Mapping[str, Json]:
        """Writes the soft labels, in the order of the transfer set."""
        from models.fusion import Fuser, Fusion

        unmeasured = [teacher.number for teacher in self.teachers if teacher.dev_accuracy is None]
        if unmeasured and len(self.labels) > 1 and self.options.method == "dev-score":
            raise StillhouseError(
                f"fuse.method: dev-score needs a score, but the labels of teachers.{unmeasured[0]} do not cover dev"
            )
        keys = read_keys(self.data.file("transfer"))
        gold, index = gold_of(self.data, keys), KeyIndex(keys)
        temperatures = self._temperatures()
        with (
            _arrays(folder, len(keys), len(self.data.classes)) as (total, weight),
            context.progress(len(keys) * (len(self.labels) + 1), "texts") as advance,
        ):
            fuser = Fuser(Fusion(self._method), total, weight)
            for teacher, view, temperature in zip(self.teachers, self.labels, temperatures, strict=True):
                store = LabelStore(open_files(view.files or context.workspace.labels), view.labeller)
                for rows, logits in joined_view(store, view.view, index):
                    fuser.add(rows, logits, temperature, teacher.dev_accuracy or 0.0, gold[rows])
                    advance(len(rows))
            with SoftLabelWriter(folder / SOFT_LABELS, self.data.classes) as writer:
                for start in range(0, len(keys), _ROWS_AT_ONCE):
                    some = slice(start, start + _ROWS_AT_ONCE)
                    writer.add(keys[some], fuser.logits(some))
                    advance(len(keys[some]))
            unanswered = int((weight == 0).sum())
        if unanswered:
            whom = "the teacher has" if len(self.labels) == 1 else "all teachers have"
            context.warn(f"{whom} no answer for {unanswered:,} of the {len(keys):,} texts; students leave them out")
        return {
            "rows": len(keys),
            "temperatures": temperatures,
            "dev_accuracy": self._dev_accuracy(temperatures),
        }

    @property
    def _method(self) -> str:
        # The mean of one teacher's logits is those logits, to the bit.
        return "logits" if len(self.labels) == 1 else self.options.method

    def _mix(self, temperatures: Sequence[float]) -> Mix:
        scores = tuple(teacher.dev_accuracy or 0.0 for teacher in self.teachers)
        return Mix(self._method, tuple(temperatures), scores)

    def _temperatures(self) -> list[float]:
        from models.calibration import fit_temperature

        if len(self.labels) == 1 or not self.options.calibrate:
            return [1.0] * len(self.labels)
        gold = read_labels(self.data.file("dev"))
        said = [_said_of_dev(teacher) for teacher in self.teachers]
        return [
            1.0 if logits is None else fit_temperature(logits[answered(logits)], gold[answered(logits)])
            for logits in said
        ]

    def _dev_accuracy(self, temperatures: Sequence[float]) -> float | None:
        """Of the teachers together on dev."""
        said = [logits for logits in map(_said_of_dev, self.teachers) if logits is not None]
        if len(said) < len(self.teachers):
            return None
        together = self._mix(temperatures).together(said)
        return share_right(together, read_labels(self.data.file("dev")))

    def read(self, output: Output) -> FuseRecord:
        """The record of the soft labels."""
        facts = output.facts
        mix = self._mix(facts["temperatures"])
        return FuseRecord(output.path, output.digest, facts["rows"], len(self.labels), facts["dev_accuracy"], mix)

    def consumed(self) -> Mapping[str, tuple[str, Path]]:
        """The label views."""
        return {f"labels of teacher {number}": (view.digest, view.path) for number, view in enumerate(self.labels)}

    def summary(self, record: FuseRecord) -> str:
        """Texts, and of several teachers what they score together."""
        if record.teachers == 1:
            return f"{record.rows:,} texts of 1 teacher"
        said = f"{record.rows:,} texts of {record.teachers} teachers"
        if record.dev_accuracy is None:
            return said
        alone = ", ".join(f"{teacher.dev_accuracy:.1%}" for teacher in self.teachers)
        return f"{said}; together {record.dev_accuracy:.1%} of dev right, alone {alone}"


def _said_of_dev(teacher: TeacherRecord | ImportRecord) -> NDArray[np.float32] | None:
    """What a teacher says of dev, [rows, classes]; None for labels that do not cover it."""
    return None if teacher.dev_logits is None else np.load(teacher.dev_logits, allow_pickle=False)


@contextmanager
def _arrays(folder: Path, rows: int, classes: int) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Two arrays on disk, [rows, classes] and [rows]: what fusing needs does not grow in memory."""
    files = [folder / ".total", folder / ".weight"]
    try:
        for file, width in zip(files, (classes, 1), strict=True):
            with file.open("wb") as whole:  # a full disk is an error here; in mapped memory it would be a signal
                for start in range(0, max(rows, 1), _ROWS_AT_ONCE):
                    np.zeros((min(_ROWS_AT_ONCE, max(rows, 1) - start), width)).tofile(whole)
        yield (
            np.memmap(files[0], np.float64, "r+", shape=(max(rows, 1), classes))[:rows],
            np.memmap(files[1], np.float64, "r+", shape=(max(rows, 1),))[:rows],
        )
    finally:
        for file in files:
            file.unlink(missing_ok=True)
