"""Step register: teacher and best student become versions in MLflow's Model Registry, and perhaps its champions."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from safetensors import SafetensorError

from tasks.evaluate import Model
from tasks.report import ResultRecord
from tasks.shared.class_names import columns_by_name
from tasks.shared.dataset import DataRecord, read_chunks
from tasks.shared.errors import one_line
from tasks.shared.outputs import Json, Output, hash_folder, hash_of, locked, write_json
from tasks.shared.registry import CHAMPION, PREVIOUS, Registry, UnusableVersionError, Version
from tasks.shared.steps import Context, Step
from tasks.shared.workspace import Workspace, find_workspace

if TYPE_CHECKING:
    from models.classifier import TextClassifier

REGISTERED = "registered.json"
NO_BETTER = "NO BETTER"


@dataclass(frozen=True)
class Registered:
    """One registered model, and what was decided about it.

    Attributes:
        role: `student` or `teacher`.
        name: in the registry.
        version: its number.
        gate_score: share of the gate rows that it gets right.
        champion: whether it was the champion then.
        reason: why it was, or was not.
        digest: of the model.
    """

    role: str
    name: str
    version: int
    gate_score: float
    champion: bool
    reason: str
    digest: str


@dataclass(frozen=True)
class RegisterRecord:
    """What was registered.

    Attributes:
        path: folder with registered.json.
        digest: of that folder.
        models: the student, then the teachers.
    """

    path: Path
    digest: str
    models: tuple[Registered, ...]

    def to_list(self) -> list[dict[str, Any]]:
        """The models as plain data."""
        return [asdict(model) for model in self.models]

    @property
    def sentence(self) -> str:
        """All models in a line."""
        return "; ".join(
            f"{model.name} version {model.version}{f', {CHAMPION}' if model.champion else ''}" for model in self.models
        )


@dataclass(frozen=True)
class Decision:
    """Whether a candidate is the champion from now on, and why, as the rest of a sentence."""

    champion: bool
    reason: str


@dataclass(frozen=True)
class Register(Step[RegisterRecord]):
    """Registers the student that does best on dev, and the teachers; compares each with the champion of its name.

    Whether a candidate becomes champion is decided once for the same facts. A rerun leaves the registry alone, so that
    an alias which a person moved back stays where it is, unless a version that was registered here is gone.
    The verdict is about the student alone: what decides about a teacher is its score on the gate rows.
    """

    name: ClassVar[str] = "register"
    data: DataRecord
    result: ResultRecord
    student: str
    teacher: str

    def inputs(self) -> Mapping[str, Json]:
        """Which models, under which names, where, and what decides about them."""
        return {
            "models": {name: model.digest for name, model in self._candidates.items()},
            "gate": self._gate_rows,
            "verdict": self.result.verdict["outcome"],
            "registry": Registry(find_workspace()).identity,
        }

    def make(self, folder: Path, context: Context) -> Mapping[str, Json]:
        """Registers and promotes, one name after the other; the facts are what registered.json holds."""
        registry = Registry(context.workspace)
        models = []
        for name, candidate in self._candidates.items():
            lock = context.workspace.locks / f"registry-{registry.identity[:16]}-{name}.lock"
            with locked(lock, partial(_waiting, name, context)):
                models.append(asdict(self._register(registry, name, candidate, folder / "scratch", context)))
        write_json(folder / REGISTERED, models)
        return {"models": models}

    def _register(self, registry: Registry, name: str, candidate: Model, scratch: Path, context: Context) -> Registered:
        """Reads, decides and writes; whatever a killed run left undone is done by the next one, in the same order."""
        score = candidate.dev_accuracy
        if self.data.gate == "gate":
            score = self._score(_load(candidate.path, context.device), context)
        version, champion = registry.with_digest(name, candidate.digest), registry.with_alias(name, CHAMPION)
        if version and champion and version.number == champion.number:
            decision = Decision(True, version.tags.get("reason") or "it is the champion already")
        else:
            decision = self._decide(candidate, score, champion, registry, context)
        tags = self._tags(candidate, score, decision, registry.tags_of_run(context.run))
        if version is None:
            version = registry.add(name, candidate.path, self.data.pairs, context.run, tags, scratch)
        else:
            registry.tag(version, tags)
        if decision.champion and (champion is None or champion.number != version.number):
            if champion:
                registry.point(PREVIOUS, champion)
            registry.point(CHAMPION, version)
        return Registered(
            candidate.role, name, version.number, score, decision.champion, decision.reason, candidate.digest
        )

    def _decide(
        self, candidate: Model, score: float, champion: Version | None, registry: Registry, context: Context
    ) -> Decision:
        if candidate.role == "student" and self.result.verdict["outcome"] == NO_BETTER:
            return Decision(False, f"the verdict is {NO_BETTER}: its gain over its twin is not worth having")
        if champion is None:
            return Decision(True, "the first champion of this name")
        try:
            to_beat = self._score_of_champion(champion, registry, context)
        except UnusableVersionError as error:
            context.warn(f"the champion {champion.address} cannot be compared, so it is replaced: {error}")
            return Decision(True, f"the champion before cannot be compared: {error}")
        said = f"{score:.2%} of {self.data.gate} right"
        if score < to_beat:
            return Decision(False, f"{said}, below the {to_beat:.2%} of the champion, version {champion.number}")
        return Decision(True, f"{said}, not below the {to_beat:.2%} of the champion before, version {champion.number}")

    def _score_of_champion(self, champion: Version, registry: Registry, context: Context) -> float:
        """Its score on these rows: as written on it, else measured now and written on it."""
        if champion.tags.get("gate_rows") == self._gate_rows:
            return float(champion.tags["gate_score"])
        folder = registry.folder(champion)
        try:
            classifier = _load(folder, context.device)
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            raise UnusableVersionError(f"{champion.address} cannot be loaded: {one_line(error)}") from None
        score = self._score(classifier, context)
        registry.tag(champion, {"gate_score": str(score), "gate_rows": self._gate_rows})
        return score

    def _score(self, classifier: "TextClassifier", context: Context) -> float:
        """Share of the gate rows that a model gets right, by the names of the classes: one that it lacks is wrong."""
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

    def _tags(
        self, candidate: Model, score: float, decision: Decision, run_tags: Mapping[str, str]
    ) -> Mapping[str, str]:
        verdict = self.result.verdict
        tags = {
            "digest": candidate.digest,
            "role": candidate.role,
            "sha256": hash_folder(candidate.path),
            "gate_score": str(score),
            "gate_rows": self._gate_rows,
            "promoted": "yes" if decision.champion else "no",
            "reason": decision.reason,
        }
        if candidate.role == "student":
            tags |= {"verdict": verdict["outcome"], "difference": str(verdict["difference"])}
        known = {"run": "stillhouse.run", "mlflow_run": "mlflow.parentRunId", "prefect_flow_run": "prefect.flow_run_id"}
        return tags | {name: run_tags[key] for name, key in known.items() if key in run_tags}

    @property
    def _gate_rows(self) -> str:
        """Stands for the rows that decide: their texts, labels and what the labels mean."""
        return hash_of([self.data.digests[self.data.gate], self.data.classes])

    @property
    def _candidates(self) -> dict[str, Model]:
        """Models by the name under which they are registered."""
        teachers = [score.model for score in self.result.scores if score.model.role == "teacher"]
        numbered = {f"{self.teacher}-{number}" if number else self.teacher: t for number, t in enumerate(teachers)}
        return {self.student: self.result.best_score.model, **numbered}

    def read(self, output: Output) -> RegisterRecord:
        """The record of what was registered."""
        models = tuple(Registered(**model) for model in output.facts["models"])
        return RegisterRecord(output.path, output.digest, models)

    def stands(self, output: Output, workspace: Workspace) -> bool:
        """Whether all versions are still registered."""
        registry = Registry(workspace)
        found = [(model, registry.get(model.name, model.version)) for model in self.read(output).models]
        return all(version and version.tags.get("digest") == model.digest for model, version in found)

    def consumed(self) -> Mapping[str, tuple[str, Path]]:
        """The rows that decide."""
        return {self.data.gate: (self.data.digests[self.data.gate], self.data.file(self.data.gate))}

    def summary(self, record: RegisterRecord) -> str:
        """Names, versions and champions."""
        return record.sentence


def _load(folder: Path, device: str) -> "TextClassifier":
    from models.classifier import TextClassifier
    from models.teacher import load_classifier

    return TextClassifier(*load_classifier(folder, device))


def _waiting(name: str, context: Context, owner: str) -> None:
    context.warn(f"{owner} is registering {name}; waiting for it")
