"""What a run would do: walks the pipeline and looks, without making anything."""

from collections import Counter
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

from rich.console import Console
from rich.text import Text

from flows.estimates import Estimates
from tasks.shared.defaults.candidates import Changes
from tasks.shared.defaults.derive import Derived, Resolution, derive
from tasks.shared.defaults.facts import DataFacts
from tasks.shared.defaults.looking import gather
from tasks.shared.defaults.resolved import ResolvedRecipe
from tasks.shared.pace.words import about
from tasks.shared.plain_yaml import as_yaml
from tasks.shared.recipe import Recipe
from tasks.shared.report.words import changed
from tasks.shared.steps import Record, Step, Unknown, suffix_of
from tasks.shared.workspace import Workspace

_SOME_DATA = DataFacts(classes=2, gold=10_000, dev=2_500, transfer=10_000, tokens=30.0)
"""Stands, where rows are counted only when they are loaded, for what steps of the plan are made of."""
_STYLES = {"reuse": "blue", "run": "cyan", "perhaps": "yellow"}


class Planned(NamedTuple):
    """A step of a plan: what becomes of it, its name and title, and what is known of its result and of its time."""

    state: str
    step: str
    title: str
    note: str
    seconds: float | None


@dataclass
class _Known:
    """What all parts of a plan share: what was derived, whether of known data, and how long steps took."""

    derived: Sequence[Derived] = ()
    raced: Mapping[str, Sequence[Changes]] = field(default_factory=dict)
    of_data: bool = True
    estimates: Estimates | None = None


class Planner:
    """Stands in for the runner: a step is reused, runs, or runs perhaps, which takes what an earlier one will give."""

    def __init__(self, workspace: Workspace, force: frozenset[str], runs: Sequence[Mapping[str, Any]]) -> None:
        """Looks in a workspace, which need not exist.

        Args:
            workspace: where outputs would be.
            force: steps that run in any case.
            runs: records of earlier ones, the latest first.
        """
        self._workspace = workspace
        self._force = force
        self._runs = runs
        self._known = _Known()
        self._found: list[Planned] = []
        self._suffix = ""

    def resolve(self, recipe: Recipe, data: DataFacts | None) -> Resolution:
        """See `Do.resolve`; of data that is not known yet, what is derived serves this plan alone and is not shown."""
        if self._known.estimates is None:
            self._known.estimates = Estimates(self._runs, recipe)
        facts = gather(recipe, data or _SOME_DATA, self._workspace.precision, runs=False)
        found = derive(recipe, facts)
        self._known.of_data = data is not None
        if data is not None:
            self._known.derived = found.derived
            asked = {"students": found.students, "twins": found.twins}
            self._known.raced = {role: candidates for role, candidates in asked.items() if len(candidates) > 1}
        return found

    def settle(self, recipe: ResolvedRecipe, *, final: bool) -> None:
        """See `Do.settle`."""
        self._known.estimates = Estimates(self._runs, recipe)

    def of_draw(self, number: int) -> "Planner":
        """The same plan, whose further steps are of that draw of labels."""
        return self.aside(suffix_of("draw", number))

    def again(self, step: Step[Any]) -> None:
        """See `Do.again`."""

    def aside(self, suffix: str) -> "Planner":
        """See `Do.aside`."""
        other = copy(self)
        other._suffix = self._suffix + suffix
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
            return cast(Record, Unknown(step.makes, foreseen.rows, foreseen.facts))
        record = step.read(output)
        self._add("reuse", step, step.summary(record))
        step.check(record)
        return record

    def together(self, steps: Sequence[Step[Record]]) -> list[Record]:
        """See `Do.together`."""
        return [self(step) for step in steps]

    def _add(self, state: str, step: Step[Any], note: str = "") -> None:
        estimates = self._known.estimates
        seconds = None if state == "reuse" or estimates is None else estimates.seconds(step)
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
            "derived": [one._asdict() for one in self._known.derived],
            "raced": {role: list(candidates) for role, candidates in self._known.raced.items()},
        }

    @property
    def _untimed(self) -> list[Planned]:
        """Those that run, or run perhaps, for nobody knows how long."""
        return [found for found in self._found if found.state != "reuse" and found.seconds is None]

    def print(self, console: Console) -> None:
        """What the recipe leaves out, a line a step, and the sum."""
        if not self._known.of_data:
            said = (
                "values that the recipe leaves out follow once load_data has counted the rows; these steps are a guess"
            )
            console.print(Text.assemble(("derived ", "magenta"), (said, "dim")), soft_wrap=True)
        for path, value, why in self._known.derived:
            if why:
                shown = f"{path:<26}  {as_yaml(value):<16}"
                console.print(Text.assemble(("derived ", "magenta"), shown, (f"  {why}", "dim")), soft_wrap=True)
        for role, candidates in self._known.raced.items():
            among = " | ".join(changed(candidate) for candidate in candidates)
            console.print(Text.assemble(("dev     ", "magenta"), f"{f'chooses {role}':<26}  {among}"), soft_wrap=True)
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
        new = len(self._untimed)
        rest = f", and what {new} step{'s' * (new > 1)} of a kind that never ran here will take" if new else ""
        if timed:
            longest = max(timed, key=lambda found: found.seconds or 0.0)
            total = sum(found.seconds or 0.0 for found in timed)
            what = f"time: about {about(total)}, as in earlier runs here, the longest {longest.title}{rest}"
            console.print(Text(what, "dim"), soft_wrap=True)
        elif self._untimed:
            what = "time: unknown, none of these steps ran here before; a run warns of a training of more than an hour"
            console.print(Text(what, "dim"), soft_wrap=True)
