"""What a run would do: walks the pipeline and looks, without making anything."""

from collections import Counter
from collections.abc import Sequence
from copy import copy
from typing import Any, NamedTuple, cast

from rich.console import Console
from rich.text import Text

from flows.estimates import Estimates
from tasks.shared.pace.words import about
from tasks.shared.steps import Record, Step, Unknown, suffix_of_draw
from tasks.shared.workspace import Workspace

_STYLES = {"reuse": "blue", "run": "cyan", "perhaps": "yellow"}


class Planned(NamedTuple):
    """A step of a plan: what becomes of it, its name and title, and what is known of its result and of its time."""

    state: str
    step: str
    title: str
    note: str
    seconds: float | None


class Planner:
    """Stands in for the runner: a step is reused, runs, or runs perhaps, which takes what an earlier one will give."""

    def __init__(self, workspace: Workspace, force: frozenset[str], estimates: Estimates) -> None:
        """Looks in a workspace, which need not exist; steps named in `force` run in any case."""
        self._workspace = workspace
        self._force = force
        self._estimates = estimates
        self._found: list[Planned] = []
        self._suffix = ""

    def of_draw(self, number: int) -> "Planner":
        """The same plan, whose further steps are of that draw of labels."""
        other = copy(self)
        other._suffix = suffix_of_draw(number)
        return other

    def __call__(self, step: Step[Record]) -> Record:
        """The record of a step that is done, else something unknown."""
        if not step.ready:
            ever = any((self._workspace.outputs / step.name).glob("*"))
            self._add("perhaps" if ever and step.name not in self._force else "run", step)
            return cast(Record, Unknown(step.makes))
        output = None if step.name in self._force else step.find(self._workspace)
        if output is None:
            foreseen = step.foreseen()
            self._add("run", step, foreseen.note)
            return cast(Record, Unknown(step.makes, foreseen.rows))
        record = step.read(output)
        self._add("reuse", step, step.summary(record))
        step.check(record)
        return record

    def _add(self, state: str, step: Step[Any], note: str = "") -> None:
        seconds = None if state == "reuse" else self._estimates.seconds(step)
        self._found.append(Planned(state, step.name, step.title + self._suffix, note, seconds))

    def spread(self, step: Step[Any], shares: Sequence[Step[Any]]) -> None:
        """Shares of a step that is done are not asked for."""
        forced = self._force & {step.name, shares[0].name}
        if forced or not (step.ready and step.find(self._workspace)):
            for share in shares:
                self(share)

    def to_dict(self) -> dict[str, Any]:
        """The plan for programs."""
        count = Counter(found.state for found in self._found)
        return {
            "steps": [found._asdict() for found in self._found],
            "counts": {name: count[name] for name in _STYLES},
            "seconds": sum(found.seconds or 0.0 for found in self._found),
            "of_unknown_time": len(self._untimed),
        }

    @property
    def _untimed(self) -> list[Planned]:
        """Those that run, or run perhaps, for nobody knows how long."""
        return [found for found in self._found if found.state != "reuse" and found.seconds is None]

    def print(self, console: Console) -> None:
        """A line a step, and the sum."""
        for state, _, title, known, seconds in self._found:
            note = "; ".join(
                [*([f"about {about(seconds)}"] if seconds is not None else []), *([known] if known else [])]
            )
            words = f"{title:<26}  " if note else title
            console.print(Text.assemble((f"{state:<8}", _STYLES[state]), words, (note, "dim")), soft_wrap=True)
        count = Counter(found.state for found in self._found)
        after = f", {count['perhaps']} perhaps" if count["perhaps"] else ""
        console.print(f"{count['reuse']} steps to reuse, {count['run']} to run{after}")
        if count["perhaps"]:
            console.print(Text("perhaps: reused if the steps before it give what they gave in an earlier run", "dim"))
        self._print_time(console)

    def _print_time(self, console: Console) -> None:
        timed = [found for found in self._found if found.seconds is not None]
        untimed = f"; of {len(self._untimed)} steps none like them ran here before" if self._untimed else ""
        if timed:
            longest = max(timed, key=lambda found: found.seconds or 0.0)
            total = sum(found.seconds or 0.0 for found in timed)
            what = f"time: about {about(total)}, as in earlier runs here, the longest {longest.title}{untimed}"
            console.print(Text(what, "dim"), soft_wrap=True)
        elif self._untimed:
            what = "time: unknown, none of these steps ran here before; a run warns of a training of more than an hour"
            console.print(Text(what, "dim"), soft_wrap=True)
