"""The records of finished runs, and what of a run other commands ask for."""

import fcntl
import json
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from filelock import FileLock, Timeout

from flows.record_paths import from_file
from flows.table import MODELS
from tasks.shared.errors import StillhouseError, brief, brief_path
from tasks.shared.outputs import locked
from tasks.shared.workspace import Workspace

RECORD, RECIPE = "run.json", "recipe.yaml"
SCHEMA = 1
LATEST = "latest"
"""What a person calls the latest run that has what a command wants."""
_NAMED = 5
"""So many runs are named where one has to be chosen."""
BEST, SWEEP = "best.yaml", "sweep.json"
"""In a sweep's folder: the recipe of the best, and all that was tried."""
KEYS = frozenset({"run", "state", "error", "began", "path", "verdict", "best", "labels", "steps", "mlflow", "recipe"})
"""What commands rely on in a record."""
_LISTS = (*MODELS, "registered")
"""What a record lists objects under, where it has them."""


def new_run_id(name: str) -> str:
    """A new run's id: a name, the time in UTC, four random digits."""
    return f"{name}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def all_runs(workspace: Workspace) -> list[dict[str, Any]]:
    """The records of all runs that ended, the latest first."""
    read = [read_record(file, workspace) for file in workspace.runs.glob(f"*/{RECORD}")]
    records = [record for record in read if record is not None]
    return sorted(records, key=lambda record: (record["began"], record["run"]), reverse=True)


def latest_run(
    workspace: Workspace, wanted: Callable[[Mapping[str, Any]], bool] = lambda record: has_result(record)
) -> dict[str, Any]:
    """The record of the latest run that is wanted: that came to a verdict.

    Raises:
        StillhouseError: there is none.
    """
    runs = all_runs(workspace)
    for record in runs:
        if wanted(record):
            return record
    what = f"no finished run in {workspace.root} yet"
    last = f"; the latest, {runs[0]['run']}, {what_it_is(runs[0])}" if runs else ""
    swept = next((record["path"] for record in runs if is_sweep(record)), None)
    recipe = brief_path(Path(swept) / BEST) if swept else "quickstart"
    raise StillhouseError(f"{what}{last}; start one with: stillhouse run {recipe}")


def what_it_is(record: Mapping[str, Any]) -> str:
    """Of a run without a verdict, why it has none: `failed`, `is a sweep`."""
    if record["state"] != "done":
        return str(record["state"])
    others = {"sweep": "is a sweep", "doubts": "looked for doubtful labels"}
    return others.get(str(record.get("flow")), "only labelled")


def is_sweep(record: Mapping[str, Any]) -> bool:
    """Whether a run is a sweep that came to its end."""
    return record["state"] == "done" and record.get("flow") == "sweep"


def unreadable(workspace: Workspace) -> list[Path]:
    """The records that cannot be read, and so do not say what their runs need."""
    return [file for file in sorted(workspace.runs.glob(f"*/{RECORD}")) if read_record(file, workspace) is None]


def step_folder(record: Mapping[str, Any], step: str, draw: int = 0) -> Path | None:
    """Where a run left what a step made, the first of its kind in a draw of labels; None where it did not."""
    return next((Path(one["path"]) for one in main_steps(record, draw) if one["step"] == step), None)


def main_steps(record: Mapping[str, Any], draw: int = 0) -> list[Mapping[str, Any]]:
    """The steps of a draw of labels that the result is made of: those of candidates that lost a race are not."""
    return [step for step in record["steps"] if draw_of(step) == draw and not step.get("aside")]


def draw_of(step: Mapping[str, Any]) -> int:
    """The draw of labels that a step of a record belongs to; an older Stillhouse did not say, the first comes first."""
    return int(step.get("draw", 0))


def has_result(record: Mapping[str, Any]) -> bool:
    """Whether a run came to its end, and that end was a verdict: one that only labels has none."""
    return record["state"] == "done" and record["verdict"] is not None


@contextmanager
def lock_run(workspace: Workspace, run: str) -> Iterator[None]:
    """Marks a run as going on for as long as its process lives; waits while garbage is collected."""
    lock = FileLock(workspace.locks / f"run-{run}.lock")
    with locked(workspace.locks / "gc.lock", lambda owner: None):
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
        Path(lock.lock_file).unlink(missing_ok=True)


