"""MLflow: a parent run for each flow run, a child for each step. A view of the files, never the truth."""

import json
import os
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ParamSpec, TypeVar, cast

from mlflow.entities import (
    Dataset,
    DatasetInput,
    InputTag,
    LoggedModelOutput,
    LoggedModelStatus,
    Metric,
    Param,
    RunTag,
)
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from sqlalchemy.exc import SQLAlchemyError

from tasks.shared.dotted import flatten
from tasks.shared.errors import StillhouseError, one_line, says_disk_is_full, without_logins
from tasks.shared.outputs import locked
from tasks.shared.patient_client import PatientClient
from tasks.shared.tracking_move import follow_move
from tasks.shared.tracking_place import check_tracking_server, tracking_uri, uploading
from tasks.shared.workspace import Workspace

_SQLITE = "sqlite:///"
_PARAMS_AT_ONCE = 100
_METRICS_AT_ONCE = 1000
_RUNS_AT_MOST = 1000

Asked = ParamSpec("Asked")
Answer = TypeVar("Answer")


def _clearly(method: Callable[Asked, Answer]) -> Callable[Asked, Answer]:
    """Turns what MLflow refuses into one clear line; its own message names the address, login and all."""

    @wraps(method)
    def asked(*args: Asked.args, **kwargs: Asked.kwargs) -> Answer:
        try:
            return method(*args, **kwargs)
        except (MlflowException, SQLAlchemyError, sqlite3.Error, ImportError) as error:
            if says_disk_is_full(error):  # said better by the command line
                raise
            where = os.environ.get("MLFLOW_TRACKING_URI")
            if where and "the key of its workspace" in str(error):
                said = f"the MLflow server at MLFLOW_TRACKING_URI {where} wants a key"
                raise StillhouseError(
                    f"{said}; one of `stillhouse up` is used with STILLHOUSE_HOME set to its workspace"
                ) from None
            advice = "" if where else "; if its database is damaged, move workspace/mlflow away: a run makes a new one"
            said = f"MLflow at {where or 'the workspace'} refuses: {one_line(error)}{advice}"
            raise StillhouseError(said) from None

    return asked


@_clearly
def open_client(workspace: Workspace) -> MlflowClient:
    """A client of the tracking server and registry; the workspace's own database is made if need be.

    Whatever it is asked, a server in trouble is waited for, for a minute at most.

    Raises:
        StillhouseError: MLflow refuses.
    """
    uri = tracking_uri(workspace)
    database = workspace.mlflow / "mlflow.db"
    if uri.startswith(_SQLITE) and Path(uri.removeprefix(_SQLITE)).resolve() == database.resolve():
        if database.exists():
            follow_move(workspace)
        else:
            _make_database(workspace, database)
    return cast(MlflowClient, PatientClient(MlflowClient(uri, registry_uri=uri), uri))


