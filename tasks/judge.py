"""Step judge: the verdict on the students, and how all models compare, out of their scorecards."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tasks.evaluate import ScoreRecord, best_on_dev, together_on_test
from tasks.fuse import FuseRecord
from tasks.shared.conditions import CLEAN, NOISY, Answers, Condition, pooled, read_noisy
from tasks.shared.dataset import FURTHER, NO_LABEL, DataRecord
from tasks.shared.outputs import Json, Output, read_versioned, write_json
from tasks.shared.predictions import Predictions
from tasks.shared.report.content import RESULT, RESULT_VERSION
from tasks.shared.steps import Context, Step

if TYPE_CHECKING:
    from models.clusters import Clusters
    from models.verdict import Verdict

Right = NDArray[np.bool_]

WITHOUT = {
    "twin": "its twin",
    "scratch": "the same without the teacher's tokenizer and embeddings",
    "unaugmented": "the same without augmented texts",
}
"""What a student is compared with besides its teacher, by role."""
BASELINES = [role for role in WITHOUT if role != "twin"]


@dataclass(frozen=True)
class ResultRecord:
    """What came out.

    Attributes:
        path: folder with result.json.
        digest: of that folder.
        verdict: of student against twin, as plain data.
        sentence: the verdict for people.
        result: all that result.json says.
        scores: the scorecards of the first draw of labels.
    """

    path: Path
    digest: str
    verdict: Mapping[str, Any]
    sentence: str
    result: Mapping[str, Any]
    scores: tuple[ScoreRecord, ...]

    @property
    def best_score(self) -> ScoreRecord:
        """The scorecard of the student that does best on dev; of equals the first."""
        return best_on_dev(self.scores)

    def best(self) -> dict[str, Any]:
        """That student's scorecard as plain data."""
        return _entry(self.best_score)

    def models(self, role: str) -> list[dict[str, Any]]:
        """The scorecards of a role as plain data, an entry a seed."""
        return [_entry(score) for score in self.scores if score.model.role == role]


@dataclass(frozen=True)
class Draw:
    """All models of one draw of labels.

    Attributes:
        scores: their scorecards.
        fused: how the teachers were weighed.
    """

    scores: tuple[ScoreRecord, ...]
    fused: FuseRecord

    def of(self, role: str) -> list[ScoreRecord]:
        """The scorecards of a role, a seed each."""
        return [score for score in self.scores if score.model.role == role]

    @cached_property
    def roles(self) -> list[str]:
        """The roles there are, in order."""
        return list(dict.fromkeys(score.model.role for score in self.scores))

    @cached_property
    def parties(self) -> dict[str, list[ScoreRecord]]:
        """What is compared, by name: the seeds of a role, but several teachers each by itself."""
        teachers = self.of("teacher")
        alone = {score.model.title: [score] for score in teachers} if len(teachers) > 1 else {}
        return alone | {role: self.of(role) for role in self.roles if role != "teacher" or not alone}

    def right(self, party: str, part: str = "test") -> Right:
        """Which rows with a gold label the models of a party get right, [seeds, rows]."""
        said = [score.on(part) for score in self.parties[party]]
        return np.stack([found.right[found.gold != NO_LABEL] for found in said])

    @cached_property
    def test(self) -> Predictions:
        """What the first student says of test."""
        return self.of("student")[0].test

    def alike(self, part: str = "test") -> "Clusters":
        """Which rows with a gold label are one example, in the order of `right`."""
        said = self.of("student")[0].on(part)
        return said.clusters().among(said.gold != NO_LABEL)

    @cached_property
    def teachers_right(self) -> Right | None:
        """Which test rows the teachers get right together, [1, rows]; None where that is not known."""
        teachers = self.of("teacher")
        logits = together_on_test(teachers, self.fused)
        if logits is None:
            return None
        gold = teachers[0].test.gold
        found: Right = (logits.argmax(-1) == gold)[gold != NO_LABEL][None]
        return found

    @cached_property
    def noisy(self) -> Mapping[str, Mapping[Condition, Answers]]:
        """What is right by party and condition; all kinds of noise together first."""
        found = {}
        for party, scores in self.parties.items():
            by_seed = [{one.condition: one for one in read_noisy(score.path / NOISY)} for score in scores]
            by_condition = {
                condition: (one.rows, np.stack([noisy[condition].right for noisy in by_seed]))
                for condition, one in by_seed[0].items()
            }
            found[party] = pooled(by_condition) | by_condition
        return found


