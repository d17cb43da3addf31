"""What comes of a finished run: pages, artifacts, the leaderboard, and runs side by side."""

import filecmp
import json
import sqlite3
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow.tracking import MlflowClient

from tasks.shared.dataset import read_keys
from tasks.shared.label_files import FolderFiles
from tasks.shared.label_store import all_stores
from tasks.shared.label_view import read_view
from tests.flows.conftest import World
from tests.toy import toy_rows, write_csv

PAGES = ["report.html", "report.md", "figures/trade-off.svg", "figures/training.svg"]
OTHER = ("--set", "student.hidden_size=8", "--set", "seeds=[0]")


@pytest.fixture(scope="module")
def first(world: World) -> dict:
    """The record of a run of the plain recipe; other files' tests may have run anything before, and collected it."""
    world.done("run", "toy.yaml")
    return world.record()


@pytest.fixture(scope="module")
def second(world: World, first: dict) -> dict:
    """The record of a run with smaller students and a single seed."""
    world.done("run", "toy.yaml", *OTHER)
    return world.record()


def test_a_report_lies_in_the_runs_folder_and_is_rebuilt_to_the_byte(world: World, first: dict, tmp_path: Path) -> None:
    shown = world.done("show", first["run"])
    assert f"runs/{first['run']}/report.html" in shown.replace("\n", "")
    paths = ("student  ", "soft labels  ", "tracked run  ", "  ")
    assert all(len(line) <= 100 for line in shown.splitlines() if not line.startswith(paths))
    assert "ships " in shown
    assert "student.hidden_size=128" not in shown
    printed = world.done("report", first["run"], "--output", str(tmp_path / "new"))
    assert printed.split() == [str(tmp_path / "new" / name) for name in PAGES[:2]]
    same, *others = filecmp.cmpfiles(first["path"], tmp_path / "new", PAGES, shallow=False)
    assert (same, others) == (PAGES, [[], []])


def test_mlflow_has_the_pages_and_the_numbers(first: dict) -> None:
    client = MlflowClient(first["mlflow"]["uri"])
    run = client.get_run(first["mlflow"]["run"])
    files = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert {"report.html", "report.md", "figures"} <= files
    assert run.data.tags["stillhouse.verdict"] == first["verdict"]["outcome"]
    metrics = run.data.metrics
    students = [student["accuracy"] for student in first["students"]]
    assert metrics["student_accuracy"] == pytest.approx(sum(students) / len(students))
    assert metrics["difference"] == pytest.approx(first["verdict"]["difference"])
    expected = {
        f"{role}_{name}" for role in ("teacher", "student", "twin") for name in ("ece", "mcc", "flops_per_text")
    }
    assert expected | {"retention", "student_label_loyalty", "student_probability_loyalty"} <= metrics.keys()


def test_prefect_shows_the_pages_and_the_leaderboard(world: World, first: dict) -> None:
    with sqlite3.connect(world.workspace / "prefect" / "prefect.db") as database:
        rows = database.execute(
            "select a.key, a.data, a.description from artifact a join flow_run f on f.id = a.flow_run_id"
            " where f.name = ?",
            (first["run"],),
        ).fetchall()
    found = {key: (json.loads(data), description) for key, data, description in rows if key}
    assert {"report", "result", "leaderboard"} <= found.keys()
    page, where = found["report"]
    assert page.startswith("# toy: was distilling worth it?")
    assert "![" not in page, "there are no pictures next to it"
    assert str(Path(first["path"]) / "report.html") in where
    assert first["verdict"]["sentence"] in found["result"][0]
    [row] = [row for row in json.loads(found["leaderboard"][0]) if row["run"] == first["run"]]
    assert row["verdict"] == first["verdict"]["outcome"]


def test_the_leaderboard(world: World, first: dict, second: dict) -> None:
    wide = world.run("runs", COLUMNS="160").stdout
    assert wide.splitlines()[0].split()[:3] == ["run", "verdict", "student"]
    assert first["run"] in wide
    narrow = world.run("runs", COLUMNS="60").stdout.partition("failed or crashed")[0]
    assert max(map(len, narrow.splitlines())) <= 60, narrow
    assert second["run"] in narrow, "a run's name is never cut: it is what other commands take"
    newest, *others = json.loads(world.done("runs", "--sort", "newest", "--json"))
    assert newest["run"] == second["run"]
    assert first["run"] in [run["run"] for run in others]
    by_size = [run for run in json.loads(world.done("runs", "--sort", "size", "--json")) if run["metrics"]]
    sizes = [run["metrics"]["student_bytes"] for run in by_size]
    assert sizes == sorted(sizes)
    assert len([run for run in json.loads(world.done("runs", "--json", "--most", "1")) if run["metrics"]]) == 1
    wrong = world.run("runs", "--sort", "acuracy")
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)
    assert "accuracy" in wrong.stderr


def test_two_runs_side_by_side(world: World, first: dict, second: dict) -> None:
    shown = world.done("compare", first["run"], second["run"])
    assert "student.hidden_size: 16 / 8" in shown
    assert "INCONCLUSIVE" in shown, "they have one seed in common"
    assert "Add seeds." in shown
    told = json.loads(world.done("compare", first["run"], second["run"], "--json"))
    gain = first["students"][0]["accuracy"] - second["students"][0]["accuracy"]
    assert told["difference"] == pytest.approx(gain)
    assert (told["seeds"], told["runs"]) == (1, [first["run"], second["run"]])
    itself = world.run("compare", first["run"], first["run"])
    assert (itself.returncode, "are the same run" in itself.stderr) == (2, True)


