"""Carrying steps out: reuse what is there, else run it as a Prefect task that MLflow tracks."""

import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from prefect import Task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.states import Completed

from flows.cluster import Said, make_there, open_cluster
from flows.console import View
from flows.progress import published
from flows.run_links import prefect_tags, publish, tracked_run
from tasks.race import Race
from tasks.shared.defaults.derive import Resolution, derive
from tasks.shared.defaults.facts import DataFacts
from tasks.shared.defaults.looking import gather
from tasks.shared.defaults.resolved import ResolvedRecipe
from tasks.shared.devices import pick_device
from tasks.shared.errors import DivergedError, StillhouseError
from tasks.shared.history import read_history
from tasks.shared.outputs import Output, locked, make_output
from tasks.shared.recipe import Recipe
from tasks.shared.resources import RAY, STEPS, Resource
from tasks.shared.side_by_side import SideBySide
from tasks.shared.steps import (
    Advance,
    Ahead,
    Context,
    Fill,
    Job,
    Points,
    Record,
    Step,
    Stopped,
    never_stops,
    suffix_of,
)
from tasks.shared.tracking import Tracker
from tasks.shared.workspace import Workspace
from tasks.train_student import TrainSmall

_SMALL = frozenset({"train_student", "train_twin", "train_scratch", "train_unaugmented"})

Made = TypeVar("Made")


def prefect_task(step: Step[Any], title: str, work: Callable[[], Made], resource: Resource) -> Task[[], Made]:
    """The Prefect task of a step: its name, and its tag from the resource table; what fails would fail again."""
    return Task(
        fn=work,
        name=step.name,
        task_run_name=title,
        tags=[resource.tag],
        cache_policy=NO_CACHE,
        persist_result=False,
    )


