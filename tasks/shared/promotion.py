"""Whether a candidate becomes the champion of its name: by what its distillation gained, and against the champion."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks.shared.errors import brief, one_line
from tasks.shared.gate_rows import GateRows, Measured
from tasks.shared.outputs import Json, hash_of
from tasks.shared.recipe_promotion import Promotion
from tasks.shared.registry import CHAMPION, Registry
from tasks.shared.registry_files import UnusableVersionError, VersionGoneError
from tasks.shared.registry_version import Version, written_bytes, written_share
from tasks.shared.steps import Context

if TYPE_CHECKING:
    from tasks.shared.costing import Model

_ROUNDING = 1e-9


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
class Evidence:
    """What is known of a student besides what it gets right of the gate rows.

    Attributes:
        outcome: of the verdict.
        gain: mean accuracy of the students less that of their twins, a fraction.
        part: of the data, on which that was measured.
        ms_per_text: what a text takes, in ms; infinite where nobody measured.
    """

    outcome: str
    gain: float
    part: str
    ms_per_text: float


@dataclass(frozen=True)
class Gate:
    """What decides. What is known of the student, and what bounds it, says nothing of a teacher.

    Attributes:
        rows: that decide.
        evidence: what else is known of the student.
        bounds: what it may cost.
    """

    rows: GateRows
    evidence: Evidence
    bounds: Promotion

    @property
    def terms(self) -> dict[str, Json]:
        """The bounds that are set, and what they make of figures that the student's digest does not stand for."""
        unset = {name: field.default for name, field in type(self.bounds).model_fields.items()}
        terms = self.bounds.decided(unset)
        return terms | ({"slow": True} if self._slow else {})

    def facts(self, role: str) -> str:
        """Stands for what a decision about a certain model of that role rests on.

        What came to the rules later is in it only where it speaks: what was decided before remains decided.
        """
        if role != "student":
            return hash_of([self.rows.digest, None])
        terms = self.terms | ({"behind": True} if self.evidence.gain < 0 else {})
        return hash_of([self.rows.digest, self.evidence.outcome, *([terms] if terms else [])])

    def score(self, candidate: "Model", decided: Version | None, context: Context) -> float:
        """A candidate's score; where it decides nothing any more, what was written down then will do."""
        if self.rows.name != "gate":
            return candidate.dev_accuracy
        written = None if decided is None else self._written(decided)
        return self.rows.measure(candidate.path, context).accuracy if written is None else written

    def decide(
        self, candidate: "Model", score: float, champion: Version | None, registry: Registry, context: Context
    ) -> Decision:
        """Holds a candidate to what any champion has to be, and compares it with that of its name, if there is one."""
        fault = self._fault(candidate, score)
        if fault:
            return Decision(False, fault)
        if champion is None:
            return Decision(True, "the first champion of this name")
        try:
            return self._compare(candidate, score, champion, registry, context)
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

    def _fault(self, candidate: "Model", score: float) -> str:
        """What keeps a candidate from being champion whoever is; empty if nothing does."""
        from models.cost import weights_bytes
        from models.verdict import Outcome

        student, known, bounds = candidate.role == "student", self.evidence, self.bounds
        if student and known.outcome == Outcome.NO_BETTER:
            return f"the verdict is {Outcome.NO_BETTER}: its gain over its twin is not worth having"
        if student and known.gain < 0:
            return f"students measured {-100 * known.gain:.3g} points less accurate than their twins on {known.part}"
        name, share = self.rows.commonest
        if score <= share:
            return f"{self._said(score)}, no more than the {share:.2%} of always saying {brief(name)}"
        size = weights_bytes(candidate.path) / 1e6
        if student and bounds.max_megabytes is not None and size > bounds.max_megabytes:
            return f"{size:.3g} MB of weights, more than promotion.max_megabytes, {bounds.max_megabytes:g}"
        if student and self._slow:
            return f"{known.ms_per_text:.2f} ms a text, more than promotion.max_ms_per_text, {bounds.max_ms_per_text:g}"
        return ""

    @property
    def _slow(self) -> bool:
        return self.bounds.max_ms_per_text is not None and self.evidence.ms_per_text > self.bounds.max_ms_per_text

    def _said(self, score: float) -> str:
        return f"{score:.2%} of {self.rows.name} right"

    def _compare(
        self, candidate: "Model", score: float, champion: Version, registry: Registry, context: Context
    ) -> Decision:
        """Compares a candidate with the champion: what each gets right, and of a student what it takes and loses."""
        to_beat = self._written(champion)
        if to_beat is None:
            champion, found = self._measured(champion, registry, context)
            to_beat = found.accuracy
        said, before = self._said(score), f"{to_beat:.2%} of the champion"
        if score < to_beat:
            return Decision(False, f"{said}, below the {before}, version {champion.number}")
        if candidate.role == "student":
            fault = self._growth(candidate, champion, registry) or self._loss(candidate, champion, registry, context)
            if fault:
                return Decision(False, f"{said}, but {fault}")
        return Decision(True, f"{said}, not below the {before} before, version {champion.number}")

    def _growth(self, candidate: "Model", champion: Version, registry: Registry) -> str:
        """What is wrong with a student's size beside the champion's; empty if nothing is."""
        from models.cost import weights_bytes

        most = self.bounds.max_growth
        if most is None:
            return ""
        size, before = weights_bytes(candidate.path), written_bytes(champion.tags)
        if before is None:
            before = weights_bytes(registry.folder(champion))
            registry.tag(champion, {"bytes": str(before)})
        if size <= most * before:
            return ""
        times = f"{size / before:.1f} times the {before / 1e6:.3g} MB of the champion, version {champion.number}"
        return f"its {size / 1e6:.3g} MB of weights are {times}, more than promotion.max_growth, {most:g}"

    def _loss(self, candidate: "Model", champion: Version, registry: Registry, context: Context) -> str:
        """What is wrong with a student's macro-F1 beside the champion's; empty if nothing is."""
        most = self.bounds.max_macro_f1_loss
        if most is None:
            return ""
        before = written_share(champion.tags, "gate_macro_f1")
        if before is None or champion.tags.get("gate_macro_f1_rows") != self.rows.digest:
            before = self._measured(champion, registry, context)[1].macro_f1
        now = self.rows.measure(candidate.path, context).macro_f1
        if before - now <= most + _ROUNDING:
            return ""
        lost = (
            f"macro-F1 falls from the {100 * before:.1f} of the champion, version {champion.number}, to {100 * now:.1f}"
        )
        return f"{lost}, by more than promotion.max_macro_f1_loss, {most:g}"

    def _measured(self, champion: Version, registry: Registry, context: Context) -> tuple[Version, Measured]:
        """The champion on these rows, measured now; what was not written on it yet is from now on."""
        folder = registry.folder(champion)
        try:
            found = self.rows.measure(folder, context)
        except (OSError, ValueError, KeyError) as error:
            raise UnusableVersionError(f"{champion.address} cannot be loaded: {one_line(error)}") from None
        registry.folder(champion)  # the files that were read are still those that were registered
        tags = {"gate_macro_f1": str(found.macro_f1), "gate_macro_f1_rows": self.rows.digest}
        if self._written(champion) is None:
            tags |= {"gate_score": str(found.accuracy), "gate_rows": self.rows.digest}
        return registry.tag(champion, tags), found

    def _written(self, version: Version) -> float | None:
        """The score on these rows that is written on a version, if it is one."""
        return version.gate_score if version.tags.get("gate_rows") == self.rows.digest else None