def _make_database(workspace: Workspace, database: Path) -> None:
    """Makes MLflow's tables whole or not at all: it could not go on with a database that a kill left half-made."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    workspace.mlflow.mkdir(parents=True, exist_ok=True)
    with locked(workspace.locks / "mlflow.lock", lambda owner: None):
        if database.exists():
            return
        with TemporaryDirectory(prefix=".new-", dir=workspace.mlflow) as folder:
            new = Path(folder) / database.name
            store = SqlAlchemyStore(f"sqlite:///{new}", (workspace.mlflow / "artifacts").as_uri())  # type: ignore[no-untyped-call]
            store.engine.dispose()
            new.replace(database)


@dataclass(frozen=True)
class Tracked:
    """A finished run as MLflow remembers it.

    Attributes:
        id: of the tracked run.
        name: id of the run.
        began: seconds since 1970.
        tags: those of this project.
        metrics: the last value of each.
    """

    id: str
    name: str
    began: float
    tags: Mapping[str, str]
    metrics: Mapping[str, float]


class Tracker:
    """The runs of one flow run; run ids are passed around, as MLflow's active run belongs to a thread."""

    def __init__(self, workspace: Workspace, experiment: str) -> None:
        """Opens the experiment; makes it if need be."""
        check_tracking_server(workspace)
        self._client = open_client(workspace)
        self.uri = without_logins(tracking_uri(workspace))
        with locked(workspace.locks / "mlflow.lock", lambda owner: None):
            self.experiment = self._open(workspace, experiment)

    @_clearly
    def _open(self, workspace: Workspace, experiment: str) -> str:
        found = self._client.get_experiment_by_name(experiment)
        if found and found.lifecycle_stage == "deleted":
            raise StillhouseError(f"MLflow's experiment {experiment} is deleted; restore it, or rename the recipe")
        # A server knows itself where artifacts go; next to a database they would land in the current folder.
        place = (workspace.mlflow / "artifacts").as_uri() if self.uri.startswith("sqlite:") else None
        return str(found.experiment_id if found else self._client.create_experiment(experiment, place))

    def page(self, run: str) -> str | None:
        """Address of a run's page, where MLflow is a server; without its ending MLflow shows pages for chat models."""
        if not self.uri.startswith("http"):
            return None
        return f"{self.uri.rstrip('/')}/#/experiments/{self.experiment}/runs/{run}?workflowType=machine_learning"

    @_clearly
    def running(self) -> dict[str, str]:
        """All tracked runs of this project that count as going on, and the runs that they belong to."""
        experiments = [found.experiment_id for found in self._client.search_experiments()]
        going_on = "attributes.status = 'RUNNING' and tags.`stillhouse.run` LIKE '%'"
        runs = self._client.search_runs(experiments, going_on, max_results=_RUNS_AT_MOST)
        return {run.info.run_id: run.data.tags["stillhouse.run"] for run in runs}

    def finished(self) -> list[Tracked]:
        """All runs that came to a verdict, this one too once that is tagged."""
        return _finished(self._client)

    @_clearly
    def start(self, name: str, tags: Mapping[str, str], parent: str | None = None) -> str:
        """Begins a run and gives its id."""
        nested = {"mlflow.parentRunId": parent} if parent else {}
        run = self._client.create_run(self.experiment, run_name=name, tags={**tags, **nested})
        return str(run.info.run_id)

    @_clearly
    def tag(self, run: str, tags: Mapping[str, str]) -> None:
        """Adds tags."""
        self._client.log_batch(run, tags=[RunTag(key, value) for key, value in tags.items()])

    @_clearly
    def params(self, run: str, values: Mapping[str, Any]) -> None:
        """Records parameters; nested mappings and lists become dotted names."""
        flat = [Param(name, str(value)) for name, value in flatten(values)]
        for start in range(0, len(flat), _PARAMS_AT_ONCE):
            self._client.log_batch(run, params=flat[start : start + _PARAMS_AT_ONCE])

    @_clearly
    def metrics(self, run: str, name: str, points: Sequence[tuple[int, float]]) -> None:
        """Records a series of (step, value)."""
        self._log(run, [(name, step, value) for step, value in points])

    @_clearly
    def values(self, run: str, values: Mapping[str, float]) -> None:
        """Records values by name."""
        self._log(run, [(name, 0, value) for name, value in values.items()])

    def _log(self, run: str, found: Sequence[tuple[str, int, float]]) -> None:
        now = int(time.time() * 1000)
        metrics = [Metric(name, value, now, step) for name, step, value in found]
        for start in range(0, len(metrics), _METRICS_AT_ONCE):
            self._client.log_batch(run, metrics=metrics[start : start + _METRICS_AT_ONCE])

    @_clearly
    def inputs(self, run: str, digests: Mapping[str, tuple[str, Path]], context: str) -> None:
        """Records which version of what was consumed: digest and place by name."""
        self._client.log_inputs(
            run,
            datasets=[
                DatasetInput(
                    Dataset(name, digest[:32], "local", json.dumps({"uri": place.as_uri()})),
                    [InputTag("mlflow.data.context", context)],
                )
                for name, (digest, place) in digests.items()
            ],
        )

    @_clearly
    def model(self, run: str, name: str, role: str, tags: Mapping[str, str]) -> None:
        """Shows a model on the page of the run that it came out of; its files stay where the tags say."""
        made = self._client.create_logged_model(self.experiment, name, run, dict(tags), model_type=role)
        self._client.log_outputs(run, [LoggedModelOutput(made.model_id, 0)])
        self._client.finalize_logged_model(made.model_id, LoggedModelStatus.READY)

    @_clearly
    def artifact(self, run: str, path: Path) -> None:
        """Copies a file, or a folder under its name, to the run's artifacts."""
        with uploading():
            if path.is_dir():
                self._client.log_artifacts(run, str(path), path.name)
            else:
                self._client.log_artifact(run, str(path))

    @_clearly
    def finish(self, run: str, status: str) -> None:
        """Ends a run: FINISHED, FAILED or KILLED."""
        self._client.set_terminated(run, status)


def finished_runs(workspace: Workspace) -> list[Tracked]:
    """Every run that came to a verdict, at MLFLOW_TRACKING_URI or in the workspace; opens no experiment."""
    check_tracking_server(workspace)
    return _finished(open_client(workspace))


@_clearly
def _finished(client: MlflowClient) -> list[Tracked]:
    experiments = [found.experiment_id for found in client.search_experiments()]
    ended_well = "attributes.status != 'FAILED' and attributes.status != 'KILLED'"
    wanted = f"{ended_well} and tags.`stillhouse.verdict` LIKE '%'"
    found, token = list[Tracked](), None
    while experiments:
        page = client.search_runs(experiments, wanted, max_results=_RUNS_AT_MOST, page_token=token)
        for run in page:
            tags = {name: value for name, value in run.data.tags.items() if name.startswith("stillhouse.")}
            began = run.info.start_time / 1000
            found.append(Tracked(run.info.run_id, tags["stillhouse.run"], began, tags, dict(run.data.metrics)))
        token = page.token
        if not token:
            break
    return found