def going_on(workspace: Workspace) -> list[str]:
    """The runs that are going on now."""
    found = []
    for file in workspace.locks.glob("run-*.lock"):
        try:
            FileLock(file).acquire(timeout=0).lock.release()
            file.unlink(missing_ok=True)
        except Timeout:
            found.append(file.stem.removeprefix("run-"))
    return found


def seen_going_on(workspace: Workspace) -> set[str]:
    """The same for whoever only looks: nothing is written, and no lock is taken from anybody."""
    found = set()
    for file in workspace.locks.glob("run-*.lock"):
        with suppress(OSError), file.open("rb") as lock:  # gone since, or of somebody whose runs are not ours to see
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                found.add(file.stem.removeprefix("run-"))
    return found


def named_run(
    workspace: Workspace,
    run: str | None,
    wanted: Callable[[Mapping[str, Any]], bool] = lambda record: has_result(record),
) -> dict[str, Any]:
    """The record of the run that a person names: `latest`, or nothing, is the latest that is wanted.

    Raises:
        StillhouseError: there is none, or several fit.
    """
    return latest_run(workspace, wanted) if run in (None, LATEST) else find_run(workspace, str(run))


def find_run(workspace: Workspace, run: str) -> dict[str, Any]:
    """The record of a run by its id, or by the beginning of it if only one fits.

    Raises:
        StillhouseError: no run or several fit.
    """
    runs = all_runs(workspace)
    fitting = [record for record in runs if str(record["run"]).startswith(run)]
    exact = [record for record in fitting if record["run"] == run]
    if len(exact or fitting) == 1:
        return (exact or fitting)[0]
    if fitting:
        raise StillhouseError(f"{len(fitting)} runs begin with {brief(run)}; name one of {_first_names(fitting)}")
    raise StillhouseError(f"no run {brief(run)} in {workspace.root}; the latest: {_first_names(runs) or 'none yet'}")


def _first_names(records: Sequence[Mapping[str, Any]]) -> str:
    more = f" and {len(records) - _NAMED} more" if len(records) > _NAMED else ""
    return ", ".join(str(record["run"]) for record in records[:_NAMED]) + more


def _check_shape(record: Mapping[str, Any]) -> None:
    """Raises ValueError where what commands rely on is of another kind: a person may have edited the file."""
    steps = record["steps"]
    for kind, found in {
        str: [
            *(record[name] for name in ("run", "state", "began", "path")),
            *(step[name] for step in steps for name in ("step", "title", "state", "path")),
            *(store for store in record["labels"]),
            *([record["best"]["path"]] if record["best"] is not None else []),
            *(record["verdict"][name] for name in ("outcome", "sentence", "scope") if record["verdict"] is not None),
            *(record["mlflow"][name] for name in ("run", "uri")),
        ],
        int: [step.get("draw", 0) for step in steps],
        list: [steps, record["labels"], *(record.get(name, []) for name in _LISTS)],
        dict: [
            *(record[name] for name in ("verdict", "recipe") if record[name] is not None),
            *(record[name] for name in ("labelled", "machine", "prefect") if record.get(name) is not None),
            *(entry for name in _LISTS for entry in record.get(name, [])),
        ],
    }.items():
        if not all(isinstance(value, kind) for value in found):
            raise ValueError("a text, a number, a list or an object is something else")


def record_text(file: Path) -> str:
    """What a record says.

    Raises:
        OSError, ValueError: it cannot be read, or is no plain file: reading a pipe would not end.
    """
    if not file.is_file():
        raise ValueError("it is no plain file")
    return file.read_text(encoding="utf-8")


def read_record(file: Path, workspace: Workspace) -> dict[str, Any] | None:
    """A record, or None with a warning: one damaged record must not hide the others."""
    try:
        record = json.loads(record_text(file))
        if record["schema"] == SCHEMA and record.keys() >= KEYS:
            _check_shape(record)
            if record["run"] != file.parent.name:
                raise StillhouseError("is that of another run")
            return from_file(record, file.parent, workspace)
        what = "is not a record that this Stillhouse knows"
    except StillhouseError as error:
        what = str(error)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, OSError, RecursionError):
        what = "is damaged"
    _warn(f"{brief_path(file)} {what}; it is left out")
    return None


def _warn(said: str) -> None:
    """Warns, once in a command: some read all records several times."""
    command = click.get_current_context(silent=True)
    told = command.meta.setdefault(__name__, set()) if command else set()
    if said not in told:
        told.add(said)
        click.echo(f"stillhouse: warning: {said}", err=True)
