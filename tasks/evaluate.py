"""Step evaluate: the scorecard of one finished model on the test rows, which only ever get reported."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.shared.dataset import DataRecord, key_column, read_chunks
from tasks.shared.outputs import Json, Output, write_json
from tasks.shared.steps import Context, Step
from tasks.train_student import StudentRecord
from tasks.train_teacher import TeacherRecord

QUALITY, COST, PREDICTIONS = "quality.json", "cost.json", "predictions.parquet"
SCORECARD = 1
"""Version of the scorecard files."""


Model = TeacherRecord | StudentRecord


@dataclass(frozen=True)
class ScoreRecord:
    """A scorecard.

    Attributes:
        path: folder with quality.json, cost.json and predictions.parquet.
        digest: of the first and the last: what only measures this machine is left out.
        model: what was measured.
        accuracy: share of test rows it gets right.
        macro_f1: mean F1 over the classes.
        cost: what cost.json says.
    """

    path: Path
    digest: str
    model: Model
    accuracy: float
    macro_f1: float
    cost: Mapping[str, Any]


@dataclass(frozen=True)
class Evaluate(Step[ScoreRecord]):
    """Predicts every test row, and times the model on this machine's CPU."""

    name: ClassVar[str] = "evaluate"
    measured: ClassVar[frozenset[str]] = frozenset({COST})
    data: DataRecord
    model: Model

    @property
    def title(self) -> str:
        """Which model."""
        return f"{self.name} {self.model.title}"

    def inputs(self) -> Mapping[str, Json]:
        """The model, how it is read, and the test rows."""
        return {
            "model": self.model.digest,
            "columns": self.model.columns,
            "max_length": self.model.max_length,
            "classes": self.data.classes,
            "test": self.data.digests["test"],
        }

    def make(self, folder: Path, context: Context) -> Mapping[str, Json]:
        """Writes the scorecard."""
        from models.cost import machine, size, speed
        from models.encoding import encode
        from models.engine import open_engine
        from models.metrics import quality
        from models.teacher import load_classifier

        model, tokenizer = load_classifier(self.model.path, context.device)
        keys, gold, predicted = [], [], []
        with open_engine(model) as engine, context.progress(self.data.rows["test"], "texts") as advance:
            for chunk in read_chunks(self.data.file("test")):
                encoded = encode(tokenizer, chunk.texts, chunk.pairs, self.model.max_length)
                logits = engine.logits(encoded, advance)[:, list(self.model.columns)]
                keys.append(chunk.keys)
                gold.append(chunk.labels)
                predicted.append(logits.argmax(-1).astype(np.int32))
        scores = quality(np.concatenate(gold), np.concatenate(predicted), self.data.classes)
        write_json(folder / QUALITY, {"version": SCORECARD, **scores})
        columns = {
            "key": key_column(np.concatenate(keys)),
            "label": np.concatenate(gold),
            "predicted": np.concatenate(predicted),
        }
        pq.write_table(pa.table(columns), folder / PREDICTIONS, compression="zstd")
        sample = next(read_chunks(self.data.file("test")))
        timed = speed(model, tokenizer, sample.texts, sample.pairs, self.model.max_length)
        cost = {"version": SCORECARD, **size(model, self.model.path), **timed, "machine": machine()}
        write_json(folder / COST, cost)
        return {"accuracy": scores["accuracy"], "macro_f1": scores["macro_f1"]}

    def read(self, output: Output) -> ScoreRecord:
        """The record of the scorecard."""
        return ScoreRecord(
            path=output.path,
            digest=output.digest,
            model=self.model,
            accuracy=output.facts["accuracy"],
            macro_f1=output.facts["macro_f1"],
            cost=json.loads((output.path / COST).read_text(encoding="utf-8")),
        )

    def consumed(self) -> Mapping[str, tuple[str, Path]]:
        """The test rows."""
        return {"test": (self.data.digests["test"], self.data.file("test"))}

    def artifacts(self, output: Output) -> Sequence[Path]:
        """The scorecard."""
        return [output.path / QUALITY, output.path / COST]

    def summary(self, record: ScoreRecord) -> str:
        """Its accuracy on test."""
        return f"{record.accuracy:.1%} of test right"


def correct_of(score: ScoreRecord) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Whether the model got each test row right, [rows]."""
    table = pq.read_table(score.path / PREDICTIONS, columns=["label", "predicted"])
    right: np.ndarray[Any, np.dtype[np.bool_]] = (
        table.column("label").to_numpy() == table.column("predicted").to_numpy()
    )
    return right
