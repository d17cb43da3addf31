"""The records of finished runs, and what of a run other commands ask for."""

import json
from pathlib import Path
from typing import Any

from tasks.shared.errors import StillhouseError
from tasks.shared.workspace import Workspace

RECORD = "run.json"


def all_runs(workspace: Workspace) -> list[dict[str, Any]]:
    """The records of all runs that ended, the latest first."""
    records = [_read(file) for file in workspace.runs.glob(f"*/{RECORD}")]
    return sorted(records, key=lambda record: (record["began"], record["run"]), reverse=True)


def latest_run(workspace: Workspace) -> dict[str, Any]:
    """The record of the latest run.

    Raises:
        StillhouseError: there is none.
    """
    runs = all_runs(workspace)
    if not runs:
        raise StillhouseError(f"no runs in {workspace.root} yet; start one with: stillhouse run quickstart")
    return runs[0]


def find_run(workspace: Workspace, run: str) -> dict[str, Any]:
    """The record of a run by its id, or by the beginning of it if only one fits.

    Raises:
        StillhouseError: no run or several fit.
    """
    fitting = [record for record in all_runs(workspace) if str(record["run"]).startswith(run)]
    exact = [record for record in fitting if record["run"] == run]
    if len(exact or fitting) == 1:
        return (exact or fitting)[0]
    what = f"{len(fitting)} runs begin with" if fitting else "no run"
    known = ", ".join(str(record["run"]) for record in all_runs(workspace)[:3]) or "none yet"
    raise StillhouseError(f"{what} {ascii(run)[:80]} in {workspace.root}; the latest: {known}")


def _read(file: Path) -> dict[str, Any]:
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        if record["schema"] != 1:
            raise StillhouseError(f"{file} was written by another version of Stillhouse")
        return dict(record)
    except (ValueError, KeyError, TypeError, OSError):
        raise StillhouseError(f"{file} is damaged; remove its folder") from None