@dataclass
class Runner:
    """Carries out the steps of one run, one after the other, in this process.

    Attributes:
        workspace: where outputs are.
        view: where a person watches.
        tracker: where runs are tracked.
        parent: the tracked run of the flow.
        run: id of the run.
        flow_run: id of the Prefect flow run.
        device: as the recipe says it.
        force: names of steps that are made anew.
        own_server: whether the Prefect server serves this run alone, so that its tag limits do.
        trainers: the processes in which small models are trained side by side.
        done: what has happened so far, for the run's record.
        records: what the steps gave, in the same order.
        after: called when a step has ended.
        settled: called with the recipe that the run goes on with, and whether no race may change it any more.
        suffix: of the titles under which steps are shown and tracked.
        beside: whether what it does now serves a comparison alone.
        draw: of labels, that the steps belong to; numbered from 0.
        looked: called at each look at dev of a training; may raise Stopped, which a step passes on.
        trainings: of small models that the run carries out in all.
        seeds: of how many seeds it trains students.
    """

    workspace: Workspace
    view: View
    tracker: Tracker
    parent: str
    run: str
    flow_run: str
    device: str
    force: frozenset[str]
    own_server: bool
    trainers: SideBySide
    done: list[dict[str, Any]] = field(default_factory=list)
    records: list[Any] = field(default_factory=list)
    after: Callable[[], None] = lambda: None
    settled: Callable[[ResolvedRecipe, bool], None] = lambda recipe, final: None
    suffix: str = ""
    beside: bool = False
    draw: int = 0
    looked: Callable[[int, float], None] = never_stops
    trainings: int = 1
    seeds: int = 1

    def __call__(self, step: Step[Record]) -> Record:
        """Reuses or runs a step and gives its record."""
        began = time.monotonic()
        output = self._find(step, self.view.warn)
        state = "reused"
        if output is None:
            with self._held(step):
                output = self._find(step)  # another run may have made it while this one waited
                if output is None:
                    state, output = "done", self._make(step, step.make)
        return self._ended(step, output, state, time.monotonic() - began)

    def together(self, steps: Sequence[Step[Record]]) -> list[Record]:
        """Reuses, or makes side by side, steps that do not need each other; see `Do.together`."""
        missing = [step for step in steps if self._find(step, self.view.warn) is None]
        with self._held(*missing):
            missing = [step for step in missing if self._find(step) is None]  # another run may have made some of them
            jobs = [Job(step, self._kept(step), self._ahead(step), self.looked) for step in missing]
            count = self.trainers.at_a_time(jobs)
            fills = dict(zip((step.key for step in missing), self.trainers.begin(jobs), strict=True))
            return [
                self._made_beside(step, fills[step.key], count) if step.key in fills else self(step) for step in steps
            ]

    def _made_beside(self, step: Step[Record], fill: Fill, count: int) -> Record:
        """The record of a step that is made side by side with others, so many at a time."""
        began = time.monotonic()
        output = self._make(step, fill)
        history = read_history(output.path)  # it took longer than was waited for it
        seconds = max(time.monotonic() - began, history["seconds"] if history else 0.0)
        return self._ended(step, output, "done", seconds, count)

    def resolve(self, recipe: Recipe, data: DataFacts | None) -> Resolution:
        """See `Do.resolve`."""
        if data is None:
            raise ValueError("the facts of the data are known once load_data has run")
        return derive(recipe, gather(recipe, data, self.workspace.precision, runs=True))

    def settle(self, recipe: ResolvedRecipe, *, final: bool) -> None:
        """See `Do.settle`."""
        self.settled(recipe, final)

    def of_draw(self, number: int) -> "Runner":
        """The same run, whose further steps are of that draw of labels."""
        return replace(self, draw=number, suffix=suffix_of("draw", number), beside=False)

    def aside(self, suffix: str) -> "Runner":
        """See `Do.aside`."""
        return replace(self, suffix=self.suffix + suffix, beside=True)

    def again(self, step: Step[Any]) -> None:
        """See `Do.again`."""
        for entry in self.done:
            if not self.beside and entry["key"] == step.key:
                entry.pop("aside", None)

    def _title(self, step: Step[Any]) -> str:
        return step.title + self.suffix

    def spread(self, step: Step[Any], shares: Sequence[Step[Any]]) -> None:
        """Carries out the shares of a step side by side on Ray, unless the step is done; see `Do.spread`."""
        if self._find(step) and shares[0].name not in self.force:
            return
        with ExitStack() as held:
            for share in shares:
                held.enter_context(self._held(share))
            missing = []
            for share in shares:
                output = self._find(share)
                if output:
                    self._ended(share, output, "reused", 0.0)
                else:
                    missing.append(share)
            if missing:
                self._spread(step, missing, len(shares))

    def _spread(self, step: Step[Any], shares: Sequence[Step[Any]], count: int) -> None:
        self.view.starting(f"{self._title(step)} on Ray")
        began = time.monotonic()
        runs: list[str] = []
        finished, status = set[str](), "KILLED"
        alone = nullcontext() if os.environ.get("RAY_ADDRESS") else self._slot(step)  # this machine's GPU
        try:
            for share in shares:
                runs.append(self.tracker.start(self._title(share), self._tags(share, "done"), self.parent))
            with (
                alone,
                self.view.working(self._title(step)),
                open_cluster(self.device) as cluster,
                self._progress(step, *step.work) as advance,
            ):
                if cluster.places > count:
                    idle = f"the cluster has {cluster.places} places for {count} shares"
                    self.view.warn(f"{idle}; a higher labelling.shards uses them")
                place = (self.workspace.root, cluster.device, cluster.tally)
                tasks = [
                    prefect_task(
                        share,
                        self._title(share),
                        partial(make_there, share, run, tracked_run(self.tracker, run), *place),
                        RAY,
                    )
                    for share, run in zip(shares, runs, strict=True)
                ]
                warnings: list[str] = []
                for number, said in cluster.carry_out(tasks, advance):
                    self._take_in(shares[number], runs[number], said, time.monotonic() - began)
                    finished.add(runs[number])
                    warnings += said.warnings
            if warnings:
                more = f" ({len(warnings) - 1} other shares say the like)" if len(warnings) > 1 else ""
                self.view.warn(warnings[0] + more)
        except BaseException as error:
            failed = isinstance(error, Exception)
            status = "FAILED" if failed else "KILLED"
            self.view.line("failed" if failed else "interrupted", f"{self._title(step)} on Ray")
            raise
        finally:
            for run in set(runs) - finished:
                with suppress(Exception):
                    self.tracker.finish(run, status)

    def _take_in(self, share: Step[Any], run: str, said: Said, seconds: float) -> None:
        """Tracks what a worker made."""
        folder = share.folder(self.workspace)
        for left in folder.parent.glob(f".{folder.name}.*"):  # of a worker that died
            shutil.rmtree(left, ignore_errors=True)
        output = share.find(self.workspace)
        if output is None:
            raise StillhouseError(
                f"{self._title(share)}: what a worker made is not to be seen in {self.workspace.root}"
            )
        self.tracker.tag(run, {"prefect.task_run_id": said.task_run})
        self._track(run, share, output)
        self.tracker.finish(run, "FINISHED")
        self._ended(share, output, "done", seconds)

    def _ended(self, step: Step[Record], output: Output, state: str, seconds: float, at_a_time: int = 1) -> Record:
        record = step.read(output)
        if state == "reused":
            self._note_reused(step, output)
        self.records.append(record)
        entry = _entry(step, self._title(step), output, state, seconds)
        entry |= {"draw": self.draw, "teacher": step.of_teacher, "note": step.summary(record)}
        entry |= {"aside": True} if self.beside else {}
        self.done.append(entry | ({"at_a_time": at_a_time} if at_a_time > 1 else {}))
        self.after()
        self.view.line(state, self._title(step), step.summary(record), None if state == "reused" else seconds)
        try:
            step.check(record)
        except StillhouseError:
            self.view.line("failed", self._title(step))
            raise
        return record

    def made(self, kind: type[Made]) -> list[Made]:
        """The records of one kind that the steps gave so far, those aside left out."""
        ended = zip(self.records, self.done, strict=True)
        return [record for record, entry in ended if isinstance(record, kind) and not entry.get("aside")]

    @contextmanager
    def _held(self, *steps: Step[Any]) -> Iterator[None]:
        """The locks of what steps make: two runs that want the same wait for one.

        All are taken before the tag's slot and in one order, so that no two runs wait for each other.
        """
        found = {}
        for step in steps:
            for made in (step, *step.also_makes):
                found[f"{made.name}-{made.folder(self.workspace).name}.lock"] = step
        with ExitStack() as held:
            for name in sorted(found):
                held.enter_context(locked(self.workspace.locks / name, partial(self._waiting, found[name])))
            yield

    def _find(self, step: Step[Any], warn: Callable[[str], None] = lambda said: None) -> Output | None:
        return None if step.name in self.force else step.find(self.workspace, warn)

    def _waiting(self, step: Step[Any], owner: str) -> None:
        self.view.line("waiting", self._title(step), f"{owner} is making it")

    @contextmanager
    def _slot(self, step: Step[Any]) -> Iterator[None]:
        """Keeps the tag's limit where no server sees all runs: with a lock, which a killed run cannot keep."""
        resource = STEPS[step.name]
        if self.own_server and resource.limit:
            # Named for the machine: several may share the workspace.
            lock = self.workspace.locks / f"{resource.tag}-{socket.gethostname()}.lock"
            with locked(lock, partial(self._waiting_for, step)):
                yield
        else:
            yield

    def _waiting_for(self, step: Step[Any], owner: str) -> None:
        # Of machines with a GPU and without: the limit is one such process at a time on either.
        busy = f"{owner} is training or labelling, and a machine does one of that at a time"
        self.view.line("waiting", self._title(step), busy)

    def _make(self, step: Step[Any], fill: Fill) -> Output:
        self.view.starting(self._title(step))
        began = time.monotonic()
        try:
            with self._slot(step), self.view.working(self._title(step)):
                made = prefect_task(step, self._title(step), partial(self._work, step, fill), STEPS[step.name])()
        except Exception:
            self.view.line("failed", self._title(step))
            raise
        except BaseException:
            self.view.line("interrupted", self._title(step), self._left(step), time.monotonic() - began)
            raise
        if made is None:
            self.view.line("stopped", self._title(step), "others did better", time.monotonic() - began)
            raise Stopped
        return made

    def _left(self, step: Step[Any]) -> str:
        """What is left of a step that was interrupted."""
        kept = self._kept(step)
        if not kept.exists():  # as of most steps: torch takes seconds to import, and somebody waits
            return ""
        from models.checkpoint import kept_step

        at = kept_step(kept)
        return f"its checkpoint of step {at:,} is kept" if at else ""

    def _work(self, step: Step[Any], fill: Fill) -> Output | None:
        """What the step made; None where it was stopped, which for Prefect is no failure."""
        run = self.tracker.start(self._title(step), self._tags(step, "done"), self.parent)
        status = "KILLED"
        series: list[tuple[str, Points]] = []  # tracked once the output is whole: a server must not cost a training
        try:
            publish(tracked_run(self.tracker, run))
            context = Context(
                workspace=self.workspace,
                device=pick_device(self.device),
                run=run,
                progress=partial(self._progress, step),
                metrics=lambda name, points: series.append((name, points)),
                warn=self.view.warn,
                looked=self.looked,
                kept=self._kept(step),
                ahead=self._ahead(step),
                begin=self.trainers.begin,
            )
            made = (step.key, step.decided_by, partial(fill, context=context), run, step.measured)
            output = make_output(step.folder(self.workspace), *made)
            shutil.rmtree(self._kept(step), ignore_errors=True)
            for name, points in series:
                self.tracker.metrics(run, name, points)
            self._track(run, step, output)
            status = "FINISHED"
            return output
        except Stopped:
            shutil.rmtree(self._kept(step), ignore_errors=True)
            self.tracker.tag(run, {"stillhouse.state": "stopped"})
            return None
        except Exception as error:
            status = "FAILED"
            if isinstance(error, FloatingPointError):
                shutil.rmtree(self._kept(step), ignore_errors=True)  # it would only lead there again
                raise DivergedError(f"{self._title(step)}: {error}") from None
            raise
        finally:
            # A full disk refuses this too, and must not hide what went wrong before.
            with nullcontext() if status == "FINISHED" else suppress(Exception):
                self.tracker.finish(run, status)

    def _ahead(self, step: Step[Any]) -> Ahead | None:
        """What follows a training; None where one like it was carried out, so that whoever watches knows."""
        if not isinstance(step, TrainSmall | Race):
            return Ahead(0, 1)
        ended = [done["state"] for done in self.done if done["step"] in _SMALL]
        if "done" in ended or any(done["step"] == Race.name for done in self.done):
            return None
        losers = len(step.candidates) - 1 if isinstance(step, Race) else 0
        return Ahead(max(0, self.trainings - len(ended) - 1) + losers, self.seeds)

    def _kept(self, step: Step[Any]) -> Path:
        return self.workspace.trainings / step.folder(self.workspace).name

    def _progress(self, step: Step[Any], total: int | None, unit: str) -> AbstractContextManager[Advance]:
        shown = self.view.progress(self._title(step), total, unit)
        return shown if self.own_server else published(shown, step.name, total, unit)

    def _track(self, run: str, step: Step[Any], output: Output) -> None:
        self.tracker.tag(
            run, {"stillhouse.digest": output.digest, "stillhouse.path": self.workspace.relative(output.path)}
        )
        self.tracker.params(run, {name: value for name, value in step.decided_by.items() if value})
        facts = output.facts.items()
        self.tracker.values(run, {f"output.{name}": float(v) for name, v in facts if isinstance(v, (int, float))})
        consumed = step.consumed()
        if consumed:
            self.tracker.inputs(run, consumed, step.name)
        for path in step.artifacts(output):
            self.tracker.artifact(run, path)

    def _tags(self, step: Step[Any], state: str) -> dict[str, str]:
        tags = {"stillhouse.step": step.name, "stillhouse.state": state, "stillhouse.key": step.key}
        return tags | {"stillhouse.run": self.run} | prefect_tags(self.own_server)

    def _note_reused(self, step: Step[Any], output: Output) -> None:
        """A child that points to the run that made the output, and a task run in state Reused."""
        tags = self._tags(step, "reused") | {"stillhouse.digest": output.digest}
        if output.made_by:
            tags["stillhouse.made_by"] = output.made_by
        self.tracker.finish(self.tracker.start(self._title(step), tags, self.parent), "FINISHED")
        with get_client(sync_client=True) as client:
            client.create_task_run(
                task=prefect_task(step, self._title(step), lambda: output, STEPS[step.name]),
                flow_run_id=self.flow_run,  # type: ignore[arg-type]
                dynamic_key=step.key,
                name=self._title(step),
                extra_tags=["reused"],
                state=Completed(name="Reused", message=f"found {output.path}, made by MLflow run {output.made_by}"),
            )


def _entry(step: Step[Any], title: str, output: Output, state: str, seconds: float) -> dict[str, Any]:
    return {
        "step": step.name,
        "title": title,
        "state": state,
        "seconds": round(seconds, 1),
        "key": output.key,
        "digest": output.digest,
        "path": str(output.path),
    }
