"""Step report: the verdict over real scorecards and over made ones whose truth is known."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.evaluate import PREDICTIONS, Evaluate, ScoreRecord
from tasks.report import RESULT, Report
from tasks.train_student import StudentRecord, TrainStudent
from tasks.train_twin import TrainTwin

COST = {
    "parameters": 10,
    "parameters_without_embeddings": 5,
    "bytes": 40,
    "ms_per_text": 1.0,
    "texts_per_second": 1000.0,
}


@pytest.fixture
def made(tmp_path):
    """A scorecard of a model that gets so many of 400 test rows right."""

    def score(role, seed, right, dev=0.5):
        path = tmp_path / f"{role}-{seed}"
        path.mkdir()
        label = np.arange(400, dtype=np.int32) % 2
        predicted = np.where(np.random.default_rng(seed).permutation(400) < right, label, 1 - label)
        pq.write_table(pa.table({"label": label, "predicted": predicted}), path / PREDICTIONS)
        model = StudentRecord(Path("model"), f"{role}{seed}", role, seed, dev, 10, (0, 1), 16)
        return ScoreRecord(path, f"{role}{seed}", model, right / 400, right / 400, COST)

    return score


def report(bench, scores, worthwhile=0.005):
    return bench(Report(tuple(scores), worthwhile))


@pytest.mark.parametrize(
    ("student", "twin", "outcome"),
    [
        ([380, 382, 384], [300, 303, 301], "BEATS"),
        ([300, 303, 301], [380, 382, 384], "NO BETTER"),
        ([340, 380, 300], [338, 300, 380], "INCONCLUSIVE"),
        ([399], [100], "INCONCLUSIVE"),
    ],
)
def test_the_verdict_is_of_students_against_twins_of_the_same_seeds(bench, made, student, twin, outcome):
    scores = [made("student", seed, right) for seed, right in enumerate(student)]
    scores += [made("twin", seed, right) for seed, right in enumerate(twin)]
    result = report(bench, scores)
    assert result.verdict["outcome"] == outcome
    assert result.verdict["difference"] == pytest.approx((sum(student) - sum(twin)) / 400 / len(student))
    assert result.verdict["seeds"] == len(student)
    assert result.verdict["examples"] == 400
    assert result.sentence.startswith(f"{outcome}: ")
    if len(student) == 1:
        assert (result.verdict["low"], result.verdict["high"]) == (-1, 1)
        assert "one seed" in result.sentence


def test_a_gain_of_no_worth(bench, made):
    scores = [made(role, seed, 300) for role in ("student", "twin") for seed in range(3)]
    assert report(bench, scores, worthwhile=0.005).verdict["difference"] == 0
    assert report(bench, scores, worthwhile=0.9).verdict["outcome"] == "NO BETTER"
    assert Report(tuple(scores), 0.9).key != Report(tuple(scores), 0.005).key


def test_the_result_of_a_whole_run(toy):
    scores = [toy.bench(Evaluate(toy.data, toy.teacher))]
    for step in (TrainStudent, TrainTwin):
        scores += [toy.bench(Evaluate(toy.data, toy.bench(toy.small(step, seed)))) for seed in (0, 1)]
    result = report(toy.bench, scores)
    written = json.loads((result.path / RESULT).read_text(encoding="utf-8"))
    fields = {"outcome", "difference", "low", "high", "seeds", "examples", "worthwhile", "se_seeds", "se_examples"}
    assert fields <= set(written["verdict"])
    assert written["verdict"].items() <= result.verdict.items()
    assert result.verdict["sentence"] == result.sentence == written["sentence"]
    assert "this teacher" in result.verdict["scope"]
    assert [len(result.models(role)) for role in ("teacher", "student", "twin")] == [1, 2, 2]
    assert [entry["seed"] for entry in result.models("twin")] == [0, 1]
    entry = result.models("student")[0]
    assert entry["accuracy"] == scores[1].accuracy
    assert entry["digest"] == scores[1].model.digest
    assert Path(entry["path"]).is_dir()
    assert Path(entry["scorecard"]).is_dir()
    assert json.loads(json.dumps(entry)) == entry
    gains = scores[1].accuracy + scores[2].accuracy - scores[3].accuracy - scores[4].accuracy
    assert result.verdict["difference"] == pytest.approx(gains / 2)
    one_seed = report(toy.bench, [scores[0], scores[1], scores[3]])
    assert one_seed.verdict["outcome"] == "INCONCLUSIVE"


def test_the_best_student_is_chosen_on_dev(bench, made):
    scores = [made("student", 0, 390, dev=0.7), made("student", 1, 200, dev=0.9), made("student", 2, 399, dev=0.9)]
    scores += [made("twin", seed, 395, dev=1.0) for seed in range(3)]
    best = report(bench, scores).best()
    assert (best["seed"], best["accuracy"]) == (1, 0.5), "test chooses nothing, and of equals the first is taken"


def test_only_predictions_decide(bench, made):
    scores = [made(role, seed, 300 + seed) for role in ("student", "twin") for seed in range(2)]
    faster = [replace(score, cost={**COST, "ms_per_text": 0.1}) for score in scores]
    assert Report(tuple(faster), 0.005).key == Report(tuple(scores), 0.005).key
    assert bench.make(Report(tuple(scores), 0.005)).digest == report(bench, scores).digest
