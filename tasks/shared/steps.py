"""What a step is: inputs that decide a key, a function that fills a folder, a small record of what is there."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from tasks.shared.defaults.derive import Resolution
from tasks.shared.defaults.facts import DataFacts
from tasks.shared.defaults.resolved import ResolvedRecipe
from tasks.shared.outputs import Json, Output, find_output, hash_of
from tasks.shared.recipe import Recipe
from tasks.shared.verified import changed_files
from tasks.shared.workspace import Workspace

Record = TypeVar("Record")
Advance = Callable[[int], None]
Points = Sequence[tuple[int, float]]


class Stopped(Exception):  # noqa: N818 - nothing went wrong
    """A look at a step's work has shown that going on is not worth it; what was made so far is dropped."""


def never_stops(look: int, accuracy: float) -> None:
    """Looks at dev that stop nothing."""


@dataclass(frozen=True)
class Ahead:
    """What of a run's training is still to come.

    Attributes:
        trainings: how many more there are like this one.
        seeds: of how many seeds the run trains students.
    """

    trainings: int
    seeds: int


@dataclass(frozen=True)
class Job:
    """A step that may be made in a process of its own, with what that process needs to know of the run.

    Attributes:
        step: whose `make` is called there.
        kept: see `Context`.
        ahead: see `Context`.
        looked: see `Context`; the process has a copy of it.
    """

    step: "Step[Any]"
    kept: Path | None = None
    ahead: Ahead | None = None
    looked: Callable[[int, float], None] = never_stops


class Fill(Protocol):
    """What fills a step's folder, as `Step.make` does."""

    def __call__(self, folder: Path, context: "Context") -> Mapping[str, Json]:
        """Fills the folder and returns the facts for the manifest."""


def one_after_the_other(jobs: Sequence[Job]) -> Sequence[Fill]:
    """What makes each of some steps, in this process."""
    return [job.step.make for job in jobs]


@dataclass(frozen=True)
class Context:
    """What a step may use while it works.

    Attributes:
        workspace: where the label store is.
        device: `cpu`, `cuda` or `mps`.
        run: id of the tracked run of this step.
        progress: opens a progress bar of so many units (`progress(5000, "texts")`, None if nobody knows) and gives what
            advances it.
        metrics: tracks a series of (optimiser step, value) under a name.
        warn: tells the person something they can do something about.
        looked: called with the number of a look at dev, from 1, and the accuracy; may raise Stopped.
        kept: where a training of this step keeps its checkpoint until the output is there; None keeps none.
        ahead: what follows a training, of which a long one warns; None where its like was trained in this run before.
        begin: begins steps that do not need each other, side by side where that is faster; gives what waits for each.
    """

    workspace: Workspace
    device: str
    run: str
    progress: Callable[[int | None, str], AbstractContextManager[Advance]]
    metrics: Callable[[str, Points], None]
    warn: Callable[[str], None]
    looked: Callable[[int, float], None] = never_stops
    kept: Path | None = None
    ahead: Ahead | None = None
    begin: Callable[[Sequence[Job]], Sequence[Fill]] = one_after_the_other


@dataclass(frozen=True)
class Unknown:
    """Stands, in a plan, for the record of a step that has not run.

    Attributes:
        title: of what the step will make.
        rows: of each part of the data, where they can be foreseen; else none.
        facts: of the data, likewise; else None.
    """

    title: str
    rows: Mapping[str, int] = field(default_factory=dict)
    facts: DataFacts | None = None


@dataclass(frozen=True)
class Foreseen:
    """What is known of a step's result before it has run: in words, the rows of each part of the data, its facts."""

    note: str = ""
    rows: Mapping[str, int] = field(default_factory=dict)
    facts: DataFacts | None = None


