"""What scripts and shells use: JSON, little talk, completion, and a plan that tells what it knows."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.shell_completion import BashComplete
from click.testing import CliRunner
from rich.console import Console

from flows.cli import main
from flows.console import View
from flows.plan import Planner
from tasks.load_data import LoadData
from tasks.shared.label_files import open_files
from tasks.shared.label_store import LabelStore
from tasks.shared.labeller import Labeller
from tasks.shared.recipe_data import Data
from tests.bench import Bench
from tests.toy import toy_rows, write_csv


def asked(*arguments: str) -> object:
    """What a command prints as JSON."""
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def toy_data(folder: Path, **options: object) -> Data:
    """The section `data` of a recipe of small files."""
    train = write_csv(folder / "train.csv", toy_rows(90, seed=0))
    return Data(train=train, test=write_csv(folder / "test.csv", toy_rows(30, seed=1)), **options)


def test_du_as_json_sums_up_to_what_it_says(bench: Bench) -> None:
    for name, size in (("labels/a/part", 10), ("outputs/fuse/b/file", 100)):
        (bench.workspace.root / name).parent.mkdir(parents=True)
        (bench.workspace.root / name).write_bytes(b"0" * size)
    told = {"workspace": str(bench.workspace.root), "bytes": 110, "parts": {"labels": 10, "outputs/fuse": 100}}
    assert asked("du", "--json") == told


def test_labels_as_json_have_whole_names_and_counts(bench: Bench) -> None:
    labeller = Labeller("t" * 64, ("a", "b"), 16, "fp32", "torch", 1, "single-label")
    store = LabelStore(open_files(bench.workspace.labels), labeller)
    store.write("0123456789abcdef-000000", np.array([b"k" * 32], "S32"), np.zeros((1, 2), np.float32))
    [entry] = asked("labels", "ls", "--json")
    wanted = {"name": store.name, "teacher": "t" * 64, "classes": ["a", "b"], "max_length": 16, "texts": 1, "parts": 1}
    assert {name: entry[name] for name in wanted} == wanted


def test_a_plan_foresees_the_rows_and_classes_that_a_run_then_has(bench: Bench, tmp_path: Path) -> None:
    for options in ({"labels_per_class": 10}, {"dev": write_csv(tmp_path / "dev.csv", toy_rows(12, seed=2))}):
        step = LoadData(toy_data(tmp_path, **options))
        foreseen = step.foreseen()
        assert foreseen.note.startswith("3 classes; ")
        record = bench(step)
        assert (foreseen.note, foreseen.rows) == (step.summary(record), record.rows)


def test_a_plan_counts_no_rows_of_large_files(tmp_path: Path) -> None:
    data = toy_data(tmp_path)
    with (tmp_path / "train.csv").open("a", encoding="utf-8") as file:
        file.writelines(f"{'long ' * 1000}{number},food\n" for number in range(1001))
    assert LoadData(data).foreseen().note == "rows and classes are counted when it runs"


def test_a_plan_says_perhaps_only_of_what_there_may_be(bench: Bench, tmp_path: Path) -> None:
    class After(LoadData):
        ready = False

    planner = Planner(bench.workspace, frozenset(), [])
    planner(After(toy_data(tmp_path)))
    bench(LoadData(toy_data(tmp_path)))
    planner(LoadData(toy_data(tmp_path)))
    planner(After(toy_data(tmp_path)))
    told = planner.to_dict()
    assert [step["state"] for step in told["steps"]] == ["run", "reuse", "perhaps"]
    assert told["counts"] == {"reuse": 1, "run": 1, "perhaps": 1}
    assert told["steps"][1]["note"].startswith("3 classes; ")
    assert told["steps"][1]["step"] == "load_data"


def test_a_quiet_view_shows_warnings_alone(capsys: pytest.CaptureFixture[str]) -> None:
    view = View(Console(highlight=False), quiet=True)
    view.starting("train_teacher 0")
    view.line("done", "train_teacher 0", "97.0% of dev right", 3.0)
    with view.progress("label", 10, "texts") as advance:
        advance(10)
    view.warn("the teacher is unsure")
    assert capsys.readouterr().out.split() == ["warning", "the", "teacher", "is", "unsure"]


@pytest.mark.parametrize("command", ["run", "sweep", "label"])
def test_a_dry_run_is_called_plan(command: str) -> None:
    result = CliRunner().invoke(main, [command, "quickstart", "--dry-run"])
    assert result.exit_code == 2
    assert "`stillhouse plan RECIPE` says what a run would do" in result.stderr


def completed(*words: str) -> list[str]:
    """What the last word completes to at Tab."""
    shell = BashComplete(main, {}, "stillhouse", "_STILLHOUSE_COMPLETE")
    return [
        item.value if item.type == "plain" else item.type for item in shell.get_completions(list(words[:-1]), words[-1])
    ]


def test_tab_completes_recipes_runs_steps_and_files(bench: Bench) -> None:
    for run in ("toy-2", "toy-1"):
        (bench.workspace.runs / run).mkdir(parents=True)
        (bench.workspace.runs / run / "run.json").touch()
    assert completed("run", "qu") == ["quickstart"]
    assert completed("run", "./mine") == ["file"]
    assert completed("run", "quickstart", "--force", "train_t") == ["train_teacher", "train_twin"]
    assert completed("show", "") == ["latest", "toy-1", "toy-2"]
    assert completed("compare", "latest", "toy") == ["toy-1", "toy-2"]
    assert completed("predict", "some/fol") == ["dir"]
    assert completed("labels", "export", "out.csv", "--run", "toy-1") == ["toy-1"]
    assert completed("comp") == ["compare", "completion"]


def test_tab_makes_no_workspace_and_says_nothing_of_an_impossible_one(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert completed("show", "") == ["latest"]
    assert not home.exists()
    monkeypatch.setenv("STILLHOUSE_HOME", "/no?where")
    assert completed("show", "") == ["latest"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_of_a_shell_asks_the_program(shell: str) -> None:
    result = CliRunner().invoke(main, ["completion", shell])
    assert result.exit_code == 0, result.output
    assert f"_STILLHOUSE_COMPLETE={shell}_complete" in result.stdout


def test_tab_imports_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom flows.cli import main\n"
        "try:\n    main(prog_name='stillhouse')\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'transformers', 'prefect', 'mlflow', 'pandas', 'pyarrow', 'pydantic'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    environment = {"COMP_WORDS": "stillhouse run q", "COMP_CWORD": "2", "_STILLHOUSE_COMPLETE": "bash_complete"}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert result.stdout.split() == ["plain,quickstart", "[]"], result.stderr
