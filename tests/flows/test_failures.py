"""Runs that failed or crashed are listed with the line that says why, wherever people look for results."""

import json

import pytest
from click.testing import CliRunner, Result
from filelock import FileLock

from flows.cli import main
from flows.records import KEYS, RECORD, SCHEMA
from tasks.shared.workspace import Workspace, open_workspace


@pytest.fixture
def workspace() -> Workspace:
    """Runs as they end: well, failed, told to stop, killed; one goes on, one never came to its first step."""
    found = open_workspace()
    ends = [("well", "done", None), ("bad", "failed", "train.csv: no rows"), ("told", "interrupted", None)]
    for hour, (run, state, error) in enumerate([*ends, ("gone", "running", None), ("goes-on", "running", None)]):
        folder = found.runs / run
        folder.mkdir(parents=True)
        record = dict.fromkeys(KEYS) | {"schema": SCHEMA, "run": run, "state": state, "error": error}
        record |= {"began": f"2026-11-0{hour + 1}T02:00:00+00:00", "path": f"runs/{run}", "steps": [], "labels": []}
        record |= {"flow": "sweep" if run == "well" else "distill", "mlflow": {"run": "1", "uri": "sqlite:"}}
        (folder / RECORD).write_text(json.dumps(record), encoding="utf-8")
    (found.runs / "early").mkdir()
    return found


def asked(workspace: Workspace, *arguments: str) -> Result:
    workspace.locks.mkdir(exist_ok=True)
    with FileLock(workspace.locks / "run-goes-on.lock"):
        return CliRunner().invoke(main, list(arguments))


@pytest.mark.parametrize("command", ["runs", "models"])
def test_failed_and_crashed_runs_are_listed_the_latest_first_with_their_line(
    workspace: Workspace, command: str
) -> None:
    lines = [line.split(maxsplit=4) for line in asked(workspace, command).stdout.splitlines()]
    listed = [(line[0], line[1], line[4]) for line in lines if line[0] in ("failed", "killed")]
    assert listed == [
        ("failed", "early", "it ended before its first step"),
        ("killed", "gone", "its process is gone"),
        ("failed", "bad", "train.csv: no rows"),
    ]


def test_programs_get_them_in_the_form_of_the_others(workspace: Workspace) -> None:
    entries = {entry["run"]: entry for entry in json.loads(asked(workspace, "runs", "--json").stdout)}
    assert list(entries) == ["early", "gone", "bad"]
    assert entries["bad"] == {
        "run": "bad",
        "began": "2026-11-02T02:00:00+00:00",
        "tags": {
            "stillhouse.run": "bad",
            "stillhouse.state": "failed",
            "stillhouse.error": "train.csv: no rows",
        },
        "metrics": {},
    }


@pytest.mark.parametrize(("run", "code"), [("bad", 1), ("gone", 1), ("told", 0), ("goes-on", 0)])
def test_show_of_a_failed_run_says_why_with_exit_code_1(workspace: Workspace, run: str, code: int) -> None:
    result = asked(workspace, "show", run)
    assert result.exit_code == code
    why = {"bad": "failed: train.csv: no rows", "gone": "killed: its process is gone"}
    assert f"run {run} {why.get(run, '')}" in result.stdout
    assert asked(workspace, "show", run, "--json").exit_code == 0
