"""Step doubt: rows whose gold label a teacher that did not learn it contradicts with confidence, as a file to clean."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tasks.evaluate import ScoreRecord
from tasks.fold_gold import FoldsRecord
from tasks.shared.dataset import NO_LABEL, DataRecord, read_labels, texts_of
from tasks.shared.outputs import Json, Output
from tasks.shared.steps import Context, Step
from tasks.train_teacher import TeacherRecord

DOUBTS = "doubts.csv"
_PARTS = ("gold", "dev", "test")


@dataclass(frozen=True)
class DoubtRecord:
    """The rows whose label is in doubt.

    Attributes:
        path: folder with doubts.csv.
        digest: of that folder.
        counts: of doubted rows and of all rows with a label, by part: train, dev, test.
    """

    path: Path
    digest: str
    counts: Mapping[str, tuple[int, int]]

    @property
    def file(self) -> Path:
        """The table, the surest first."""
        return self.path / DOUBTS


@dataclass(frozen=True)
class Doubt(Step[DoubtRecord]):
    """Compares the gold labels of train, dev and test with what a teacher says that did not learn them.

    Of train that is the teacher of the other folds; of dev and test the run's own. Its probabilities are calibrated on
    the rows that it did not learn.

    Attributes:
        data: the parts of the data.
        teacher: the run's.
        folds: of gold.
        teachers: of the folds; their dev are the folds' own rows.
        score: of the run's teacher, with what it says of test.
    """

    name: ClassVar[str] = "doubt"
    data: DataRecord
    teacher: TeacherRecord
    folds: FoldsRecord
    teachers: tuple[TeacherRecord, ...]
    score: ScoreRecord

    def inputs(self) -> Mapping[str, Json]:
        """The rows, and the teachers."""
        return {
            "rows": {part: self.data.digests[part] for part in _PARTS},
            "classes": self.data.classes,
            "teacher": self.teacher.digest,
            "folds": self.folds.digest,
            "teachers": [teacher.digest for teacher in self.teachers],
            "score": self.score.digest,
        }

    def make(self, folder: Path, context: Context) -> Mapping[str, Json]:
        """Writes doubts.csv."""
        found: list[tuple[float, list[str]]] = []
        counts = {}
        for part, (files, logits, gold) in self._said().items():
            labelled = np.flatnonzero(gold != NO_LABEL)
            rows = list(self._rows(part, files, labelled, logits[labelled], gold[labelled]))
            counts[part] = [len(rows), len(labelled)]
            found += rows
        found.sort(key=lambda one: -one[0])
        with (folder / DOUBTS).open("w", encoding="utf-8", newline="") as file:
            pair = ["text_pair"] if self.data.pairs else []
            writer = csv.writer(file)
            writer.writerow(["part", "text", *pair, "label", "suggested", "probability", "label_probability"])
            writer.writerows(row for _, row in found)
        return {"counts": counts}

    def _said(self) -> dict[str, tuple[list[Path], NDArray[np.float32], NDArray[np.int32]]]:
        """Files, logits and gold labels of each part, in the same order."""
        held = [fold.file("dev") for fold in self.folds.folds]
        logits = [np.load(teacher.dev_logits, allow_pickle=False) for teacher in self.teachers]
        dev, test = self.data.file("dev"), self.data.file("test")
        return {
            "train": (held, np.concatenate(logits), np.concatenate([read_labels(file) for file in held])),
            "dev": ([dev], np.load(self.teacher.dev_logits, allow_pickle=False), read_labels(dev)),
            "test": ([test], self.score.test.logits, self.score.test.gold),
        }

    def _rows(
        self,
        part: str,
        files: Sequence[Path],
        labelled: NDArray[np.intp],
        logits: NDArray[np.float32],
        gold: NDArray[np.integer],
    ) -> Iterator[tuple[float, list[str]]]:
        """How sure, and the row of the table, of each label in doubt."""
        from models.calibration import fit_temperature
        from models.doubts import doubts
        from models.explanation import probabilities_of

        if not len(gold):
            return
        found = doubts(probabilities_of(logits, fit_temperature(logits, gold)), gold)
        texts = texts_of(files, {int(labelled[one.row]) for one in found})
        for one in found:
            text, pair = texts[int(labelled[one.row])]
            names = [self.data.classes[int(gold[one.row])], self.data.classes[one.suggested]]
            shares = [f"{one.probability:.4f}", f"{one.gold_probability:.4f}"]
            yield (
                one.probability - one.gold_probability,
                [part, text, *([pair or ""] if self.data.pairs else []), *names, *shares],
            )

    def read(self, output: Output) -> DoubtRecord:
        """The record of the table."""
        counts = {part: (found, rows) for part, (found, rows) in output.facts["counts"].items()}
        return DoubtRecord(output.path, output.digest, counts)

    def artifacts(self, output: Output) -> Sequence[Path]:
        """The table."""
        return [output.path / DOUBTS]

    def consumed(self) -> Mapping[str, tuple[str, Path]]:
        """The rows."""
        return {part: (self.data.digests[part], self.data.file(part)) for part in _PARTS}

    def summary(self, record: DoubtRecord) -> str:
        """How many rows of each part."""
        return ", ".join(f"{found:,} of {rows:,} in {part}" for part, (found, rows) in record.counts.items())
