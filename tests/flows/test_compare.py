"""Two runs side by side, out of the files they leave."""

import json
from functools import partial

import numpy as np
import pytest

from flows.compare import compare_runs
from flows.records import find_run, named_run
from tasks.evaluate import predictions_file
from tasks.shared.errors import StillhouseError
from tasks.shared.outputs import make_output
from tasks.shared.predictions import Predictions

TEXTS = 30


def written(said, folder):
    said.write(folder / predictions_file("test"))
    return {}


@pytest.fixture
def runs(bench):
    """Leaves what `compare` reads of a run whose two students get so much of test right, each text ten times."""
    data = bench.workspace.outputs / "load_data" / "k"
    data.mkdir(parents=True)
    (data / "manifest.json").write_text(json.dumps({"facts": {"classes": ["x", "y"]}}))

    def leave(name, accuracy, groups=None, began="2026", test="test.csv", share=None):
        students = []
        for seed in (0, 1):
            right = np.random.default_rng([seed, len(name)]).random(TEXTS) < accuracy
            gold = np.zeros(10 * TEXTS, np.int32)
            logits = np.repeat(np.where(right[:, None], [1.0, 0.0], [0.0, 1.0]), 10, axis=0).astype(np.float32)
            keys = np.repeat(np.array([f"{text:032d}".encode() for text in range(TEXTS)]), 10)

            said, key = Predictions(keys, gold, logits, groups), f"{name}-{seed}"
            card = make_output(bench.workspace.outputs / "evaluate" / key, key, {}, partial(written, said))
            students.append({"seed": seed, "scorecard": str(card.path)})
        folder = bench.workspace.runs / name
        folder.mkdir(parents=True)
        record = {
            **dict.fromkeys(("error", "best")),
            "labels": [],
            "mlflow": {"run": "1", "uri": "sqlite:"},
            "verdict": dict.fromkeys(("outcome", "sentence", "scope"), ""),
            **{"run": name, "state": "done", "began": began, "path": str(folder), "schema": 1},
            "steps": [{"step": "load_data", "title": "load_data", "state": "done", "path": str(data)}],
            "recipe": {"worthwhile": 0.005, "data": {"train": f"{name[:1]}.csv", "test": test, "test_share": share}},
            "students": students,
        }
        (folder / "run.json").write_text(json.dumps(record))

    return leave


def test_texts_that_are_repeated_or_grouped_in_either_run_are_one_example(runs, capsys):
    runs("first", 0.9)
    runs("second", 0.5)
    runs("grouped", 0.5, np.repeat(np.array([f"{group:032x}".encode() for group in range(15)]), 20))

    def told(other):
        compare_runs("first", other, as_json=True)
        return json.loads(capsys.readouterr().out)

    plain, grouped = told("second"), told("grouped")
    assert (plain["examples"], plain["rows"], plain["example"]) == (30, 300, "example")
    assert (grouped["examples"], grouped["rows"], grouped["example"]) == (15, 300, "group")
    assert "30 examples in 300 rows" in plain["sentence"]
    assert "15 groups in 300 rows" in grouped["sentence"]


def test_without_another_run_it_is_the_one_before_on_the_same_test_data(runs, capsys):
    tested = {"old": "test.csv", "near": "test.csv", "foreign": "x.csv", "new": "test.csv"}
    for day, (name, test) in enumerate(tested.items()):
        runs(name, 0.5, began=f"2026-11-0{day + 1}", test=test)

    def compared(*named):
        compare_runs(named[0], named[1] if named[1:] else None, as_json=True)
        return json.loads(capsys.readouterr().out)["runs"]

    assert compared("latest") == ["new", "near"]
    assert compared("near") == ["near", "old"]
    assert compared("old", "latest") == ["old", "new"]
    with pytest.raises(StillhouseError, match=r"before foreign was tested on rows of x\.csv; name the other run"):
        compared("foreign")
    with pytest.raises(StillhouseError, match=r"'latest' and 'new' are the same run, new; name another"):
        compared("latest", "new")
    for day, name in enumerate(("a1", "b1", "a2")):  # drawn from a.csv and b.csv
        runs(name, 0.5, began=f"2026-12-0{day + 1}", test=None, share=0.2)
    assert compared("a2") == ["a2", "a1"]


def test_the_beginning_of_several_names_lists_those_alone(bench, runs):
    for day in range(7):
        runs(f"toy-{day}", 0.5, began=f"2026-11-0{day + 1}")
    runs("other", 0.5, began="2026-11-09")
    listed = "toy-6, toy-5, toy-4, toy-3, toy-2 and 2 more"
    with pytest.raises(StillhouseError, match=f"7 runs begin with 'toy'; name one of {listed}$"):
        find_run(bench.workspace, "toy")
    with pytest.raises(StillhouseError, match=r"no run 'tyo' in .*; the latest: other, toy-6, "):
        find_run(bench.workspace, "tyo")
    assert find_run(bench.workspace, "o")["run"] == "other"
    assert named_run(bench.workspace, "latest")["run"] == named_run(bench.workspace, None)["run"] == "other"
