"""Steps carried out as a run does it, without Prefect and MLflow: what is there is reused, the rest is made."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tasks.shared.defaults.derive import Resolution, derive
from tasks.shared.defaults.facts import DataFacts
from tasks.shared.defaults.looking import gather
from tasks.shared.defaults.resolved import ResolvedRecipe
from tasks.shared.outputs import Output, make_output
from tasks.shared.recipe import Recipe
from tasks.shared.steps import Advance, Context, Fill, Job, Points, Step, one_after_the_other
from tasks.shared.workspace import Workspace


@dataclass
class Bench:
    """A workspace and what steps told a person while they worked in it.

    Attributes:
        workspace: where outputs are.
        made: titles of the steps that were really made.
        warnings: what they warned of.
        series: what they tracked, by name.
        run: id of the tracked run of all steps.
        stop_after: units of progress after which the person presses Ctrl-C; None for never.
        begin: begins steps that do not need each other.
    """

    workspace: Workspace
    made: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    series: dict[str, Points] = field(default_factory=dict)
    run: str = "no-run"
    stop_after: int | None = None
    begin: Callable[[Sequence[Job]], Sequence[Fill]] = one_after_the_other

    def __call__(self, step: Step[Any]) -> Any:
        """The record of a step."""
        return step.read(self.output(step))

    def output(self, step: Step[Any]) -> Output:
        """The output of a step."""
        return step.find(self.workspace) or self.make(step)

    def together(self, steps: Sequence[Step[Any]]) -> list[Any]:
        """See `Do.together`."""
        missing = [step for step in steps if step.find(self.workspace) is None]
        for step, fill in zip(missing, self.begin([Job(step) for step in missing]), strict=True):
            self.make(step, fill)
        return [self(step) for step in steps]

    def resolve(self, recipe: Recipe, data: DataFacts | None) -> Resolution:
        """See `Do.resolve`."""
        assert data is not None, "load_data has run"
        return derive(recipe, gather(recipe, data, self.workspace.precision, runs=True))

    def settle(self, recipe: ResolvedRecipe, *, final: bool) -> None:
        """Nobody takes note."""

    def of_draw(self, number: int) -> "Bench":
        """Titles are for nobody, here and below."""
        return self

    def aside(self, suffix: str) -> "Bench":
        """See `Do.aside`."""
        return self

    def again(self, step: Step[Any]) -> None:
        """Nobody counts."""

    def spread(self, step: Step[Any], shares: Sequence[Step[Any]]) -> None:
        """There is no cluster; the step itself does all."""

    def make(self, step: Step[Any], fill: Fill | None = None) -> Output:
        """The output of a step, made in any case; by itself, or by what waits for it."""
        self.made.append(step.title)
        folder = step.folder(self.workspace)

        def filled(temporary: Any) -> Mapping[str, Any]:
            return (fill or step.make)(temporary, self.context)

        return make_output(folder, step.key, step.decided_by, filled, measured=step.measured)

    @property
    def context(self) -> Context:
        """What steps may use."""
        return Context(
            self.workspace,
            "cpu",
            self.run,
            self._progress,
            self.series.__setitem__,
            self.warnings.append,
            begin=self.begin,
        )

    @contextmanager
    def _progress(self, total: int | None, unit: str) -> Iterator[Advance]:
        done = 0

        def advance(count: int) -> None:
            nonlocal done
            done += count
            if self.stop_after is not None and done >= self.stop_after:
                raise KeyboardInterrupt

        yield advance
