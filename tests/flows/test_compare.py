"""Two runs side by side, out of the files they leave."""

import json
from functools import partial

import numpy as np
import pytest

from flows.compare import compare_runs
from tasks.evaluate import predictions_file
from tasks.shared.outputs import make_output
from tasks.shared.predictions import Predictions

TEXTS = 30


def written(said, folder):
    said.write(folder / predictions_file("test"))
    return {}


@pytest.fixture
def runs(bench, tmp_path):
    """Leaves what `compare` reads of a run whose two students get so much of test right, each text ten times."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "manifest.json").write_text(json.dumps({"facts": {"classes": ["x", "y"]}}))

    def leave(name, accuracy, groups=None):
        students = []
        for seed in (0, 1):
            right = np.random.default_rng([seed, len(name)]).random(TEXTS) < accuracy
            gold = np.zeros(10 * TEXTS, np.int32)
            logits = np.repeat(np.where(right[:, None], [1.0, 0.0], [0.0, 1.0]), 10, axis=0).astype(np.float32)
            keys = np.repeat(np.array([f"{text:032d}".encode() for text in range(TEXTS)]), 10)

            said, key = Predictions(keys, gold, logits, groups), f"{name}-{seed}"
            card = make_output(tmp_path / key, key, {}, partial(written, said))
            students.append({"seed": seed, "scorecard": str(card.path)})
        folder = bench.workspace.runs / name
        folder.mkdir(parents=True)
        record = {
            **dict.fromkeys(("error", "best", "mlflow")),
            "labels": [],
            **{"run": name, "state": "done", "began": "2026", "path": str(folder), "verdict": {}, "schema": 1},
            "steps": [{"step": "load_data", "title": "load_data", "state": "done", "path": str(data)}],
            "recipe": {"worthwhile": 0.005},
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