def test_without_gold_labels_in_test(world: World, first: dict) -> None:
    write_csv(world.folder / "blank.csv", [(text, "") for text, _ in toy_rows(90, seed=1)])
    printed = world.done("run", "toy.yaml", "--set", "data.test=blank.csv", "--set", "seeds=[0]")
    record = world.record()
    assert record["verdict"]["outcome"] == "INCONCLUSIVE"
    assert "no test example has a gold label" in printed.replace("\n", " ")
    assert "no labels" in printed
    assert record["students"][0]["accuracy"] is None
    assert "Loyalty to the teacher" in (Path(record["path"]) / "report.md").read_text(encoding="utf-8")
    refused = world.run("compare", first["run"], record["run"])
    assert refused.returncode == 2
    assert "tested on different rows, or on other labels of them" in refused.stderr
    assert record["run"] in world.done("runs")


@pytest.mark.slow
def test_draws_baselines_noised_texts_and_further_tests(world: World) -> None:
    write_csv(world.folder / "mails.csv", toy_rows(40, seed=5))
    settings = ["augment.copies=1", "baselines=[scratch, unaugmented]", "draws=2", "data.tests.mails=mails.csv"]
    world.done("run", "toy.yaml", *(word for setting in settings for word in ("--set", setting)))
    record = world.record()
    assert [model["title"] for model in record["baselines"]] == [
        f"{role} seed {seed}" for role in ("scratch", "unaugmented") for seed in (0, 1)
    ]
    titles = [step["title"] for step in record["steps"]]
    assert "augment" in titles
    assert "train_student seed 3, draw 1" in titles, "seeds count up"
    assert "train_scratch seed 2, draw 1" not in titles, "one draw is enough for the baselines"
    page = (Path(record["path"]) / "report.md").read_text(encoding="utf-8")
    for told in (
        "student against the same without augmented texts",
        "student against the same without the teacher's tokenizer and embeddings",
        "method, over 2 draws of labels",
        "mails: student",
        "Learning from augmented texts",
    ):
        assert told in page
    shown = " ".join(world.done("show", record["run"]).split())
    method = "Over 2 draws of labels, "
    assert shown.index(method) < shown.index("The first draw alone, "), "the method is what several draws are for"
    assert "on mails teacher " in shown
    _check_exports(world, record)
    plan = world.done("plan", "toy.yaml", *(word for setting in settings for word in ("--set", setting)))
    assert f"{len(titles)} steps to reuse, 0 to run" in plan


def _check_exports(world: World, record: dict) -> None:
    """Of several draws of labels it is the first whose teachers' labels are exported, unless another is named."""
    for draw in (0, 1):
        steps = {
            step["step"]: step for step in record["steps"] if step["draw"] == draw and step["teacher"] in (0, None)
        }
        said = []
        for teacher in ([], ["--teacher", "0"]):
            file = world.folder / "exported.parquet"
            world.done("labels", "export", str(file), *(["--draw", "1"] if draw else []), *teacher)
            said.append(pd.read_parquet(file))
        texts = pd.read_parquet(Path(steps["load_data"]["path"]) / "transfer.parquet")["text"].tolist()
        assert said[0]["text"].tolist() == said[1]["text"].tolist() == texts
        view = json.loads((Path(steps["label"]["path"]) / "manifest.json").read_text(encoding="utf-8"))["facts"]
        store = next(all_stores(FolderFiles(world.workspace / "labels"), pytest.fail, [view["store"]]))
        logits = read_view(store, view["view"], read_keys(Path(steps["augment"]["path"]) / "transfer.parquet"))
        wanted = np.exp(logits[: len(texts)].astype(np.float64))  # the copies come after them
        found = said[1][[name for name in said[1] if name.startswith("probability_")]]
        np.testing.assert_allclose(found, wanted / wanted.sum(axis=1, keepdims=True), atol=1e-6)
    for option, told in (
        (["--teacher", "1"], "has no labels of teacher 1; it has those of 0"),
        (["--draw", "2"], "has no draw 2 of labels; it has 0, 1"),
    ):
        refused = world.run("labels", "export", "exported.parquet", *option)
        assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
        assert told in refused.stderr


def test_what_has_no_report_says_so(world: World, first: dict) -> None:
    world.done("label", "toy.yaml")
    (labelled,) = [run for run in sorted((world.workspace / "runs").iterdir()) if _flow(run) == "label"][:1]
    refused = world.run("report", labelled.name)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "nothing to report" in refused.stderr
    assert "no students" in world.run("compare", first["run"], labelled.name).stderr
    assert world.run("report", "none-such").returncode == 2


def _flow(run: Path) -> str:
    return str(json.loads((run / "run.json").read_text(encoding="utf-8"))["flow"])


def test_the_leaderboard_of_nothing_makes_nothing(world: World, tmp_path: Path) -> None:
    empty = world.run("runs", STILLHOUSE_HOME=str(tmp_path / "none"))
    assert (empty.returncode, empty.stderr) == (0, "")
    assert "no finished run yet" in empty.stdout
    assert not (tmp_path / "none").exists()
