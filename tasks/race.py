"""Step race: a few candidates for what a recipe leaves out, trained with the first seed, of which dev chooses."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import sqrt
from pathlib import Path
from typing import Any, ClassVar

from tasks.shared.errors import DivergedError
from tasks.shared.history import read_history
from tasks.shared.outputs import Json, Output, make_output, read_versioned, write_json
from tasks.shared.report.content import RACE, RACE_VERSION
from tasks.shared.report.words import changed
from tasks.shared.steps import Ahead, Context, Fill, Job, Step, Stopped
from tasks.train_student import TrainSmall

_WAVE = 2
"""Candidates that are trained side by side; each is measured by those of earlier waves alone, on any machine."""
_SURE = 0.5
"""Share of the looks at dev before which no candidate is stopped: learning rates fall late."""


@dataclass(frozen=True)
class Candidate:
    """How a candidate did.

    Attributes:
        changes: to the recipe, value by path; none of the first.
        dev_accuracy: share of dev that it gets right, by its looks; what it had at the last one of a stopped one.
        state: `done`, `stopped` where it fell behind, `diverged`.
        looks: at dev.
    """

    changes: Mapping[str, Any]
    dev_accuracy: float
    state: str
    looks: int


@dataclass(frozen=True)
class RaceRecord:
    """Which candidate goes on.

    Attributes:
        path: folder with race.json.
        digest: of that folder.
        role: whose race: `student` or `twin`.
        winner: number of the candidate that does best on dev; of equals the first.
        candidates: all of them, in order.
    """

    path: Path
    digest: str
    role: str
    winner: int
    candidates: tuple[Candidate, ...]

    @property
    def looks(self) -> int:
        """At dev, of all candidates together."""
        return sum(candidate.looks for candidate in self.candidates)


@dataclass(frozen=True)
class Race(Step[RaceRecord]):
    """Trains the candidates two by two; one that falls behind those before it is stopped.

    What a candidate that comes to its end makes is the output of its own step, so the winner's first seed is trained
    once. A race that was killed goes on with what ended before, and stops the others where it would have stopped them.
    """

    name: ClassVar[str] = "race"
    candidates: tuple[TrainSmall, ...]
    changes: tuple[Mapping[str, Any], ...]
    dev_rows: int

    @property
    def title(self) -> str:
        """Whose race."""
        return f"{self.name} of {self._role}s"

    @property
    def _role(self) -> str:
        return self.candidates[0].role

    @property
    def ready(self) -> bool:
        """Whether all candidates could be trained."""
        return all(candidate.ready for candidate in self.candidates)

    @property
    def also_makes(self) -> Sequence[TrainSmall]:
        """The candidates' own outputs."""
        return self.candidates

    @property
    def work(self) -> tuple[int | None, str]:
        """The optimiser steps of all candidates."""
        steps = [candidate.work[0] for candidate in self.candidates]
        return None if None in steps else sum(count or 0 for count in steps), "steps"

    def inputs(self) -> Mapping[str, Json]:
        """The candidates."""
        return {"candidates": [candidate.key for candidate in self.candidates], "changes": list(self.changes)}

    def make(self, folder: Path, context: Context) -> Mapping[str, Json]:
        """Writes race.json."""
        found: list[dict[str, Json]] = []
        best: list[float] = []
        for first in range(0, len(self.candidates), _WAVE):
            ends = list(self._wave(range(len(self.candidates))[first : first + _WAVE], best, context))
            for state, seen in ends:
                found.append({"changes": self.changes[len(found)], "state": state, "dev_accuracy": seen})
                if state == "done" and (not best or max(seen) > max(best)):
                    best = seen
        if not best:
            raise FloatingPointError("no candidate's loss stays finite; lower training.learning_rate")
        winner = next(n for n, one in enumerate(found) if one["state"] == "done" and one["dev_accuracy"] == best)
        write_json(folder / RACE, {"version": RACE_VERSION, "role": self._role, "winner": winner, "candidates": found})
        return {"winner": winner, "looks": sum(len(one["dev_accuracy"]) for one in found)}

    def _wave(
        self, numbers: Sequence[int], best: Sequence[float], context: Context
    ) -> Iterator[tuple[str, list[float]]]:
        """How candidates end that are trained side by side, and their accuracies on dev."""
        there = {number: self.candidates[number].find(context.workspace) for number in numbers}
        missing = [number for number in numbers if there[number] is None]
        paces = {number: Pace(best, [], self.dev_rows) for number in numbers}
        jobs = [
            Job(self.candidates[number], self._kept(number, context), self._ahead(number, context), paces[number])
            for number in missing
        ]
        fills = dict(zip(missing, context.begin(jobs), strict=True))
        for number in numbers:
            output = there[number]
            try:
                if output is None:
                    self._train(number, fills[number], paces[number], context)
                else:
                    _pass_again(output, paces[number])
            except Stopped:
                yield "stopped", paces[number].seen
            except (FloatingPointError, DivergedError):
                yield "diverged", paces[number].seen
            else:
                yield "done", paces[number].seen

    def _train(self, number: int, fill: Fill, pace: "Pace", context: Context) -> Output:
        own = replace(
            context,
            looked=pace,
            kept=self._kept(number, context),
            ahead=self._ahead(number, context),
            metrics=lambda name, points: context.metrics(f"{name}_of_candidate_{number}", points),
        )
        candidate = self.candidates[number]
        made = (candidate.key, candidate.decided_by, partial(fill, context=own), context.run, candidate.measured)
        return make_output(candidate.folder(context.workspace), *made)

    def _ahead(self, number: int, context: Context) -> Ahead | None:
        """What follows; the first candidate alone warns of it."""
        return None if number else context.ahead

    def _kept(self, number: int, context: Context) -> Path | None:
        return context.kept and context.kept / self.candidates[number].folder(context.workspace).name

    def read(self, output: Output) -> RaceRecord:
        """The record of the race."""
        content = read_versioned(output.path / RACE, RACE_VERSION)
        candidates = tuple(
            Candidate(one["changes"], max(one["dev_accuracy"], default=0.0), one["state"], len(one["dev_accuracy"]))
            for one in content["candidates"]
        )
        return RaceRecord(output.path, output.digest, content["role"], content["winner"], candidates)

    def artifacts(self, output: Output) -> Sequence[Path]:
        """What came out."""
        return [output.path / RACE]

    def summary(self, record: RaceRecord) -> str:
        """The winner, and what each got."""
        ends = {"done": "", "stopped": " (stopped early)", "diverged": " (diverged)"}
        others = ", ".join(
            f"{changed(candidate.changes)} {candidate.dev_accuracy:.1%}{ends[candidate.state]}"
            for candidate in record.candidates
        )
        return f"accuracy on dev: {others}; chosen: {changed(record.candidates[record.winner].changes)}"


def _pass_again(output: Output, pace: "Pace") -> None:
    """Measures a candidate that was trained before as if it were now: whatever there is, the same one wins."""
    history = read_history(output.path)
    for look, (_, accuracy) in enumerate(history["dev_accuracy"] if history else [], start=1):
        pace(look, accuracy)


@dataclass(frozen=True)
class Pace:
    """Takes note of looks at dev; raises Stopped where a candidate is behind the best so far by more than chance.

    Attributes:
        best: accuracies of the best so far, by look; empty for the first candidate.
        seen: those of this one, which are added to.
        rows: of dev.
    """

    best: Sequence[float]
    seen: list[float]
    rows: int

    def __call__(self, look: int, accuracy: float) -> None:
        """Takes note of a look."""
        self.seen.append(accuracy)
        if look > len(self.best) or look < _SURE * len(self.best) or look == len(self.best):
            return
        there = max(self.best[:look])
        chance = sqrt(max(there * (1 - there), 1 / self.rows) / self.rows)
        if max(self.seen) < there - chance:
            raise Stopped
