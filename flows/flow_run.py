"""One flow run, from its lock and its tracked parent to its record: what every flow here does around its steps."""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect.logging.handlers import APILogHandler
from prefect.runtime import flow_run
from rich.console import Console

from flows.console import View, log, logging_to
from flows.interruption import Interruption
from flows.killed import close_killed_runs
from flows.limits import make_limits
from flows.outcome import Outcome
from flows.publishing import publish_inputs, publish_result
from flows.record_paths import to_file
from flows.records import RECIPE, RECORD, SCHEMA, lock_run, new_run_id
from flows.run_links import prefect_tags, publish, tracked_run
from flows.running import Runner
from tasks.judge import BASELINES, ResultRecord
from tasks.label import LabelRecord
from tasks.label_shard import ShardRecord
from tasks.register import RegisterRecord
from tasks.report import ReportRecord
from tasks.shared.dataset import DataRecord
from tasks.shared.defaults.resolved import ResolvedRecipe
from tasks.shared.errors import chain_of, one_line
from tasks.shared.outputs import replacing, write_json
from tasks.shared.prefect_server import prepare_environment
from tasks.shared.recipe import Recipe
from tasks.shared.recipe_file import GIVEN, recipe_to_yaml
from tasks.shared.side_by_side import SideBySide, side_by_side
from tasks.shared.tracking import Tracker
from tasks.shared.workspace import Workspace, open_workspace

LOG = "log.txt"


@dataclass(frozen=True)
class Session:
    """What the command line adds to a recipe; a run of a worker has none.

    Attributes:
        run: the run's id, whose lock the command holds already.
        view: where a person watches.
        force: names of steps that are made anew.
        own_server: whether the Prefect server is this run's own, and ends with it.
        interruption: is told what to do where the command is interrupted and the run cannot be closed.
    """

    run: str
    view: View
    force: frozenset[str]
    own_server: bool
    interruption: Interruption


session: ContextVar[Session | None] = ContextVar("session", default=None)


def flow_run_name() -> str:
    """The name of the flow run that begins now, for Prefect: the id of the run."""
    watched = session.get()
    # Plain data where the orchestrator's API was given some; the flow itself gets a validated recipe.
    recipe = Recipe.model_validate(flow_run.parameters["recipe"])
    name = recipe.name if flow_run.flow_name == "distill" else f"{recipe.name}-{flow_run.flow_name}"
    return watched.run if watched else new_run_id(name)


def carry_out(recipe: Recipe, pipeline: Callable[[Recipe, Runner], object]) -> Path:
    """Carries out a pipeline inside a Prefect flow.

    Returns:
        The folder of the run, with its record, recipe and log.
    """
    watched = session.get()
    workspace = open_workspace()
    prepare_environment(workspace)
    run = re.sub(r"[^\w.-]", "-", flow_run.name or new_run_id(recipe.name))
    with nullcontext() if watched else lock_run(workspace, run):
        folder = workspace.runs / run
        folder.mkdir(parents=True, exist_ok=True)  # there already where the orchestrator tries a run again
        for name in (GIVEN, RECIPE):  # the second becomes the whole one, once the data are known
            (folder / name).write_text(recipe_to_yaml(recipe), encoding="utf-8")
        with (
            logging_to(folder / LOG),
            nullcontext() if watched and watched.own_server else _logging_to_prefect(),
            side_by_side(workspace, recipe.device) as trainers,
        ):
            _Run(folder, recipe, workspace, watched, trainers).carry_out(pipeline)
    return folder


@contextmanager
def _logging_to_prefect() -> Iterator[None]:
    """Sends what the view says to the flow run's page too."""
    handler = APILogHandler()
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)


