"""A workspace can be moved, copied and named in other ways: nothing is lost, and nothing is written elsewhere."""

import json
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from flows.housekeeping import collect_garbage
from flows.killed import _leftovers, _open_records
from flows.labels_export import export_labels
from flows.record_paths import from_file, to_file
from flows.records import all_runs
from flows.report import rebuild_report
from tasks.shared.errors import StillhouseError
from tasks.shared.recipe_file import load_recipe
from tasks.shared.workspace import Workspace
from tests.flows.conftest import World, spoil


@pytest.fixture
def moved(world: World, tmp_path: Path) -> Iterator[World]:
    """A copy of the workspace whose original is out of reach: nobody can tell it from one that was moved."""
    place = tmp_path / "elsewhere"
    shutil.copytree(world.workspace, place, symlinks=True)
    hidden = world.workspace.with_name("hidden")
    world.workspace.rename(hidden)
    try:
        yield replace(world, home=str(place))
        assert not world.workspace.exists(), "something was written where the workspace had been"
    finally:
        hidden.rename(world.workspace)


def made(workspace: Path) -> set[str]:
    """Outputs and label stores."""
    found = [*workspace.glob("outputs/*/*"), *workspace.glob("labels/*")]
    return {path.relative_to(workspace).as_posix() for path in found}


def test_gc_keeps_what_the_runs_of_a_moved_workspace_need(moved: World) -> None:
    before = made(moved.workspace)
    moved.done("gc", "--delete")
    assert made(moved.workspace) == before
    best = Path(moved.finished()["best"]["path"])
    assert best.is_relative_to(moved.workspace.resolve())
    assert best.is_dir()


def test_records_of_earlier_versions_with_absolute_paths_are_understood(moved: World, world: World) -> None:
    for file in moved.workspace.glob("runs/*/run.json"):
        was = world.workspace / "runs" / file.parent.name
        there = from_file(json.loads(file.read_text(encoding="utf-8")), was, Workspace(world.workspace))
        file.write_text(json.dumps(there), encoding="utf-8")
        assert there["path"] == str(world.workspace / "runs" / there["run"])
    before = made(moved.workspace)
    moved.done("gc", "--delete")
    assert made(moved.workspace) == before
    assert "goal" in moved.done("predict", "latest", "goal match coach league")


@pytest.mark.parametrize("spelling", ["sideways/../{name}", "link"])
def test_gc_keeps_what_runs_need_however_the_workspace_is_named(moved: World, spelling: str) -> None:
    parent = moved.workspace.parent
    (parent / "sideways").mkdir()
    (parent / "link").symlink_to(moved.workspace)
    before = made(moved.workspace)
    os_spelling = str(parent / spelling.format(name=moved.workspace.name))
    result = moved.run("gc", "--delete", STILLHOUSE_HOME=os_spelling)
    assert result.returncode == 0, result.stderr
    assert made(moved.workspace) == before


@pytest.mark.slow
def test_a_run_in_a_moved_workspace_reuses_what_is_as_it_was_and_tracks_and_registers_there(moved: World) -> None:
    recipe = load_recipe(moved.folder / "toy.yaml").model_dump(mode="json")
    before = next(record for record in moved.records() if record["verdict"] and record["given"] == recipe)
    [teacher] = [step["path"] for step in before["steps"] if step["step"] == "train_teacher"]
    spoil(Path(teacher) / "model" / "model.safetensors")
    printed = " ".join(moved.done("run", "toy.yaml", "--force", "register").split())
    assert "model/model.safetensors changed since it was made, so it is made anew" in printed
    after, states = moved.finished(), moved.states()
    made_anew = {"train_teacher 0", "register", "report"}  # the report tells how long training took
    assert {step for step, state in states.items() if state != "reused"} <= made_anew
    assert states["train_teacher 0"] == "done"
    assert [student["digest"] for student in after["students"]] == [student["digest"] for student in before["students"]]
    with sqlite3.connect(moved.workspace / "mlflow" / "mlflow.db") as database:
        places = [place for (place,) in database.execute("SELECT artifact_uri FROM runs")]
        places += [place for (place,) in database.execute("SELECT source FROM model_versions")]
        places += [place for (place,) in database.execute("SELECT artifact_location FROM experiments")]
    here = moved.workspace.resolve().as_uri()
    assert places
    assert [place for place in places if not place.startswith(here)] == []
    assert "food" in moved.done("predict", "models:/toy-student@champion", "soup and bread")


