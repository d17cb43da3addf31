"""Step measure: what a model costs to run, for choosing among students before anything is reported."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from tasks.shared.costing import measure_cost
from tasks.shared.dataset import DataRecord
from tasks.shared.outputs import Json, Output, hash_files
from tasks.shared.report.words import file_size
from tasks.shared.scorecard import COST, write_card
from tasks.shared.steps import Context, Step
from tasks.train_student import StudentRecord


@dataclass(frozen=True)
class CostRecord:
    """What cost.json says of a model."""

    cost: Mapping[str, Any]


@dataclass(frozen=True)
class Measure(Step[CostRecord]):
    """Times a student on the CPU with dev's texts: test has no part in a choice.

    One network of each shape is timed: a choice among students of the same shape would be one of noise.
    """

    version: ClassVar[int] = 2
    name: ClassVar[str] = "measure"
    measured: ClassVar[frozenset[str]] = frozenset({COST})
    data: DataRecord
    model: StudentRecord

    @property
    def title(self) -> str:
        """Which model."""
        return f"{self.name} {self.model.title}"

    def inputs(self) -> Mapping[str, Json]:
        """The shape of the model, how it is read, and the texts."""
        return {
            "shape": _shape(self.model.path),
            "max_length": self.model.max_length,
            "rows": self.data.digests["dev"],
        }

    def make(self, folder: Path, context: Context) -> Mapping[str, Json]:
        """Writes cost.json."""
        from models.teacher import load_classifier

        model, tokenizer = load_classifier(self.model.path, "cpu")
        cost = measure_cost(model, tokenizer, self.model, self.data.file("dev"))
        write_card(folder / COST, cost.model_copy(update={"training": None}))
        return {}

    def read(self, output: Output) -> CostRecord:
        """The record of what it costs."""
        return CostRecord(json.loads((output.path / COST).read_text(encoding="utf-8")))

    def summary(self, record: CostRecord) -> str:
        """Time and size."""
        return f"{record.cost['ms_per_text']:.2f} ms a text, {file_size(record.cost['bytes'])}"


def _shape(folder: Path) -> Json:
    """All of a Hugging Face folder that decides how long a text takes: the configuration and the tokenizer."""
    configuration = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    others = {name: sha for name, sha in hash_files(folder).items() if Path(name).suffix != ".safetensors"}
    return [_lasting(configuration), {name: sha for name, sha in others.items() if name != "config.json"}]


def _lasting(value: Json) -> Json:
    """A configuration without the settings of dropout, which is over when a model is used."""
    if isinstance(value, dict):
        return {name: _lasting(item) for name, item in value.items() if "dropout" not in name}
    return value
