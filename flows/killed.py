"""What a killed run leaves behind: runs that still count as going on, and half-made files. The next run mends it."""

import json
import shutil
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.exceptions import ObjectNotFound
from prefect.states import Crashed

from flows.records import RECORD, going_on, record_text
from tasks.shared.outputs import locked, write_json
from tasks.shared.tracking import Tracker
from tasks.shared.workspace import Workspace

FLOWS = ["distill", "label", "sweep", "doubts"]
_OPEN = [StateType.RUNNING, StateType.PENDING]
_OPEN_RECORD = '"state": "running"'
_WHY = "its process was killed"
_LOOK_SECONDS = 0.2


def close_killed_runs(workspace: Workspace, tracker: Tracker, run: str, own_server: bool) -> None:
    """Closes the runs of this workspace whose process is gone, in its records, in MLflow and in Prefect.

    Args:
        workspace: whose runs.
        tracker: tells MLflow.
        run: the run that asks; it goes on, of course.
        own_server: whether nobody but runs of this workspace uses the Prefect server; then a run that was killed
            before it had a folder is closed too.
    """
    # What counts as going on is asked first, who really does second: a run has its lock before it shows anywhere.
    records = _open_records(workspace)
    tracked = tracker.running()
    leftovers = _leftovers(workspace)
    with get_client(sync_client=True) as client:
        flow_runs = _open_flow_runs(client)
        with locked(workspace.locks / "gc.lock", lambda owner: None):  # nobody may take a lock while it is looked at
            alive = {*going_on(workspace), run}
        _close_records(path for path in records if path.parent.name not in alive)
        for tracked_run, name in tracked.items():
            if name not in alive and _is_run(workspace, name):
                tracker.finish(tracked_run, "KILLED")
        for flow_run in flow_runs:
            ours = _is_run(workspace, flow_run.name) or (own_server and alive == {run})
            if ours and flow_run.name not in alive:
                _crash(client, flow_run)
    if alive == {run}:
        for path in leftovers:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def _is_run(workspace: Workspace, name: str) -> bool:
    """Whether a run of this workspace has that name; on a shared server there are names of all kinds."""
    return Path(name).name == name and (workspace.runs / name).is_dir()


def _open_records(workspace: Workspace) -> list[Path]:
    return [file for file in workspace.runs.glob(f"*/{RECORD}") if _lies_here(file) and _OPEN_RECORD in _text(file)]


def _lies_here(path: Path) -> bool:
    """Whether what a workspace's pattern found lies in the workspace: a linked folder may be that of another."""
    return path.parent.resolve() == path.parent  # the root is resolved already


def _text(file: Path) -> str:
    try:
        return record_text(file)
    except (OSError, ValueError):  # `stillhouse show` says so
        return ""


def _close_records(files: Iterable[Path]) -> None:
    for file in files:
        with suppress(ValueError, KeyError, TypeError, RecursionError):  # a damaged record; `stillhouse show` says so
            record = json.loads(_text(file))
            if record["state"] == "running":
                write_json(file, {**record, "state": "killed", "error": _WHY})


def _open_flow_runs(client: SyncPrefectClient) -> list[FlowRun]:
    state = FlowRunFilterState(type=FlowRunFilterStateType(any_=_OPEN))
    return client.read_flow_runs(
        flow_filter=FlowFilter(name=FlowFilterName(any_=FLOWS)),
        flow_run_filter=FlowRunFilter(state=state),
    )


def _crash(client: SyncPrefectClient, flow_run: FlowRun) -> None:
    """Sets a flow run and its open task runs to Crashed."""
    state = TaskRunFilterState(type=TaskRunFilterStateType(any_=_OPEN))
    task_runs = client.read_task_runs(
        flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[flow_run.id])),
        task_run_filter=TaskRunFilter(state=state),
    )
    for task_run in task_runs:
        client.set_task_run_state(task_run.id, Crashed(message=_WHY), force=True)
    client.set_flow_run_state(flow_run.id, Crashed(message=_WHY), force=True)


def _leftovers(workspace: Workspace) -> list[Path]:
    """What was being written: under temporary names, until it is whole."""
    patterns = (
        "outputs/*/.*",
        "labels/*/.*",
        "labels/*/*/.*",
        "plans/*.partial",
        "trainings/*/*.partial",
        "runs/*/.*",
        "mlflow/.new-*",
        "verified/.*",
    )
    return [path for pattern in patterns for path in workspace.root.glob(pattern) if _lies_here(path)]


def close_task_run(task_run_id: UUID, state: State[Any], patience: float) -> None:
    """Gives a task run its last state, unless it has one or is never heard of.

    What workers say of their task runs reaches the server behind their backs, and late: the row may still be to come,
    and of a worker that is stopped the last word is lost.

    Args:
        task_run_id: of Prefect.
        state: a final one.
        patience: seconds to wait for the row.
    """
    until = time.monotonic() + patience
    with get_client(sync_client=True) as client:
        while True:
            try:
                found = client.read_task_run(task_run_id)
            except ObjectNotFound:
                if time.monotonic() > until:
                    return
                time.sleep(_LOOK_SECONDS)
            else:
                if found.state is None or not found.state.is_final():
                    client.set_task_run_state(task_run_id, state, force=True)
                return