def test_gc_refuses_where_no_kept_run_finds_what_it_made(moved: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STILLHOUSE_HOME", str(moved.workspace))
    before = made(moved.workspace)
    for file in moved.workspace.glob("runs/*/run.json"):
        record = json.loads(file.read_text(encoding="utf-8"))
        record["steps"] = [{**step, "path": f"gone/{step['path']}"} for step in record["steps"]]
        file.write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(StillhouseError, match="kept runs finds what it made"):
        collect_garbage(10, delete=True)
    shutil.rmtree(moved.workspace / "runs")
    with pytest.raises(StillhouseError, match="none of the 0 kept runs"):
        collect_garbage(10, delete=True)
    assert made(moved.workspace) == before


def test_gc_leaves_what_is_not_ours_and_what_is_linked(moved: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STILLHOUSE_HOME", str(moved.workspace))
    theirs = [moved.workspace / "outputs" / "label" / "notes", moved.workspace / "runs" / "my own"]
    for folder in theirs:
        folder.mkdir(parents=True)
        (folder / "text.txt").write_text("theirs", encoding="utf-8")
    elsewhere = moved.workspace.parent / "big-disk"
    elsewhere.mkdir()
    link = moved.workspace / "labels" / ("ab" * 16)
    link.symlink_to(elsewhere)
    garbage = moved.workspace / "outputs" / "label" / ("cd" * 16)
    garbage.mkdir()
    collect_garbage(10, delete=True)
    assert all(folder.is_dir() for folder in theirs)
    assert link.is_symlink()
    assert not garbage.exists()


def test_a_record_is_the_same_after_it_was_written_and_read(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    record = {
        "path": str(tmp_path / "runs" / "a"),
        "labels": [str(tmp_path / "labels" / "x"), "s3://bucket/labels/y", "/mnt/labels/z"],
        "steps": [{"path": str(tmp_path / "outputs" / "s" / "k")}],
        "best": {"path": str(tmp_path / "outputs" / "t" / "k" / "model"), "scorecard": None},
        "mlflow": {"uri": f"sqlite:///{tmp_path}/mlflow/mlflow.db", "page": None},
        "recipe": {"path": "theirs", "labels": "hosted.jsonl", "data": {"train": str(tmp_path / "train.csv")}},
    }
    written = to_file(record, workspace)
    assert from_file(written, tmp_path / "runs" / "a", workspace) == record
    assert written["recipe"] == record["recipe"]
    assert str(tmp_path) not in json.dumps({**written, "recipe": None})
    there = from_file(written, Path("/there/runs/a"), Workspace(Path("/there")))
    assert there["best"]["path"] == "/there/outputs/t/k/model"
    assert there["path"] == "/there/runs/a"


def test_gc_knows_a_folder_however_a_record_spells_it(moved: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STILLHOUSE_HOME", str(moved.workspace))
    for file in moved.workspace.glob("runs/*/run.json"):
        text = file.read_text(encoding="utf-8")
        file.write_text(text.replace('"outputs/', '"outputs/../outputs/'), encoding="utf-8")
    before = made(moved.workspace)
    collect_garbage(10, delete=True)
    assert made(moved.workspace) == before


def test_gc_leaves_what_lies_behind_a_linked_folder(moved: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STILLHOUSE_HOME", str(moved.workspace))
    theirs = moved.workspace.parent / "of-another-workspace"
    (theirs / "labels" / ("ab" * 16)).mkdir(parents=True)
    (theirs / "fuse" / ("cd" * 16)).mkdir(parents=True)
    shutil.rmtree(moved.workspace / "labels")
    (moved.workspace / "labels").symlink_to(theirs / "labels")
    shutil.rmtree(moved.workspace / "outputs" / "fuse")
    (moved.workspace / "outputs" / "fuse").symlink_to(theirs / "fuse")
    collect_garbage(10, delete=True)
    assert made(theirs.parent / "of-another-workspace") == {"labels/" + "ab" * 16}
    assert (theirs / "fuse" / ("cd" * 16)).is_dir()


def test_gc_keeps_a_teacher_that_a_kept_recipe_names_by_its_folder(
    moved: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STILLHOUSE_HOME", str(moved.workspace))
    named = moved.workspace / "outputs" / "train_teacher" / ("ef" * 16)
    (named / "model").mkdir(parents=True)
    other = moved.workspace / "outputs" / "train_teacher" / ("12" * 16)
    other.mkdir()
    file = next(file for file in moved.workspace.glob("runs/*/run.json") if '"verdict": {' in file.read_text())
    record = json.loads(file.read_text(encoding="utf-8"))
    record["recipe"]["teachers"] = [{"model": str(named / "model"), "epochs": 0}]
    file.write_text(json.dumps(record), encoding="utf-8")
    collect_garbage(10, delete=True)
    assert named.is_dir()
    assert not other.exists()


@pytest.mark.parametrize(
    "damage",
    [
        {"steps": None},
        {"steps": [{}]},
        {"steps": ["x"]},
        {"steps": [{"step": "label", "title": "label", "state": "done", "path": 3}]},
        {"labels": "labels/ab"},
        {"labels": None},
        {"began": None},
        {"path": "/"},
        {"path": "/a"},
    ],
)
def test_a_record_of_another_shape_is_left_out_and_nothing_goes(
    moved: World, monkeypatch: pytest.MonkeyPatch, damage: dict
) -> None:
    monkeypatch.setenv("STILLHOUSE_HOME", str(moved.workspace))
    file = next(moved.workspace.glob("runs/*/run.json"))
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | damage), encoding="utf-8")
    before = made(moved.workspace)
    with pytest.raises(StillhouseError, match="does not say what its run needs"):
        collect_garbage(1, delete=True)
    assert made(moved.workspace) == before


def record_in(workspace: Path, run: str, **changes: object) -> Path:
    """A small record in a workspace's folder of a run."""
    folder = workspace / "runs" / run
    folder.mkdir(parents=True)
    record = {
        "schema": 1,
        "run": run,
        "state": "done",
        "error": None,
        "began": "2026-11-01T00:00:00+00:00",
        "path": f"runs/{run}",
        "verdict": None,
        "best": None,
        "labels": [],
        "steps": [{"step": "judge", "title": "judge", "state": "done", "path": "outputs/judge/k"}],
        "mlflow": {"uri": "sqlite:///../theirs.db", "run": "r"},
        "recipe": {},
    }
    (folder / "run.json").write_text(json.dumps(record | changes), encoding="utf-8")
    return folder


@pytest.mark.parametrize("elsewhere", ["/etc", "../other", "outputs/../../other", "/original/outputs/judge/k"])
@pytest.mark.parametrize("key", ["steps", "best", "students"])
def test_a_record_that_names_what_lies_elsewhere_as_its_own_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], elsewhere: str, key: str
) -> None:
    named = {"step": "judge", "title": "judge", "state": "done", "path": elsewhere}
    record_in(tmp_path, "a", **{key: named if key == "best" else [named]})
    assert all_runs(Workspace(tmp_path)) == []
    assert f"names '{elsewhere}', which is not in the workspace; it is left out" in capsys.readouterr().err


@pytest.mark.parametrize("said", ["/original/runs/a", "../../original/runs/a", "runs/b", "/etc/x/y"])
def test_a_runs_folder_is_where_its_record_lies_whatever_the_record_says(tmp_path: Path, said: str) -> None:
    folder = record_in(tmp_path, "a", path=said)
    [record] = all_runs(Workspace(tmp_path))
    assert record["path"] == str(folder)


def test_a_copy_reads_and_writes_itself_alone(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its records are of an earlier version, with absolute paths into the original, which is still there."""
    copy = tmp_path / "copy"
    shutil.copytree(world.workspace, copy, symlinks=True)
    for file in copy.glob("runs/*/run.json"):
        was = world.workspace / "runs" / file.parent.name
        there = from_file(json.loads(file.read_text(encoding="utf-8")), was, Workspace(world.workspace))
        file.write_text(json.dumps(there), encoding="utf-8")
    monkeypatch.setenv("STILLHOUSE_HOME", str(copy))
    run = next(record["run"] for record in all_runs(Workspace(copy)) if record["verdict"])
    theirs, ours = (place / "runs" / run / "report.html" for place in (world.workspace, copy))
    before = theirs.stat().st_mtime_ns
    ours.unlink()
    ours.symlink_to(theirs)
    rebuild_report(run, None)
    assert theirs.stat().st_mtime_ns == before
    assert not ours.is_symlink()
    shutil.rmtree(copy / "labels")
    shutil.rmtree(copy / "outputs" / "fuse")
    with pytest.raises(StillhouseError, match=f"{copy}.* is gone or incomplete"):
        export_labels(tmp_path / "labels.csv", run, None, 0, 1.0)
    with pytest.raises(StillhouseError, match=f"the soft labels .* are gone from {copy}"):
        export_labels(tmp_path / "labels.csv", run, 0, 0, 1.0)


def test_a_report_is_not_written_into_a_run_that_is_linked_from_another_workspace(
    moved: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STILLHOUSE_HOME", str(moved.workspace))
    folder = Path(moved.finished()["path"])
    folder.rename(tmp_path / folder.name)
    folder.symlink_to(tmp_path / folder.name)
    with pytest.raises(StillhouseError, match="is a link to elsewhere; name a folder with --output"):
        rebuild_report(folder.name, None)


def test_what_another_workspace_is_writing_stays_where_its_folders_are_linked(tmp_path: Path) -> None:
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    going_on = record_in(theirs, "a", state="running")
    written = theirs / "labels" / ("ab" * 16) / ".part"
    left = ours / "labels" / ("cd" * 16) / ".part"
    for file in (written, left):
        file.parent.mkdir(parents=True)
        file.touch()
    (ours / "runs").mkdir()
    (ours / "runs" / "a").symlink_to(going_on)
    (ours / "labels" / ("ab" * 16)).symlink_to(written.parent)
    assert _leftovers(Workspace(ours)) == [left]
    assert _open_records(Workspace(ours)) == []
    assert _open_records(Workspace(theirs)) == [going_on / "run.json"]