@dataclass(frozen=True)
class Judge(Step[ResultRecord]):
    """Compares models of the same seeds over the same test rows; draws after the first only tell of the method."""

    name: ClassVar[str] = "judge"
    version: ClassVar[int] = 5
    """Of the words too; the file's schema is still `RESULT_VERSION`."""
    scores: tuple[tuple[ScoreRecord, ...], ...]
    fused: tuple[FuseRecord, ...]
    worthwhile: float
    data: tuple[DataRecord, ...] = ()

    @property
    def draws(self) -> list[Draw]:
        """The draws of labels."""
        return [Draw(scores, fused) for scores, fused in zip(self.scores, self.fused, strict=True)]

    def inputs(self) -> Mapping[str, Json]:
        """The scorecards, and what gain is worth having."""
        return {
            "scores": [[score.digest for score in draw.scores] for draw in self.draws],
            "roles": [[score.model.role for score in draw.scores] for draw in self.draws],
            "mix": [[draw.fused.mix.method, draw.fused.mix.temperatures, draw.fused.mix.scores] for draw in self.draws],
            "worthwhile": self.worthwhile,
            "gold": [data.digests["gold"] for data in self.data],
        }

    def make(self, folder: Path, context: Context) -> Mapping[str, Json]:
        """Writes result.json."""
        draw = self.draws[0]
        gold = draw.right("student").shape[1] > 0
        verdict = self._verdict(draw, "twin")
        result = {
            "version": RESULT_VERSION,
            "verdict": verdict,
            "against": {role: self._verdict(draw, role) for role in WITHOUT if role in draw.roles} if gold else {},
            "teacher": self._against_teacher(draw) if gold else None,
            "draws": self._over_draws(context) if gold else None,
            "robustness": list(self._robustness(draw)) if gold else [],
            "tests": list(self._tests(draw)),
        }
        write_json(folder / RESULT, result)
        return {"verdict": verdict}

    def _verdict(self, draw: Draw, role: str) -> dict[str, Json]:
        """Of the students against the models of another role."""
        from models.verdict import judge, unjudged

        student, other = draw.right("student"), draw.right(role)
        if not student.shape[1]:
            return _told(unjudged(len(student), self.worthwhile))
        clusters, example = draw.alike(), draw.test.example
        return _told(judge(student, other, self.worthwhile, other=WITHOUT[role], clusters=clusters, example=example))

    def _against_teacher(self, draw: Draw) -> dict[str, Json] | None:
        """What the students keep of their teachers' accuracy, and how far they come from the twins to it."""
        from models.comparison import beyond, gap_closed, retention

        teacher = draw.teachers_right
        if teacher is None:
            return None
        student, twin, clusters = draw.right("student"), draw.right("twin"), draw.alike()
        kept, closed = retention(student, teacher, clusters), gap_closed(student, twin, teacher, clusters)
        return {
            "accuracy": float(teacher.mean()),
            "difference": asdict(beyond(student, teacher, clusters)),
            "retention": kept and asdict(kept),
            "gap_closed": closed and asdict(closed),
        }

    def _over_draws(self, context: Context) -> dict[str, Json] | None:
        """The verdict on the method: a row is a draw, the mean over its seeds; None where two are the same."""
        from models.verdict import judge

        if len(self.draws) == 1:
            return None
        different = len({data.digests["gold"] for data in self.data})
        if different < len(self.data):
            all_of_them = f"of {len(self.data)} draws of labels {different} differ"
            context.warn(
                f"{all_of_them}, so nothing is said of the method; data.labels_per_class: fewer leaves a choice"
            )
            return None
        student, twin = (
            np.stack([draw.right(role).mean(axis=0) for draw in self.draws]) for role in ("student", "twin")
        )
        first = self.draws[0]
        clusters, example = first.alike(), first.test.example
        return _told(judge(student, twin, self.worthwhile, unit="draw", clusters=clusters, example=example))

    def _robustness(self, draw: Draw) -> Iterator[dict[str, Json]]:
        """What each condition costs each role, and what the student is spared of what it costs those without."""
        from models.comparison import drop, spared

        every = draw.test.clusters()
        for condition, (rows, _) in draw.noisy["student"].items():
            if condition[0] == CLEAN:
                continue
            clusters = every.among(rows)
            disturbed = {role: draw.noisy[role][condition][1] for role in draw.parties}
            clean = {role: self._clean(draw, role, rows) for role in draw.parties}
            costs = {role: asdict(drop(clean[role], disturbed[role], clusters)) for role in draw.parties}
            ours = (clean["student"], disturbed["student"])
            less = {
                role: asdict(spared(*ours, clean[role], disturbed[role], clusters))
                for role in WITHOUT
                if role in draw.roles
            }
            yield {
                "noise": condition[0],
                "strength": condition[1],
                "rows": len(rows),
                "accuracy": {role: float(right.mean()) for role, right in disturbed.items()},
                "clean": {role: float(right.mean()) for role, right in clean.items()},
                "drop": costs,
                "spared": less,
            }

    def _clean(self, draw: Draw, role: str, rows: NDArray[np.int32]) -> Right:
        """The same rows undisturbed, [seeds, texts]."""
        all_rows, right = draw.noisy[role][CLEAN, 0.0]
        order = np.argsort(all_rows)
        clean: Right = right[:, order[np.searchsorted(all_rows, rows, sorter=order)]]
        return clean

    def _tests(self, draw: Draw) -> Iterator[dict[str, Json]]:
        """What becomes of the models on the further test files."""
        from models.comparison import elsewhere
        from models.verdict import judge

        for test in draw.of("student")[0].quality.tests:
            if not test.rows:
                continue
            there = {role: draw.right(role, FURTHER + test.name) for role in draw.parties}
            here = {role: draw.right(role) for role in draw.parties}
            alike = draw.alike(), draw.alike(FURTHER + test.name)
            verdict = judge(
                there["student"],
                there["twin"],
                self.worthwhile,
                where=test.name,
                clusters=alike[1],
                example=draw.test.example,
            )
            yield {
                "name": test.name,
                "rows": test.rows,
                "accuracy": {role: float(right.mean()) for role, right in there.items()},
                "drop": {
                    role: asdict(elsewhere(here[role], there[role], *alike)) for role in there if here[role].shape[1]
                },
                "verdict": _told(verdict),
            }

    def read(self, output: Output) -> ResultRecord:
        """The record of the result."""
        result = read_versioned(output.path / RESULT, RESULT_VERSION)
        verdict = result["verdict"]
        return ResultRecord(output.path, output.digest, verdict, verdict["sentence"], result, self.scores[0])

    def artifacts(self, output: Output) -> Sequence[Path]:
        """The result."""
        return [output.path / RESULT]

    def summary(self, record: ResultRecord) -> str:
        """The verdict in a word."""
        return str(record.verdict["outcome"])


def _told(verdict: "Verdict") -> dict[str, Json]:
    said = {"sentence": verdict.sentence(), "remedy": verdict.remedy, "scope": verdict.scope}
    return {**verdict.to_dict(), **said}


def _entry(score: ScoreRecord) -> dict[str, Any]:
    cost, rarest = score.cost, score.quality.rarest
    return {
        "title": score.model.title,
        "role": score.model.role,
        "seed": score.model.seed,
        "dev_accuracy": score.model.dev_accuracy,
        "accuracy": score.accuracy,
        "macro_f1": score.macro_f1,
        "rarest_f1": rarest.f1 if rarest else None,
        "parameters": cost["parameters"],
        "parameters_without_embeddings": cost["parameters_without_embeddings"],
        "bytes": cost["bytes"],
        "ms_per_text": cost["ms_per_text"],
        "texts_per_second": cost["texts_per_second"],
        "waited": cost.get("waited"),
        "path": str(score.model.path),
        "digest": score.model.digest,
        "scorecard": str(score.path),
    }
