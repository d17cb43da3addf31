"""Whether a candidate becomes the champion of its name: its score on the gate rows against the champion's."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tasks.shared.class_names import columns_by_name
from tasks.shared.dataset import DataRecord, read_chunks
from tasks.shared.errors import one_line
from tasks.shared.outputs import hash_of
from tasks.shared.registry import CHAMPION, Registry
from tasks.shared.registry_files import UnusableVersionError, VersionGoneError
from tasks.shared.registry_version import Version
from tasks.shared.steps import Context

if TYPE_CHECKING:
    from models.classifier import TextClassifier
    from tasks.shared.costing import Model


@dataclass(frozen=True)
class Decision:
    """Whether a candidate is the champion from now on.

    Attributes:
        champion: whether it is.
        reason: why, as the rest of a sentence.
        settled: whether that holds for good; else it is to be asked again.
    """

    champion: bool
    reason: str
    settled: bool = True


@dataclass(frozen=True)
class Gate:
    """What decides.

    Attributes:
        data: has the rows.
        outcome: of the verdict, which is about the student alone; about a teacher its score decides.
    """

    data: DataRecord
    outcome: str

    @property
    def rows(self) -> str:
        """Stands for the rows that decide: their texts, labels and what the labels mean."""
        return hash_of([self.data.digests[self.data.gate], self.data.classes])

    def facts(self, role: str) -> str:
        """Stands for what a decision about a certain model of that role rests on."""
        return hash_of([self.rows, self.outcome if role == "student" else None])

    def score(self, candidate: "Model", decided: Version | None, context: Context) -> float:
        """A candidate's score; where it decides nothing any more, what was written down then will do."""
        if self.data.gate != "gate":
            return candidate.dev_accuracy
        written = None if decided is None else self._written(decided)
        return self._measure(_load(candidate.path, context.device), context) if written is None else written

    def decide(
        self, candidate: "Model", score: float, champion: Version | None, registry: Registry, context: Context
    ) -> Decision:
        """Compares a candidate with the champion of its name, if there is one."""
        from models.verdict import Outcome

        if candidate.role == "student" and self.outcome == Outcome.NO_BETTER:
            return Decision(False, f"the verdict is {Outcome.NO_BETTER}: its gain over its twin is not worth having")
        if champion is None:
            return Decision(True, "the first champion of this name")
        try:
            to_beat = self._to_beat(champion, registry, context)
        except VersionGoneError as error:
            # Elsewhere it may be whole, and better: a person decides.
            reason = (
                f"the champion, version {champion.number}, cannot be read here: {error}; register where it can be, or "
                f"delete its alias (in MLflow's pages, or MlflowClient().delete_registered_model_alias("
                f"{champion.name!r}, {CHAMPION!r})) and run again"
            )
            context.warn(f"{champion.name} keeps its champion: {reason}")
            return Decision(False, reason, settled=False)
        except UnusableVersionError as error:
            context.warn(f"the champion {champion.address} cannot be compared, so it is replaced: {error}")
            return Decision(True, f"the champion before cannot be compared: {error}")
        said = f"{score:.2%} of {self.data.gate} right"
        if score < to_beat:
            return Decision(False, f"{said}, below the {to_beat:.2%} of the champion, version {champion.number}")
        return Decision(True, f"{said}, not below the {to_beat:.2%} of the champion before, version {champion.number}")

    def _to_beat(self, champion: Version, registry: Registry, context: Context) -> float:
        """The champion's score on these rows: as written on it, else measured now and written on it."""
        written = self._written(champion)
        if written is not None:
            return written
        folder = registry.folder(champion)
        try:
            classifier = _load(folder, context.device)
        except (OSError, ValueError, KeyError) as error:
            raise UnusableVersionError(f"{champion.address} cannot be loaded: {one_line(error)}") from None
        score = self._measure(classifier, context)
        registry.tag(champion, {"gate_score": str(score), "gate_rows": self.rows})
        return score

    def _written(self, version: Version) -> float | None:
        """The score on these rows that is written on a version, if it is one."""
        return version.gate_score if version.tags.get("gate_rows") == self.rows else None

    def _measure(self, classifier: "TextClassifier", context: Context) -> float:
        """Share of the rows that a model gets right, by the names of the classes: one that it lacks is wrong."""
        try:
            columns = columns_by_name(classifier.classes, self.data.classes)
            names = dict(zip(columns, self.data.classes, strict=True))
        except ValueError:
            names = dict(enumerate(classifier.classes))
        numbers = {name: number for number, name in enumerate(self.data.classes)}
        own = np.array([numbers.get(names[column], -1) for column in range(len(names))])
        right = 0
        with context.progress(self.data.rows[self.data.gate], "texts") as advance:
            for chunk in read_chunks(self.data.file(self.data.gate)):
                predicted = own[classifier.probabilities(chunk.texts, chunk.pairs).argmax(-1)]
                right += int((predicted == chunk.labels).sum())
                advance(len(chunk.texts))
        return right / self.data.rows[self.data.gate]


def _load(folder: Path, device: str) -> "TextClassifier":
    from models.classifier import TextClassifier
    from models.teacher import load_classifier

    return TextClassifier(*load_classifier(folder, device))
