"""Step measure: what a model costs to run, for choosing among students before anything is reported."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from tasks.shared.costing import measure_cost
from tasks.shared.dataset import DataRecord
from tasks.shared.outputs import Json, Output
from tasks.shared.scorecard import COST, write_card
from tasks.shared.steps import Context, Step
from tasks.train_student import StudentRecord


@dataclass(frozen=True)
class CostRecord:
    """What cost.json says of a model."""

    cost: Mapping[str, Any]


@dataclass(frozen=True)
class Measure(Step[CostRecord]):
    """Times a student on the CPU with dev's texts: test has no part in a choice."""

    name: ClassVar[str] = "measure"
    measured: ClassVar[frozenset[str]] = frozenset({COST})
    data: DataRecord
    model: StudentRecord

    @property
    def title(self) -> str:
        """Which model."""
        return f"{self.name} {self.model.title}"

    def inputs(self) -> Mapping[str, Json]:
        """The model, how it is read, and the texts."""
        return {
            "model": self.model.digest,
            "max_length": self.model.max_length,
            "rows": self.data.digests["dev"],
        }

    def make(self, folder: Path, context: Context) -> Mapping[str, Json]:
        """Writes cost.json."""
        from models.teacher import load_classifier

        model, tokenizer = load_classifier(self.model.path, "cpu")
        write_card(folder / COST, measure_cost(model, tokenizer, self.model, self.data.file("dev")))
        return {}

    def read(self, output: Output) -> CostRecord:
        """The record of what it costs."""
        return CostRecord(json.loads((output.path / COST).read_text(encoding="utf-8")))

    def summary(self, record: CostRecord) -> str:
        """Time and size."""
        return f"{record.cost['ms_per_text']:.2f} ms a text, {record.cost['bytes'] / 1e6:.1f} MB"