class _Run:
    def __init__(
        self, folder: Path, recipe: Recipe, workspace: Workspace, watched: Session | None, trainers: SideBySide
    ) -> None:
        self._folder = folder
        self._given = self._recipe = recipe
        self._workspace = workspace
        self._began = time.time()
        self._tracker = Tracker(workspace, recipe.name)
        own_server = watched is not None and watched.own_server
        if not own_server:
            make_limits()
        close_killed_runs(workspace, self._tracker, folder.name, own_server)
        tags = {"stillhouse.run": folder.name, "stillhouse.flow": str(flow_run.flow_name), **prefect_tags(own_server)}
        self._parent = self._tracker.start(folder.name, tags)
        if watched:
            watched.interruption.last_words = self._cut_off
        self._runner = Runner(
            workspace=workspace,
            view=watched.view if watched else View(Console(quiet=True)),
            tracker=self._tracker,
            parent=self._parent,
            run=folder.name,
            flow_run=str(flow_run.id),
            device=recipe.device,
            force=watched.force if watched else frozenset(),
            own_server=own_server,
            trainers=trainers,
            after=self._write_record,
            settled=self._settle,
            trainings=recipe.sweep.most_trials if recipe.sweep and flow_run.flow_name == "sweep" else recipe.trainings,
            seeds=1 if flow_run.flow_name == "sweep" else len(recipe.seeds),
        )

    def carry_out(self, pipeline: Callable[[Recipe, Runner], object]) -> None:
        try:
            self._write_record()
            publish(tracked_run(self._tracker, self._parent))
            # Whoever watches a run with a server of its own sees what comes out.
            outcome = None if self._runner.own_server else Outcome(self._workspace, self._recipe)
            pipeline(self._recipe, self._runner)
            self._publish()
            if outcome and self._result:
                outcome.tell(self._folder.name, self._result)
            self._write_record("done")
            self._tracker.artifact(self._parent, self._folder / RECORD)
            self._tracker.finish(self._parent, "FINISHED")
        except BaseException as problem:
            # Where a signal hits an import, what arrives here may be the error of a library that was half imported.
            failed = all(isinstance(behind, Exception) for behind in chain_of(problem))
            with suppress(Exception):  # a full disk refuses this too; the next run closes what stays open
                self._write_record("failed" if failed else "interrupted", one_line(problem) if failed else None)
                self._tracker.finish(self._parent, "FAILED" if failed else "KILLED")
            raise

    def _settle(self, recipe: ResolvedRecipe, final: bool) -> None:
        """Keeps the recipe that the run goes on with, whole: what a later Stillhouse would derive changes nothing."""
        self._recipe = recipe
        if not final:  # whoever goes on with what a run left before then has dev choose too
            return
        with replacing(self._folder / RECIPE) as file:
            file.write_text(recipe_to_yaml(recipe), encoding="utf-8")
        self._tracker.artifact(self._parent, self._folder / RECIPE)
        self._tracker.params(self._parent, recipe.model_dump(mode="json"))

    def _cut_off(self) -> None:
        """What the thread can still do that ends the process; the next run closes the rest."""
        self._write_record("interrupted")
        for tracked, name in self._tracker.running().items():
            if name == self._folder.name:
                self._tracker.finish(tracked, "KILLED")

    def _write_record(self, state: str = "running", error: str | None = None) -> None:
        write_json(self._folder / RECORD, to_file(self._record(state, error), self._workspace))

    def _record(self, state: str, error: str | None) -> Mapping[str, Any]:
        result = self._result
        return {
            "schema": SCHEMA,
            "run": self._folder.name,
            "flow": flow_run.flow_name,
            "state": state,
            "error": error,
            "began": self._began_at,
            "seconds": round(time.time() - self._began, 1),
            "path": str(self._folder),
            "verdict": dict(result.verdict) if result else None,
            "teachers": result.models("teacher") if result else [],
            "students": result.models("student") if result else [],
            "twins": result.models("twin") if result else [],
            "baselines": [model for role in BASELINES for model in result.models(role)] if result else [],
            "best": result.best() if result else None,
            "registered": [model for made in self._runner.made(RegisterRecord) for model in made.to_list()],
            "labels": self._stores,
            "labelled": self._labelled,
            "machine": result.scores[0].cost["machine"] if result else None,
            "steps": self._runner.done,
            "mlflow": {
                "uri": self._tracker.uri,
                "run": self._parent,
                "experiment": self._recipe.name,
                "page": self._tracker.page(self._parent),
            },
            "prefect": {"flow_run": str(flow_run.id), "name": flow_run.name},
            "recipe": self._recipe.model_dump(mode="json"),
            "given": self._given.model_dump(mode="json"),
        }

    @property
    def _began_at(self) -> str:
        return datetime.fromtimestamp(self._began, UTC).isoformat(timespec="seconds")

    @property
    def _stores(self) -> list[str]:
        """Where the labels are that this run made or read."""
        found: list[LabelRecord | ShardRecord] = [*self._runner.made(LabelRecord), *self._runner.made(ShardRecord)]
        return list(dict.fromkeys(f"{each.files or self._workspace.labels}/{each.store}" for each in found))

    @property
    def _labelled(self) -> Mapping[str, int]:
        """How many soft labels the run asked for, and how many of them it made."""
        views, shares = self._runner.made(LabelRecord), self._runner.made(ShardRecord)
        rows = sum(view.view["rows"] for view in views) if views else sum(share.rows for share in shares)
        ended = zip(self._runner.records, self._runner.done, strict=True)
        made = [record for record, done in ended if done["state"] == "done"]
        new = sum(record.new for record in made if isinstance(record, (LabelRecord, ShardRecord)))
        return {"rows": rows, "new": min(new, rows)}  # a file of labels may have more texts than are asked for

    @property
    def _result(self) -> ResultRecord | None:
        return next(iter(self._runner.made(ResultRecord)), None)

    def _publish(self) -> None:
        for data in self._runner.made(DataRecord)[:1]:  # of the first draw of labels
            publish_inputs(self._tracker, self._parent, data)
        if self._result is not None:
            report = next(iter(self._runner.made(ReportRecord)), None)
            publish_result(self._tracker, self._parent, self._folder, self._began_at, self._result, report)
