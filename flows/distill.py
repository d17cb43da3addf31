"""The main flow: from a recipe to a student and a verdict on it."""

import re
import secrets
import time
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.runtime import flow_run
from rich.console import Console

from flows.console import View, logging_to
from flows.limits import make_limits
from flows.pipeline import distil
from flows.records import RECORD, SCHEMA, lock_run
from flows.running import Runner, tracked_at
from flows.table import markdown
from tasks.label import LabelRecord
from tasks.report import ResultRecord
from tasks.shared.errors import one_line
from tasks.shared.outputs import write_json
from tasks.shared.prefect_server import prepare_environment
from tasks.shared.recipe import Recipe
from tasks.shared.recipe_file import recipe_to_yaml
from tasks.shared.tracking import Tracker
from tasks.shared.workspace import Workspace, open_workspace

LOG = "log.txt"


@dataclass(frozen=True)
class Session:
    """What the command line adds to a recipe: who watches (a worker's log does), and which steps are made anew."""

    view: View = field(default_factory=lambda: View(Console(quiet=True)))
    force: frozenset[str] = frozenset()


session: ContextVar[Session | None] = ContextVar("session", default=None)


def _run_name() -> str:
    """A new run's id: the recipe's name, the time in UTC, four random digits."""
    # Plain data where the orchestrator's API was given some; the flow itself gets a validated recipe.
    recipe = Recipe.model_validate(flow_run.parameters["recipe"])
    return f"{recipe.name}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


@flow(name="distill", flow_run_name=_run_name, persist_result=False)
def distill(recipe: Recipe) -> Path:
    """Distils a teacher into students, trains their twins, and judges them.

    Returns:
        The folder of the run, with its record, recipe and log.
    """
    watched = session.get() or Session()
    workspace = open_workspace()
    prepare_environment(workspace)
    folder = workspace.runs / re.sub(r"[^\w.-]", "-", flow_run.name or _run_name())
    folder.mkdir(parents=True)
    (folder / "recipe.yaml").write_text(recipe_to_yaml(recipe), encoding="utf-8")
    with logging_to(folder / LOG):
        make_limits()
        with lock_run(workspace, folder.name):
            _Run(workspace, folder, recipe, watched).carry_out()
    return folder


class _Run:
    """One run, from its tracked parent to its record."""

    def __init__(self, workspace: Workspace, folder: Path, recipe: Recipe, watched: Session) -> None:
        self._workspace = workspace
        self._folder = folder
        self._recipe = recipe
        self._began = time.time()
        self._tracker = Tracker(workspace, recipe.name)
        tags = {"prefect.flow_run_id": str(flow_run.id), "prefect.flow_run_name": str(flow_run.name)}
        self._parent = self._tracker.start(folder.name, tags)
        self._runner = Runner(
            workspace=workspace,
            view=watched.view,
            tracker=self._tracker,
            parent=self._parent,
            flow_run=str(flow_run.id),
            device=recipe.device,
            force=watched.force,
            after=self._write_record,
        )

    def carry_out(self) -> None:
        status, state, error, result = "FAILED", "failed", None, None
        try:
            self._write_record()
            self._tracker.params(self._parent, self._recipe.model_dump(mode="json"))
            self._tracker.artifact(self._parent, self._folder / "recipe.yaml")
            create_markdown_artifact(tracked_at(self._tracker, self._parent), key="mlflow-run")
            result = distil(self._recipe, self._runner)
            status, state = "FINISHED", "done"
        except KeyboardInterrupt:
            status, state = "KILLED", "interrupted"
            raise
        except Exception as problem:
            error = one_line(problem)
            raise
        finally:
            self._write_record(state, error, result)
            if result:
                self._publish(result)
            self._tracker.finish(self._parent, status)

    def _write_record(
        self, state: str = "running", error: str | None = None, result: ResultRecord | None = None
    ) -> None:
        write_json(self._folder / RECORD, self._record(state, error, result))

    def _record(self, state: str, error: str | None, result: ResultRecord | None) -> Mapping[str, Any]:
        return {
            "schema": SCHEMA,
            "run": self._folder.name,
            "state": state,
            "error": error,
            "began": datetime.fromtimestamp(self._began, UTC).isoformat(timespec="seconds"),
            "seconds": round(time.time() - self._began, 1),
            "path": str(self._folder),
            "verdict": dict(result.verdict) if result else None,
            "teachers": result.models("teacher") if result else [],
            "students": result.models("student") if result else [],
            "twins": result.models("twin") if result else [],
            "best": result.best() if result else None,
            "labels": [str(self._workspace.labels / view.store) for view in self._views()],
            "machine": result.scores[0].cost["machine"] if result else None,
            "steps": self._runner.done,
            "mlflow": {"uri": self._tracker.uri, "run": self._parent, "experiment": self._recipe.name},
            "prefect": {"flow_run": str(flow_run.id), "name": flow_run.name},
            "recipe": self._recipe.model_dump(mode="json"),
        }

    def _views(self) -> list[LabelRecord]:
        return [record for record in self._runner.records if isinstance(record, LabelRecord)]

    def _publish(self, result: ResultRecord) -> None:
        self._tracker.tag(self._parent, {"stillhouse.verdict": result.verdict["outcome"]})
        for role in ("teacher", "student", "twin"):
            models = result.models(role)
            for name in ("accuracy", "macro_f1"):
                mean = sum(model[name] for model in models) / len(models)
                self._tracker.metrics(self._parent, f"{role}_{name}", [(0, mean)])
        self._tracker.metrics(self._parent, "difference", [(0, result.verdict["difference"])])
        self._tracker.artifact(self._parent, self._folder / RECORD)
        table = markdown(result.models("teacher"), result.models("student"), result.models("twin"))
        create_markdown_artifact(f"{result.sentence}\n\n{table}", key="result", description="Scorecards and verdict")
