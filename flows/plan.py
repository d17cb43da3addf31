"""What a run would do: walks the pipeline and looks, without making anything."""

from collections import Counter
from collections.abc import Sequence
from copy import copy
from typing import Any, cast

from rich.console import Console
from rich.text import Text

from tasks.shared.steps import Record, Step, Unknown, suffix_of_draw
from tasks.shared.workspace import Workspace

_STYLES = {"reuse": "blue", "run": "cyan", "depends": "yellow"}


class Planner:
    """Stands in for the runner: a step is reused, runs, or depends on what an earlier one will give."""

    def __init__(self, workspace: Workspace, force: frozenset[str]) -> None:
        """Looks in a workspace, which need not exist; steps named in `force` run in any case."""
        self._workspace = workspace
        self._force = force
        self._found: list[tuple[str, str]] = []
        self._suffix = ""

    def of_draw(self, number: int) -> "Planner":
        """The same plan, whose further steps are of that draw of labels."""
        other = copy(self)
        other._suffix = suffix_of_draw(number)
        return other

    def __call__(self, step: Step[Record]) -> Record:
        """The record of a step that is done, else something unknown."""
        if not step.ready:
            self._found.append(("depends", step.title + self._suffix))
            return cast(Record, Unknown(step.makes))
        output = None if step.name in self._force else step.find(self._workspace)
        self._found.append(("reuse" if output else "run", step.title + self._suffix))
        if output is None:
            return cast(Record, Unknown(step.makes))
        record = step.read(output)
        step.check(record)
        return record

    def spread(self, step: Step[Any], shares: Sequence[Step[Any]]) -> None:
        """Shares of a step that is done are not asked for."""
        forced = self._force & {step.name, shares[0].name}
        if forced or not (step.ready and step.find(self._workspace)):
            for share in shares:
                self(share)

    def print(self, console: Console) -> None:
        """A line a step, and the sum."""
        for state, title in self._found:
            console.print(Text.assemble((f"{state:<8}", _STYLES[state]), title))
        count = Counter(state for state, _ in self._found)
        after = f", {count['depends']} that depend on them" if count["depends"] else ""
        console.print(f"{count['reuse']} steps to reuse, {count['run']} to run{after}")
        if count["depends"]:
            console.print(Text("A step that depends is still reused where its inputs come out as they were.", "dim"))
