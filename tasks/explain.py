"""Step explain: which test rows and classes the students gained on, and what the teacher had said of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tasks.evaluate import ScoreRecord, best_on_dev, together_on_test
from tasks.fuse import FuseRecord
from tasks.shared.dataset import NO_LABEL, DataRecord, texts_of
from tasks.shared.outputs import Json, Output, read_versioned, write_json
from tasks.shared.report.content import EXPLANATION, EXPLANATION_VERSION
from tasks.shared.steps import Context, Step
from tasks.shared.texts import shortened

if TYPE_CHECKING:
    from models.clusters import Clusters
    from models.explanation import Answers

EXAMPLES = 12
_LONGEST_TEXT = 400
_CLASSES_SHOWN = 3


@dataclass(frozen=True)
class ExplainRecord:
    """The explanation.

    Attributes:
        path: folder with explanation.json.
        digest: of that folder.
        explanation: what that says.
    """

    path: Path
    digest: str
    explanation: Mapping[str, Any]


@dataclass(frozen=True)
class Explain(Step[ExplainRecord]):
    """Sets students' and twins' answers on test against the gold labels and the teacher's distribution."""

    name: ClassVar[str] = "explain"
    version: ClassVar[int] = 3
    data: DataRecord
    scores: tuple[ScoreRecord, ...]
    fused: FuseRecord

    def inputs(self) -> Mapping[str, Json]:
        """The scorecards and the test texts."""
        mix = self.fused.mix
        return {
            "scores": [[score.model.role, score.digest] for score in self.scores],
            "test": self.data.digests["test"],
            "classes": self.data.classes,
            "mix": [mix.method, mix.temperatures, mix.scores],
        }

    def make(self, folder: Path, context: Context) -> Mapping[str, Json]:
        """Writes explanation.json."""
        from models.explanation import by_class, by_teacher, flips, instructive, unsure_share

        rows, answers = self._answers()
        groups = by_teacher(answers) if len(rows) else None
        explanation = {
            "version": EXPLANATION_VERSION,
            "rows": len(rows),
            "flips": flips(answers) if len(rows) else None,
            "classes": by_class(answers, list(self.data.classes), self._clusters(rows)) if len(rows) else [],
            "teacher": groups,
            "unsure_share": unsure_share(groups) if groups else None,
            "shipped": self._shipped(rows) if len(rows) else None,
            "examples": self._examples(rows, answers, instructive(answers, EXAMPLES, self.scores[0].test.keys[rows])),
        }
        write_json(folder / EXPLANATION, explanation)
        return {"rows": len(rows), "unsure_share": explanation["unsure_share"]}

    def _answers(self) -> "tuple[NDArray[np.intp], Answers]":
        """The rows of test that have a gold label, and what is said of them."""
        from models.calibration import fit_temperature
        from models.explanation import Answers, probabilities_of

        gold = self.scores[0].test.gold
        rows = np.flatnonzero(gold != NO_LABEL)
        student, twin = (
            np.stack([score.test.logits[rows].argmax(-1) for score in self.scores if score.model.role == role])
            for role in ("student", "twin")
        )
        teachers = tuple(score for score in self.scores if score.model.role == "teacher")
        logits = together_on_test(teachers, self.fused)
        if logits is None:
            return rows, Answers(student, twin, gold[rows], None)
        # Dev fits the temperature of what several say together too: a mean of calibrated teachers is not calibrated.
        on_dev = self.fused.mix.together([teacher.on("dev").logits for teacher in teachers])
        temperature = fit_temperature(on_dev, teachers[0].on("dev").gold)
        return rows, Answers(student, twin, gold[rows], probabilities_of(logits[rows], temperature))

    def _clusters(self, rows: NDArray[np.intp]) -> "Clusters":
        """Which rows are one example."""
        return self.scores[0].test.clusters().among(rows)

    def _shipped(self, rows: NDArray[np.intp]) -> dict[str, Json]:
        """Of the student that ships: where it is sure enough to answer, and what it takes for what.

        Thresholds are on the probabilities that it gives (`predict` prints them), not on calibrated ones.
        """
        from models.explanation import confusions
        from models.metrics import selective

        score = best_on_dev(self.scores)
        said = score.test.logits[rows].argmax(-1)
        return {
            "seed": score.model.seed,
            "selective": selective(score.test.said.labelled, score.on("dev").said.labelled, 1.0),
            "confusions": confusions(score.test.gold[rows], said, list(self.data.classes)),
        }

    def _examples(self, rows: NDArray[np.intp], answers: "Answers", chosen: Sequence[int]) -> list[dict[str, Json]]:
        texts = texts_of([self.data.file("test")], {int(rows[place]) for place in chosen})
        found = []
        for place in chosen:
            text, pair = texts[int(rows[place])]
            found.append(
                {
                    "row": int(rows[place]),
                    "text": shortened(text, _LONGEST_TEXT),
                    "text_pair": pair and shortened(pair, _LONGEST_TEXT),
                    "gold": self.data.classes[answers.gold[place]],
                    "student": self._named(answers.student[:, place]),
                    "twin": self._named(answers.twin[:, place]),
                    "teacher": None if answers.teacher is None else self._ranked(answers.teacher[place]),
                }
            )
        return found

    def _named(self, numbers: NDArray[np.integer]) -> dict[str, int]:
        """How many seeds name each class, the most first."""
        counted = np.bincount(numbers)
        return {
            self.data.classes[number]: int(counted[number])
            for number in np.argsort(-counted, kind="stable")
            if counted[number]
        }

    def _ranked(self, probabilities: NDArray[np.floating]) -> dict[str, float]:
        """The likeliest classes."""
        order = np.argsort(-probabilities, kind="stable")[:_CLASSES_SHOWN]
        return {self.data.classes[number]: round(float(probabilities[number]), 4) for number in order}

    def read(self, output: Output) -> ExplainRecord:
        """The record of the explanation."""
        explanation = read_versioned(output.path / EXPLANATION, EXPLANATION_VERSION)
        return ExplainRecord(output.path, output.digest, explanation)

    def artifacts(self, output: Output) -> Sequence[Path]:
        """The explanation."""
        return [output.path / EXPLANATION]

    def consumed(self) -> Mapping[str, tuple[str, Path]]:
        """The test texts."""
        return {"test": (self.data.digests["test"], self.data.file("test"))}

    def summary(self, record: ExplainRecord) -> str:
        """Where the students gained."""
        flips = record.explanation["flips"]
        if flips is None:
            return "test has no gold labels"
        return f"student alone right on {flips['student_only']:.1%} of test, twin alone on {flips['twin_only']:.1%}"
