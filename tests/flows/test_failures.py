"""Runs that failed or crashed are listed with the line that says why, wherever people look for results."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from filelock import FileLock

from flows.cli import main
from flows.records import KEYS, RECIPE, RECORD, SCHEMA
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
    (found.runs / "early" / RECIPE).write_text("name: early\n", encoding="utf-8")
    (found.runs / "of somebody").mkdir()
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
    told = json.loads(asked(workspace, "show", run, "--json").stdout)
    assert {"gone": ("killed", "its process is gone")}.get(run, (told["state"], told["error"])) == (
        told["state"],
        told["error"],
    )


def test_how_to_go_on_with_a_run_that_did_not_end_is_told(workspace: Workspace) -> None:
    assert "go on with" not in asked(workspace, "show", "goes-on").stdout
    for run in ("told", "gone", "bad"):
        assert f"runs/{run}/recipe.yaml" in asked(workspace, "show", run).stdout.partition("go on with")[2]


def test_a_run_that_failed_after_its_verdict_says_why_and_steers_no_terminal(workspace: Workspace) -> None:
    file = workspace.runs / "bad" / RECORD
    record = json.loads(file.read_text(encoding="utf-8"))
    verdict = {"outcome": "BEATS", "sentence": "BEATS: better", "scope": "here"}
    file.write_text(json.dumps(record | {"verdict": verdict, "error": "\x1b[31mno registry"}), encoding="utf-8")
    result = asked(workspace, "show", "bad")
    assert (result.exit_code, "no registry" in result.stdout) == (1, True)
    assert "BEATS" not in result.stdout
    assert "\x1b" not in result.stdout


def test_who_looks_takes_no_lock_and_writes_nothing(workspace: Workspace) -> None:
    lock = workspace.locks / "run-of-a-killed-one.lock"
    workspace.locks.mkdir(exist_ok=True)
    lock.touch()
    assert asked(workspace, "runs").exit_code == 0
    assert lock.exists(), "it may have been somebody's who began just then"


def test_a_sweep_without_its_result_is_one_line(workspace: Workspace) -> None:
    result = asked(workspace, "show", "well")
    assert (result.exit_code, "sweep.json cannot be read" in result.stderr) == (2, True), result.stderr


def damaged_records(file: Path) -> dict[str, Callable[[], object]]:
    """Ways in which a record is no record, by what is wrong with it."""
    good = json.loads((file.parent.parent / "well" / RECORD).read_text(encoding="utf-8")) | {"run": file.parent.name}

    def edited(**changes: object) -> Callable[[], object]:
        return lambda: file.write_text(json.dumps(good | changes), encoding="utf-8")

    return {
        "200,000 brackets": lambda: file.write_text("[" * 200_000, encoding="utf-8"),
        "not UTF-8": lambda: file.write_bytes(b"\xff"),
        "a list": lambda: file.write_text("[]", encoding="utf-8"),
        "a pipe": lambda: os.mkfifo(file),
        "a folder": file.mkdir,
        "a device": lambda: file.symlink_to("/dev/zero"),
        "another run": edited(run="well"),
        "a number for an id": edited(run=5),
        "a text for a verdict": edited(verdict="better"),
        "an empty verdict": edited(verdict={}),
        "a best without a folder": edited(best={}),
        "a text for the tracked run": edited(mlflow="sqlite:"),
        "no tracked run": edited(mlflow=None),
        "a tracked run without a place": edited(mlflow={"run": "1"}),
        "a list of numbers for students": edited(students=[1]),
        "an object for steps": edited(steps={}),
        "a text for a draw": edited(steps=[dict.fromkeys(("step", "title", "state", "path"), "x") | {"draw": "x"}]),
    }


def test_a_damaged_record_is_one_warning_and_blocks_no_other_run(workspace: Workspace) -> None:
    file = workspace.runs / "spoilt" / RECORD
    for case, damage in damaged_records(file).items():
        file.parent.mkdir()
        damage()
        for command in (["runs"], ["models"], ["show", "told", "--json"], ["du"]):
            result = asked(workspace, *command)
            assert result.exit_code == 0, (case, command, result.stderr)
            warned = [line for line in result.stderr.splitlines() if "spoilt" in line]
            assert len(warned) == (command != ["du"]), (case, command, result.stderr)
            assert all(line.endswith("; it is left out") for line in warned), case
        file.rmdir() if file.is_dir() else file.unlink()
        file.parent.rmdir()
