"""What is written and said: no secret of the environment, nothing outside the workspace, nothing raw on a terminal."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.predict_output import json_line
from tests.flows.conftest import SECRET, STILLHOUSE, World


def holding(secret: str, folder: Path) -> list[str]:
    """The files of a folder that hold a secret; databases as they are, Parquet also unpacked."""
    found = []
    for path in folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            if path.suffix == ".parquet":
                content += repr(pq.read_table(path).to_pydict()).encode()
            if secret.encode() in content:
                found.append(str(path.relative_to(folder)))
    return found


def test_a_secret_of_the_environment_is_nowhere_in_what_runs_leave_or_say(world: World) -> None:
    assert SECRET in " ".join(world.environment.values()), "it is there for every command"
    assert len(list(world.workspace.rglob("*.db"))) >= 2, "MLflow's and Prefect's databases are looked into"
    assert holding("labels_per_class", world.workspace), "looking finds what is there"
    assert holding(SECRET, world.workspace) == []
    for arguments in (["show"], ["show", "--json"], ["predict", "latest", "a text"], ["plan", "toy.yaml"]):
        result = world.run(*arguments)
        assert result.returncode == 0, result.stderr
        assert SECRET not in result.stdout + result.stderr


def test_the_password_of_a_tracking_server_is_neither_kept_nor_said(world: World, tmp_path: Path) -> None:
    result = world.run(
        "run",
        "toy.yaml",
        STILLHOUSE_HOME=str(tmp_path / "home"),
        MLFLOW_TRACKING_URI=f"http://somebody:{SECRET}@127.0.0.1:1/",
        MLFLOW_HTTP_REQUEST_MAX_RETRIES="0",
    )
    assert result.returncode == 2
    assert "http://127.0.0.1:1/" in result.stderr
    assert result.stderr.count("\n") == 1
    assert SECRET not in result.stdout + result.stderr
    assert holding(SECRET, tmp_path / "home") == []


# What predict writes


anything = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@given(anything | st.text("\x1b[31m\x9b\x7f\u202e\u2028\n👩‍👩‍👧é"))
def test_json_lines_say_the_same_and_steer_nothing(text: str) -> None:
    line = json_line({"text": text, text: 1})
    assert json.loads(line) == {"text": text, text: 1}
    assert line.endswith("\n")
    assert len(line.splitlines()) == 1
    assert not {chr(code) for code in (*range(32), *range(127, 160), 0x202E)} & set(line[:-1])


def test_json_lines_keep_letters_readable() -> None:
    assert json_line({"text": "né 你好 👩‍👩‍👧"}) == '{"text": "né 你好 👩‍👩‍👧"}\n'


def best_student(world: World, folder: Path, **config: object) -> Path:
    """A copy of the best student with other things in its configuration."""
    shutil.copytree(world.record()["best"]["path"], folder)
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | config), encoding="utf-8")
    return folder


def test_names_from_a_model_reach_no_file_name_and_no_terminal_raw(world: World, tmp_path: Path) -> None:
    names = ["../../up", "/etc/passwd\x1b[2J\n", "\x9b31m" + "x" * 10_000]
    evil = best_student(world, tmp_path / "evil", id2label=dict(enumerate(names)))
    before = sorted(tmp_path.parent.rglob("*"))
    shown = world.done("predict", str(evil), "goal match coach league")
    assert shown.count("\n") == 1
    assert shown.strip().isprintable()
    assert len(shown) < 400
    piped = subprocess.run(
        [STILLHOUSE, "predict", evil], input="goal\n\x9b31m\n", capture_output=True, text=True, env=world.environment
    )
    assert piped.stdout.count("\n") == 2
    assert all(line.isprintable() for line in piped.stdout.split("\n"))
    assert json.loads(piped.stdout.splitlines()[0])["probabilities"].keys() == set(names)
    assert sorted(tmp_path.parent.rglob("*")) == before


@pytest.mark.parametrize("path", ["/etc", "../..", "{home}/../base"])
def test_a_run_that_names_a_student_outside_the_workspace_is_refused(world: World, path: str) -> None:
    record = world.record()
    folder = world.workspace / "runs" / "moved"
    folder.mkdir()
    record |= {"run": "moved", "best": record["best"] | {"path": path.format(home=world.workspace)}}
    (folder / "run.json").write_text(json.dumps(record), encoding="utf-8")
    try:
        result = world.run("predict", "moved", "a text")
    finally:
        shutil.rmtree(folder)
    assert result.returncode == 2
    assert "which is not in the workspace; it is left out" in result.stderr
    assert "no run 'moved'" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["predict", "latest", os.fsdecode(b"caf\xe9")], "a text holds bytes that are not UTF-8"),
        (["predict", "latest", "--input", "train.csv", "--separator", ";;"], "--separator: "),
        (["predict", "latest", "--input", "train.csv", "--column", ""], "--column: must not be empty"),
        (["predict", "latest", "--input", "/dev/zero"], "--input: /dev/zero is a device or a pipe"),
        (["predict", "x" * 10_000, "a text"], "can be no folder: "),
        (["predict", "~nobody-of-that-name/x", "a text"], "can be no folder: "),
        (["show", "../../etc/passwd"], "no run '../../etc/passwd'"),
        (["show", "x" * 10_000], "no run 'xxx"),
        (["show", "\x1b[31m\n"], r"no run '\x1b[31m\n'"),
    ],
    ids=lambda value: ascii(value[-1][:30]) if isinstance(value, list) else "",
)
def test_odd_arguments_get_one_line(world: World, arguments: list[str], said: str) -> None:
    result = world.run(*arguments)
    last = result.stderr.splitlines()[-1]
    assert result.returncode == 2, result.stderr
    assert said in last
    assert last.isprintable()
    assert len(last) < 1300


def test_a_workspace_of_an_impossible_name_gets_one_line(world: World) -> None:
    for name in ("/tmp/" + "x" * 10_000, "~nobody-of-that-name/home"):
        result = world.run("show", STILLHOUSE_HOME=name)
        assert result.returncode == 2
        assert "STILLHOUSE_HOME: " in result.stderr
        assert result.stderr.count("\n") == 1