@dataclass(frozen=True)
class Step(ABC, Generic[Record]):
    """One step of a run; its fields are records of earlier steps and parts of the recipe."""

    name: ClassVar[str]
    version: ClassVar[int] = 1
    """To be raised when the same inputs would give another output."""
    measured: ClassVar[frozenset[str]] = frozenset()
    """Files that only measure this machine, left out of the digest."""

    @property
    def title(self) -> str:
        """The name, and which one it is if there are several."""
        return self.name

    @property
    def of_teacher(self) -> int | None:
        """Position, among the recipe's teachers, of the one that the step is about; for a run's record."""
        return None

    @property
    def ready(self) -> bool:
        """Whether all inputs are known; not so in a plan behind a step that has yet to run."""
        values = [getattr(self, each.name) for each in fields(self)]
        return not _unknown(tuple(values))

    @property
    def makes(self) -> str:
        """What it makes, in the words of the records."""
        return self.title

    @property
    def also_makes(self) -> "Sequence[Step[Any]]":
        """Steps whose outputs it makes on the way; whoever carries it out holds their locks too."""
        return ()

    @property
    def one_thread(self) -> bool:
        """Whether it computes on one thread of a processor, so that others like it may be made beside it."""
        return False

    @property
    def work(self) -> tuple[int | None, str]:
        """How many units of work there are at most, if that is known before it begins, and what they are."""
        return None, "units"

    @abstractmethod
    def inputs(self) -> Mapping[str, Json]:
        """Everything that decides the output: options and the digests of inputs."""

    @abstractmethod
    def make(self, folder: Path, context: Context) -> Mapping[str, Json]:
        """Fills the folder and returns the facts for the manifest."""

    @abstractmethod
    def read(self, output: Output) -> Record:
        """The record of a complete output."""

    def stands(self, output: Output, workspace: Workspace) -> bool:
        """Whether what the step did outside its folder is still so; an output that does not stand is made again."""
        return True

    def check(self, record: Record) -> None:
        """Raises StillhouseError where the record must not be built upon."""

    def summary(self, record: Record) -> str:
        """A few words about the result, for the person."""
        return ""

    def foreseen(self) -> Foreseen:
        """The same before the step has run, as far as it can be known in a second; for a plan."""
        return Foreseen()

    def consumed(self) -> Mapping[str, tuple[str, Path]]:
        """Digest and place of the data that the step reads, by name, for the tracker."""
        return {}

    def artifacts(self, output: Output) -> Sequence[Path]:
        """What the tracker keeps a copy of."""
        return ()

    @cached_property
    def decided_by(self) -> dict[str, Json]:
        """What the key is the hash of."""
        return {"step": self.name, "version": self.version, **self.inputs()}

    @property
    def key(self) -> str:
        """The name of the output."""
        return hash_of(self.decided_by)

    def folder(self, workspace: Workspace) -> Path:
        """Where the output is or will be."""
        return workspace.outputs / self.name / self.key[:32]

    def find(self, workspace: Workspace, warn: Callable[[str], None] = lambda said: None) -> Output | None:
        """The output if it is there, whole, as it was written, and stands; `warn` is told of one that was changed."""
        output = find_output(self.folder(workspace))
        changed = changed_files(output, workspace) if output else []
        if changed:
            warn(f"{self.title}: {', '.join(changed[:3])} changed since it was made, so it is made anew")
        return output if output and not changed and self.stands(output, workspace) else None


def _unknown(values: tuple[Any, ...]) -> bool:
    return any(isinstance(value, Unknown) or (isinstance(value, tuple) and _unknown(value)) for value in values)


def suffix_of(what: str, number: int) -> str:
    """What the titles of steps say of the draw of labels, or the candidate, they belong to: nothing of the first."""
    return f", {what} {number}" if number else ""


class Do(Protocol):
    """What carries a step out: runs it or finds it done, and gives its record."""

    def resolve(self, recipe: Recipe, data: DataFacts | None) -> Resolution:
        """A recipe in which what it leaves out is derived from the data; None where that is not known yet."""

    def settle(self, recipe: ResolvedRecipe, *, final: bool) -> None:
        """Takes note of the recipe that the run goes on with; until it is final, dev may choose a part of it."""

    def __call__(self, step: Step[Record]) -> Record:
        """The record of a step."""

    def together(self, steps: "Sequence[Step[Record]]") -> list[Record]:
        """The records of steps that do not need each other."""

    def of_draw(self, number: int) -> "Do":
        """The same for a draw of labels, numbered from 0; the titles of what it does say which, but for the first."""

    def aside(self, suffix: str) -> "Do":
        """The same for what serves a comparison, with words behind its titles that tell it apart from its like."""

    def again(self, step: Step[Any]) -> None:
        """Takes note that a step which was carried out before, perhaps aside, is asked for by what is to come."""

    def spread(self, step: Step[Any], shares: Sequence[Step[Any]]) -> None:
        """Carries out, side by side on a cluster, the shares of a step that is not done; it then has little to do."""
