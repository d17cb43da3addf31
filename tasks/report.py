"""Step report: one page for people, in HTML and Markdown, out of the files that the steps before it wrote."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from tasks.evaluate import ScoreRecord
from tasks.explain import ExplainRecord
from tasks.judge import ResultRecord
from tasks.race import RaceRecord
from tasks.register import RegisterRecord
from tasks.shared.dataset import DataRecord
from tasks.shared.history import HISTORY
from tasks.shared.outputs import Json, Output, hash_file
from tasks.shared.recipe import Recipe
from tasks.shared.report.content import Place, gather
from tasks.shared.report.render import FIGURES, HTML, MARKDOWN, PAGES, write_report
from tasks.shared.scorecard import COST
from tasks.shared.steps import Context, Step


@dataclass(frozen=True)
class ReportRecord:
    """The report.

    Attributes:
        path: folder with report.html, report.md and figures.
        digest: of those figures that tell nothing of how fast this machine is.
    """

    path: Path
    digest: str


@dataclass(frozen=True)
class Report(Step[ReportRecord]):
    """Tells what came out; computes nothing."""

    name: ClassVar[str] = "report"
    version: ClassVar[int] = 3
    measured: ClassVar[frozenset[str]] = frozenset({HTML, MARKDOWN, f"{FIGURES}/trade-off.svg"})
    data: DataRecord
    scores: tuple[ScoreRecord, ...]
    result: ResultRecord
    explanation: ExplainRecord
    recipe: Recipe
    registered: RegisterRecord | None = None
    races: tuple[RaceRecord, ...] = ()

    def inputs(self) -> Mapping[str, Json]:
        """All that is told, what only measured a machine included."""
        measured = [self._measured(score) for score in self.scores]
        return {
            "data": self.data.digest,
            "scores": [
                [score.model.title, score.digest, *files] for score, files in zip(self.scores, measured, strict=True)
            ],
            "result": self.result.digest,
            "explanation": self.explanation.digest,
            "recipe": self.recipe.model_dump(mode="json"),
            **({"registered": self.registered.digest} if self.registered else {}),
            **({"races": [race.digest for race in self.races]} if self.races else {}),
        }

    @staticmethod
    def _measured(score: ScoreRecord) -> list[str]:
        files = [score.path / COST, score.model.path.parent / HISTORY]
        return [hash_file(file) for file in files if file.exists()]

    def make(self, folder: Path, context: Context) -> Mapping[str, Json]:
        """Writes the pages."""
        places = [
            Place(model.title, model.role, model.seed, model.dev_accuracy, score.path, model.path)
            for score, model in ((score, score.model) for score in self.scores)
        ]
        recipe = self.recipe.model_dump(mode="json")
        transfer = self.data.elsewhere.get("transfer")
        augmented = transfer.parent if transfer else None
        register = self.registered.path if self.registered else None
        judge, explain = self.result.path, self.explanation.path
        races = [race.path for race in self.races]
        write_report(folder, gather(recipe, self.data.path, augmented, places, judge, explain, register, races))
        return {}

    def read(self, output: Output) -> ReportRecord:
        """The record of the pages."""
        return ReportRecord(output.path, output.digest)

    def summary(self, record: ReportRecord) -> str:
        """What it is."""
        return HTML

    def artifacts(self, output: Output) -> Sequence[Path]:
        """The pages and figures."""
        return [output.path / name for name in PAGES]
