"""Steps carried out as a run does it, without Prefect and MLflow: what is there is reused, the rest is made."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tasks.shared.outputs import Output, make_output
from tasks.shared.steps import Advance, Context, Points, Step
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
    """

    workspace: Workspace
    made: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    series: dict[str, Points] = field(default_factory=dict)
    run: str = "no-run"
    stop_after: int | None = None

    def __call__(self, step: Step[Any]) -> Any:
        """The record of a step."""
        return step.read(self.output(step))

    def output(self, step: Step[Any]) -> Output:
        """The output of a step."""
        return step.find(self.workspace) or self.make(step)

    def make(self, step: Step[Any]) -> Output:
        """The output of a step, made in any case."""
        self.made.append(step.title)
        folder = step.folder(self.workspace)

        def fill(temporary: Any) -> Mapping[str, Any]:
            return step.make(temporary, self.context)

        return make_output(folder, step.key, step.decided_by, fill, measured=step.measured)

    @property
    def context(self) -> Context:
        """What steps may use."""
        return Context(self.workspace, "cpu", self.run, self._progress, self.series.__setitem__, self.warnings.append)

    @contextmanager
    def _progress(self, total: int | None, unit: str) -> Iterator[Advance]:
        done = 0

        def advance(count: int) -> None:
            nonlocal done
            done += count
            if self.stop_after is not None and done >= self.stop_after:
                raise KeyboardInterrupt

        yield advance
