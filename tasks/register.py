"""Step register: teacher and best student become versions in MLflow's Model Registry, and perhaps its champions."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, partial
from math import inf
from pathlib import Path
from statistics import fmean
from typing import Any, ClassVar

from tasks.judge import ResultRecord
from tasks.shared.costing import Model
from tasks.shared.dataset import DataRecord
from tasks.shared.gate_rows import GateRows
from tasks.shared.outputs import Json, Output, hash_folder, locked, write_json
from tasks.shared.promotion import Decision, Evidence, Gate
from tasks.shared.recipe_promotion import Promotion
from tasks.shared.registry import CHAMPION, PREVIOUS, Registry
from tasks.shared.registry_files import UnusableVersionError
from tasks.shared.registry_version import Version
from tasks.shared.report.content import REGISTERED
from tasks.shared.steps import Context, Step
from tasks.shared.workspace import Workspace, find_workspace
from tasks.train_teacher import TeacherRecord

_MOVED = "; the alias has moved since"


@dataclass(frozen=True)
class Registered:
    """One registered model, and what was decided about it.

    Attributes:
        role: `student` or `teacher`.
        name: in the registry.
        version: its number.
        gate_score: share of the gate rows that it gets right.
        champion: whether it was the champion when this was written, or read.
        reason: why it was, or was not.
        digest: of the model.
        settled: whether that was decided; else the next run decides.
    """

    role: str
    name: str
    version: int
    gate_score: float
    champion: bool
    reason: str
    digest: str
    settled: bool


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
            f"{model.name} version {model.version}, {CHAMPION if model.champion else f'not {CHAMPION}: {model.reason}'}"
            for model in self.models
        )


@dataclass(frozen=True)
class Register(Step[RegisterRecord]):
    """Registers the student that does best on dev, and the teachers; compares each with the champion of its name.

    Whether a candidate becomes champion is decided once for the same facts: model, gate rows, verdict, bounds. The
    decision is remembered on the version, so that no rerun, from wherever, moves an alias that a person moved back, not
    even one that is forced, or one that registers again what was lost.
    Verdict and bounds are about the student alone: what decides about a teacher is its score on the gate rows.
    """

    name: ClassVar[str] = "register"
    data: DataRecord
    result: ResultRecord
    student: str
    teacher: str
    bounds: Promotion = field(default_factory=Promotion)

    def inputs(self) -> Mapping[str, Json]:
        """Which models, under which names, and what is decided by or written on them; `stands` asks the registry."""
        return {
            "models": {name: model.digest for name, model in self._candidates.items()},
            "gate": self._gate.rows.digest,
            "verdict": [self._evidence.outcome, self._evidence.gain],
            **({"promotion": self._gate.terms} if self._gate.terms else {}),
        }

    def make(self, folder: Path, context: Context) -> Mapping[str, Json]:
        """Registers and promotes, one name after the other; the facts are what registered.json holds."""
        registry = Registry(context.workspace)
        models = []
        for name, candidate in self._candidates.items():
            lock = context.workspace.locks / f"registry-{name}.lock"
            with locked(lock, partial(_waiting, name, context)):
                models.append(asdict(self._register(registry, name, candidate, folder / "scratch", context)))
        write_json(folder / REGISTERED, models)
        return {"models": models}

    def _register(self, registry: Registry, name: str, candidate: Model, scratch: Path, context: Context) -> Registered:
        """Reads, decides and writes; whatever a killed run left undone is done by the next one, in the same order."""
        champion, facts = registry.with_alias(name, CHAMPION), self._gate.facts(candidate.role)
        same = registry.with_digest(name, candidate.digest)
        version, lost = _first_whole(registry, same)
        decided = next((each for each in same if "promoted" in each.tags and each.tags.get("decided") == facts), None)
        score = self._gate.score(candidate, decided, context)
        fallen = champion is not None and champion.number in lost
        leads = champion is not None and version is not None and champion.number == version.number
        if champion and fallen:
            reason = f"the same model as the champion before, version {champion.number}: {lost[champion.number]}"
            context.warn(f"{name} is registered anew, as {reason}")
            decision = Decision(True, reason)
        elif decided:
            decision = Decision(decided.tags.get("promoted") == "yes", decided.tags.get("reason", ""))
        elif leads:
            decision = Decision(True, (version and version.tags.get("reason")) or "it is the champion already")
        else:
            decision = self._gate.decide(candidate, score, champion, registry, context)
        tags = self._tags(candidate, score, decision)
        if version is None:
            made = {"digest": candidate.digest, "role": candidate.role, "sha256": hash_folder(candidate.path)}
            made |= _makers(registry.tags_of_run(context.run))
            version = registry.add(name, candidate.path, self.data.pairs, context.run, made | tags, scratch)
        else:
            version = registry.tag(version, tags)
        if any(PREVIOUS in each.aliases for each in same if each.number in lost):
            registry.point(PREVIOUS, version)
        if fallen or (decision.champion and not decided and not leads):
            if champion and not fallen and "digest" in champion.tags:  # one that is not ours could not be used
                registry.point(PREVIOUS, champion)
            registry.point(CHAMPION, version)
            leads = True
        # Last: a version that lacks these has not been decided about to the end.
        done = {"decided": facts} if decision.settled else {}
        registry.tag(version, {"promoted": "yes" if decision.champion else "no", **done})
        reason = decision.reason if decision.champion == leads else decision.reason + _MOVED
        return Registered(
            candidate.role, name, version.number, score, leads, reason, candidate.digest, decision.settled
        )

    def _tags(self, candidate: Model, score: float, decision: Decision) -> dict[str, str]:
        """What was measured and is about to be decided."""
        from models.cost import weights_bytes

        tags = {"gate_score": str(score), "gate_rows": self._gate.rows.digest, "reason": decision.reason}
        tags["bytes"] = str(weights_bytes(candidate.path))
        if candidate.role == "student":
            tags |= {"verdict": self._evidence.outcome, "difference": str(self._evidence.gain)}
        return tags

    @cached_property
    def _gate(self) -> Gate:
        """What decides."""
        return Gate(GateRows(self.data), self._evidence, self.bounds)

    @cached_property
    def _evidence(self) -> Evidence:
        """The verdict; where test has no labels, so that there is no difference, that of dev is looked at instead."""
        best, gain, part = self.result.best_score, self.result.verdict["difference"], "test"
        if best.accuracy is None:
            student, twin = (
                fmean(score.model.dev_accuracy for score in self.result.scores if score.model.role == role)
                for role in ("student", "twin")
            )
            gain, part = round(student - twin, 9), "dev"  # no rounding error is a loss
        slow = float(best.cost.get("ms_per_text", inf))
        return Evidence(self.result.verdict["outcome"], gain, part, slow)

    @property
    def _candidates(self) -> dict[str, Model]:
        """Models by the name under which they are registered."""
        teachers = [score.model for score in self.result.scores if isinstance(score.model, TeacherRecord)]
        numbered = {f"{self.teacher}-{each.number}" if each.number else self.teacher: each for each in teachers}
        return {self.student: self.result.best_score.model, **numbered}

    def read(self, output: Output) -> RegisterRecord:
        """The record of what was registered, and of who is champion now: a person may have moved the alias since."""
        registry = Registry(find_workspace())
        champions = {name: registry.with_alias(name, CHAMPION) for name in {m["name"] for m in output.facts["models"]}}
        numbers = {name: champion.number for name, champion in champions.items() if champion}
        models = (Registered(**model) for model in output.facts["models"])
        now = tuple(_seen_now(model, numbers.get(model.name) == model.version) for model in models)
        return RegisterRecord(output.path, output.digest, now)

    def stands(self, output: Output, workspace: Workspace) -> bool:
        """Whether all was decided, and all versions are still registered and have their files."""
        registry = Registry(workspace)
        models = [Registered(**model) for model in output.facts["models"]]
        return all(model.settled and _is_there(registry, model) for model in models)

    def consumed(self) -> Mapping[str, tuple[str, Path]]:
        """The rows that decide."""
        return {self.data.gate: (self.data.digests[self.data.gate], self.data.file(self.data.gate))}

    def summary(self, record: RegisterRecord) -> str:
        """Names, versions and champions."""
        return record.sentence


def _seen_now(model: Registered, champion: bool) -> Registered:
    """A model with the alias that it has now; the reason says where that is not what was decided."""
    if champion == model.champion:
        return model
    decided = model.reason.removesuffix(_MOVED)
    return replace(model, champion=champion, reason=decided if decided != model.reason else decided + _MOVED)


def _is_there(registry: Registry, model: Registered) -> bool:
    version = registry.get(model.name, model.version)
    if version is None or version.tags.get("digest") != model.digest:
        return False
    try:
        registry.check_files(version)
    except UnusableVersionError:
        return False
    return True


def _first_whole(registry: Registry, versions: Sequence[Version]) -> tuple[Version | None, dict[int, str]]:
    """The first version whose files are those that were registered, and what is wrong with those before it."""
    lost: dict[int, str] = {}
    for version in versions:
        try:
            registry.check_files(version)
            registry.folder(version)
        except UnusableVersionError as error:
            lost[version.number] = str(error)
        else:
            return version, lost
    return None, lost


def _makers(run_tags: Mapping[str, str]) -> dict[str, str]:
    """Which run made a version, by what is written on that run."""
    known = {"run": "stillhouse.run", "mlflow_run": "mlflow.parentRunId", "prefect_flow_run": "prefect.flow_run_id"}
    return {name: run_tags[key] for name, key in known.items() if key in run_tags}


def _waiting(name: str, context: Context, owner: str) -> None:
    context.warn(f"{owner} is registering {name}; waiting for it")
