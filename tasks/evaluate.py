"""Step evaluate: the scorecard of one finished model on the test rows, which only ever get reported."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from tasks.disturb import DisturbRecord
from tasks.fuse import FuseRecord
from tasks.shared.conditions import NOISY, Noisy, noisy_scores, write_noisy
from tasks.shared.costing import Model, measure_cost
from tasks.shared.dataset import FURTHER, DataRecord, read_chunks
from tasks.shared.outputs import Json, Output
from tasks.shared.predictions import Predictions, read_predictions
from tasks.shared.recipe_noise import Robustness
from tasks.shared.recipe_section import Precision
from tasks.shared.scorecard import COST, QUALITY, Quality, read_card, write_card
from tasks.shared.steps import Advance, Context, Step
from tasks.shared.texts import NORMALISATION

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tasks.shared.robustness import Reader


@dataclass(frozen=True)
class ScoreRecord:
    """A scorecard.

    Attributes:
        path: folder with quality.json, cost.json and the predictions on test, dev and disturbed texts.
        digest: of all that but the second: what only measures this machine is left out.
        model: what was measured.
        accuracy: share of test rows it gets right; None where no row has a gold label.
        macro_f1: mean F1 over the classes; None likewise.
        cost: what cost.json says.
    """

    path: Path
    digest: str
    model: Model
    accuracy: float | None
    macro_f1: float | None
    cost: Mapping[str, Any]

    def on(self, part: str) -> Predictions:
        """What it says of a part: test, dev, or a further test."""
        return read_predictions(self.path / predictions_file(part))

    @property
    def test(self) -> Predictions:
        """What it says of test."""
        return self.on("test")

    @property
    def quality(self) -> Quality:
        """What quality.json says."""
        return read_card(self.path / QUALITY, Quality)


@dataclass(frozen=True)
class Evaluate(Step[ScoreRecord]):
    """Predicts test, further tests and disturbed texts; dev too, for all that is chosen; times the model on the CPU."""

    name: ClassVar[str] = "evaluate"
    version: ClassVar[int] = 2
    measured: ClassVar[frozenset[str]] = frozenset({COST})
    data: DataRecord
    model: Model
    disturbed: DisturbRecord
    robustness: Robustness
    teachers: tuple[ScoreRecord, ...] = ()
    fused: FuseRecord | None = None
    precision: Precision = "fp32"
    """In which the model answers: bf16 of a teacher that labelled in it. Costs are those of fp32."""

    @property
    def title(self) -> str:
        """Which model."""
        return f"{self.name} {self.model.title}"

    def inputs(self) -> Mapping[str, Json]:
        """The model, how it is read, the rows, and the teachers that it is compared with."""
        options = self.robustness
        return {
            "model": self.model.digest,
            "columns": self.model.columns,
            "max_length": self.model.max_length,
            "classes": self.data.classes,
            "rows": {part: self.data.digests[part] for part in self._parts},
            "disturbed": self.disturbed.digest,
            "adversary": [options.adversary, options.candidates, options.seed, NORMALISATION],
            "teachers": [teacher.digest for teacher in self.teachers],
            **({} if self.precision == "fp32" else {"precision": self.precision}),
            "mix": self.fused and [self.fused.mix.method, self.fused.mix.temperatures, self.fused.mix.scores],
        }

    def make(self, folder: Path, context: Context) -> Mapping[str, Json]:
        """Writes the scorecard."""
        from models.engine import in_precision, open_engine
        from models.teacher import load_classifier
        from tasks.shared.robustness import Reader, attack_texts, read_disturbed

        model, tokenizer = load_classifier(self.model.path, context.device)
        parts = self._parts
        model = in_precision(model, self.precision)
        with open_engine(model) as engine, context.progress(self._texts, "texts") as advance:
            reader = Reader(engine, tokenizer, self.model.max_length, self.model.columns)
            said = {part: self._predict(part, reader, advance) for part in parts}
            noisy = read_disturbed(self.disturbed.file, reader, advance)
            noisy += attack_texts(self.disturbed.file, reader, self.robustness, advance)
        for part, predictions in said.items():
            predictions.write(folder / predictions_file(part))
        write_noisy(folder / NOISY, noisy)
        quality = self._quality(said, noisy)
        write_card(folder / QUALITY, quality)
        if self.precision != "fp32":
            model, tokenizer = load_classifier(self.model.path, "cpu")
        # The last thing, as it moves the model to the CPU.
        write_card(folder / COST, measure_cost(model, tokenizer, self.model, self.data.file("test")))
        return {"accuracy": quality.accuracy, "macro_f1": quality.macro_f1}

    @property
    def _parts(self) -> list[str]:
        """The parts whose rows it predicts."""
        return [part for part in self.data.rows if part in ("dev", "test") or part.startswith(FURTHER)]

    @property
    def _texts(self) -> int:
        """How many texts it reads, about: an adversary finds fewer edits in a short one."""
        options = self.robustness
        kinds = len(options.noises) * len(options.strengths) + 1
        tried = min(options.adversary, self.disturbed.rows) * (1 + 2 * options.candidates)
        return sum(self.data.rows[part] for part in self._parts) + self.disturbed.rows * kinds + tried

    def _predict(self, part: str, reader: "Reader", advance: Advance) -> Predictions:
        chunks = [
            (
                chunk.keys,
                chunk.labels,
                reader.logits(chunk.texts, chunk.pairs, advance),
                *([] if chunk.groups is None else [chunk.groups]),
            )
            for chunk in read_chunks(self.data.file(part))
        ]
        return Predictions(*(np.concatenate(column) for column in zip(*chunks, strict=True)))

    def _quality(self, said: Mapping[str, Predictions], noisy: Sequence[Noisy]) -> Quality:
        from models.metrics import quality, right

        classes = self.data.classes
        test, dev = said["test"], said["dev"]
        further = [
            {"name": part.removeprefix(FURTHER), "rows": len(found.said.labelled.gold)}
            | {name: right(found.said.labelled, classes)[name] for name in ("accuracy", "macro_f1")}
            for part, found in said.items()
            if part.startswith(FURTHER)
        ]
        found = quality(test.said, dev.said, classes, self._teachers_say())
        return Quality.model_validate({**found, "noise": noisy_scores(noisy), "tests": further})

    def _teachers_say(self) -> "NDArray[np.float32] | None":
        """What its teachers say of test together, [rows, classes]; None where that is not known."""
        return together_on_test(self.teachers, self.fused) if self.fused else None

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
        """The rows it predicts."""
        return {part: (self.data.digests[part], self.data.file(part)) for part in self._parts}

    def artifacts(self, output: Output) -> Sequence[Path]:
        """The scorecard."""
        return [output.path / QUALITY, output.path / COST]

    def summary(self, record: ScoreRecord) -> str:
        """Its accuracy on test."""
        return "test has no gold labels" if record.accuracy is None else f"{record.accuracy:.1%} of test right"


def predictions_file(part: str) -> str:
    """Name of the file of a part's predictions."""
    return f"predictions-{part}.parquet"


def best_on_dev(scores: Sequence[ScoreRecord]) -> ScoreRecord:
    """The scorecard of the student that does best on dev, the one that ships; of equals the first."""
    students = [score for score in scores if score.model.role == "student"]
    return max(students, key=lambda score: score.model.dev_accuracy)


def together_on_test(teachers: Sequence[ScoreRecord], fused: FuseRecord) -> "NDArray[np.float32] | None":
    """What all teachers say of test together, [rows, classes]; None where one is nothing but labels."""
    if len(teachers) < fused.teachers:
        return None
    return fused.mix.together([teacher.test.logits for teacher in teachers])
