"""Step report: the verdict, and one result for people and programs out of all scorecards."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from tasks.evaluate import ScoreRecord, correct_of
from tasks.shared.outputs import Json, Output, write_json
from tasks.shared.steps import Context, Step

RESULT = "result.json"


@dataclass(frozen=True)
class ResultRecord:
    """What came out.

    Attributes:
        path: folder with result.json.
        digest: of that folder.
        verdict: of student against twin, as plain data.
        sentence: the verdict for people.
        scores: all scorecards.
    """

    path: Path
    digest: str
    verdict: Mapping[str, Any]
    sentence: str
    scores: tuple[ScoreRecord, ...]

    @property
    def best_score(self) -> ScoreRecord:
        """The scorecard of the student that does best on dev; of equals the first."""
        students = [score for score in self.scores if score.model.role == "student"]
        return max(students, key=lambda score: score.model.dev_accuracy)

    def best(self) -> dict[str, Any]:
        """That student's scorecard as plain data."""
        return _entry(self.best_score)

    def models(self, role: str) -> list[dict[str, Any]]:
        """The scorecards of a role as plain data, an entry a seed."""
        return [_entry(score) for score in self.scores if score.model.role == role]


@dataclass(frozen=True)
class Report(Step[ResultRecord]):
    """Compares students and twins of the same seeds over the same test rows."""

    name: ClassVar[str] = "report"
    scores: tuple[ScoreRecord, ...]
    worthwhile: float

    def inputs(self) -> Mapping[str, Json]:
        """The scorecards, and what gain is worth having."""
        return {"scores": [score.digest for score in self.scores], "worthwhile": self.worthwhile}

    def make(self, folder: Path, context: Context) -> Mapping[str, Json]:
        """Writes result.json."""
        from models.verdict import judge

        student, twin = (
            np.stack([correct_of(score) for score in self.scores if score.model.role == role])
            for role in ("student", "twin")
        )
        verdict = judge(student, twin, self.worthwhile)
        result = {"verdict": verdict.to_dict(), "sentence": verdict.sentence(), "scope": verdict.scope}
        write_json(folder / RESULT, result)
        return result

    def read(self, output: Output) -> ResultRecord:
        """The record of the result."""
        facts = output.facts
        verdict = {**facts["verdict"], "sentence": facts["sentence"], "scope": facts["scope"]}
        return ResultRecord(output.path, output.digest, verdict, facts["sentence"], self.scores)

    def summary(self, record: ResultRecord) -> str:
        """The verdict in a word."""
        return str(record.verdict["outcome"])


def _entry(score: ScoreRecord) -> dict[str, Any]:
    cost = score.cost
    return {
        "title": score.model.title,
        "seed": score.model.seed,
        "dev_accuracy": score.model.dev_accuracy,
        "accuracy": score.accuracy,
        "macro_f1": score.macro_f1,
        "parameters": cost["parameters"],
        "parameters_without_embeddings": cost["parameters_without_embeddings"],
        "bytes": cost["bytes"],
        "ms_per_text": cost["ms_per_text"],
        "texts_per_second": cost["texts_per_second"],
        "path": str(score.model.path),
        "digest": score.model.digest,
        "scorecard": str(score.path),
    }
