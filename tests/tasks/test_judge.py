"""Step judge: the verdict over real scorecards and over made ones whose truth is known."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tasks.evaluate import ScoreRecord, predictions_file
from tasks.fuse import FuseRecord, Mix
from tasks.judge import Judge
from tasks.shared.conditions import NOISY, Noisy, write_noisy
from tasks.shared.dataset import NO_LABEL
from tasks.shared.predictions import Predictions
from tasks.shared.report.content import RESULT
from tasks.shared.scorecard import QUALITY
from tasks.train_student import StudentRecord, TrainStudent
from tasks.train_twin import TrainTwin

COST = {
    "parameters": 10,
    "parameters_without_embeddings": 5,
    "bytes": 40,
    "ms_per_text": 1.0,
    "texts_per_second": 1000.0,
}
FUSED = FuseRecord(Path("labels"), "labels", 400, 1, 0.9, Mix("logits", (1.0,), (0.9,)))


@pytest.fixture
def made(tmp_path):
    """A scorecard of a model that gets so many of 400 test rows right, `each` of one text, and disturbed ones."""

    def score(role, seed, right, dev=0.5, disturbed=None, gold=True, each=1):
        path = tmp_path / f"{role}-{seed}"
        path.mkdir()
        label = np.arange(400, dtype=np.int32) % 2
        is_right = np.repeat(np.random.default_rng(seed).permutation(400 // each) < right / each, each)
        logits = np.eye(2, dtype=np.float32)[np.where(is_right, label, 1 - label)]
        known = label if gold else np.full(400, NO_LABEL, np.int32)
        keys = np.array([f"{row // each:032d}".encode() for row in range(400)])
        Predictions(keys, known, logits).write(path / predictions_file("test"))
        rows = np.arange(400, dtype=np.int32)
        noisy = [Noisy("none", 0.0, rows, is_right)]
        if disturbed is not None:
            noisy.append(Noisy("drop", 0.1, rows[::-1], (is_right & (np.arange(400) < disturbed))[::-1]))
        write_noisy(path / NOISY, noisy if gold else [])
        (path / QUALITY).write_text(json.dumps(QUALITY_OF_NOTHING))
        model = StudentRecord(Path("model"), f"{role}{seed}", role, seed, dev, 10, (0, 1), 16)
        return ScoreRecord(path, f"{role}{seed}", model, right / 400, right / 400, COST)

    return score


_NOTHING = {"temperature": 1.0, "log_loss": None, "brier": None, "ece": None, "bins": []}
QUALITY_OF_NOTHING = {
    "version": 2,
    "rows": 400,
    "labelled": 400,
    "accuracy": None,
    "macro_f1": None,
    "mcc": None,
    "classes": [],
    "calibration": _NOTHING,
    "calibrated": _NOTHING,
    "selective": [],
    "loyalty": None,
    "noise": [],
    "tests": [],
}


def judge(scores, worthwhile=0.005, *draws):
    tables = (tuple(scores), *map(tuple, draws))
    return Judge(tables, (FUSED,) * len(tables), worthwhile)


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
    result = bench(judge(scores))
    assert result.verdict["outcome"] == outcome
    assert result.verdict["difference"] == pytest.approx((sum(student) - sum(twin)) / 400 / len(student))
    assert result.verdict["seeds"] == len(student)
    assert result.verdict["examples"] == 400
    assert result.sentence.startswith(f"{outcome}: ")
    if len(student) == 1:
        assert (result.verdict["low"], result.verdict["high"]) == (-1, 1)
        assert "one seed" in result.sentence


def test_rows_of_one_text_are_one_example_everywhere(bench, made):
    teacher = made("teacher", 0, 390, disturbed=300, each=10)
    scores = [replace(teacher, model=replace(teacher.model, role="teacher"))]
    for role, right in (("student", 360), ("twin", 330)):
        scores += [made(role, seed, right, disturbed=200, each=10) for seed in range(3)]
    result = bench(judge(scores)).result
    verdict = result["verdict"]
    assert (verdict["examples"], verdict["rows"]) == (40, 400)
    assert verdict["difference"] == pytest.approx(30 / 400)
    assert "3 seeds, 40 examples in 400 rows" in verdict["sentence"]
    assert result["teacher"]["difference"]["examples"] == 40
    [found] = result["robustness"]
    assert {one["examples"] for kind in ("drop", "spared") for one in found[kind].values()} == {40}


def test_a_gain_of_no_worth(bench, made):
    scores = [made(role, seed, 300) for role in ("student", "twin") for seed in range(3)]
    assert bench(judge(scores)).verdict["difference"] == 0
    assert bench(judge(scores, 0.9)).verdict["outcome"] == "NO BETTER"
    assert judge(scores, 0.9).key != judge(scores).key


def test_the_result_of_a_whole_run(toy):
    scores = [toy.bench(toy.evaluate(toy.teacher))]
    for step in (TrainStudent, TrainTwin):
        scores += [toy.bench(toy.evaluate(toy.bench(toy.small(step, seed)))) for seed in (0, 1)]
    result = toy.bench(Judge((tuple(scores),), (toy.labels,), 0.005))
    written = json.loads((result.path / RESULT).read_text(encoding="utf-8"))
    fields = {"outcome", "difference", "low", "high", "seeds", "examples", "worthwhile", "se_seeds", "se_examples"}
    assert fields <= set(written["verdict"])
    assert written == result.result
    assert written["version"] == 4
    assert result.verdict["sentence"] == result.sentence
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
    against = written["teacher"]
    assert against["accuracy"] == scores[0].accuracy
    mean = (scores[1].accuracy + scores[2].accuracy) / 2
    assert against["retention"]["value"] == pytest.approx(mean / scores[0].accuracy)
    conditions = [(one["noise"], one["strength"]) for one in written["robustness"]]
    assert conditions == [("all kinds", 0.2), ("drop", 0.2), ("case", 0.2), ("adversary", 1.0), ("adversary", 2.0)]
    together, *single = (one["accuracy"]["twin"] for one in written["robustness"][:3])
    assert together == pytest.approx(sum(single) / 2)
    for one in written["robustness"]:
        assert set(one["drop"]) == {"teacher", "student", "twin"}
        assert one["drop"]["student"]["mean"] == pytest.approx(one["clean"]["student"] - one["accuracy"]["student"])
    one_seed = toy.bench(Judge(((scores[0], scores[1], scores[3]),), (toy.labels,), 0.005))
    assert one_seed.verdict["outcome"] == "INCONCLUSIVE"


def test_students_against_whatever_baselines_there_are(bench, made):
    counts = {"student": 380, "twin": 300, "scratch": 250, "unaugmented": 379}
    scores = [made(role, seed, right + seed) for role, right in counts.items() for seed in range(3)]
    against = bench(judge(scores)).result["against"]
    assert list(against) == ["twin", "scratch", "unaugmented"]
    assert against["scratch"]["outcome"] == "BEATS"
    assert "than the same without the teacher's tokenizer and embeddings (" in against["scratch"]["sentence"]
    assert against["unaugmented"]["difference"] == pytest.approx(1 / 400)


def test_a_teacher_that_is_nothing_but_labels_is_not_compared(bench, made):
    scores = [made(role, seed, 300) for role in ("student", "twin") for seed in range(2)]
    assert bench(judge(scores)).result["teacher"] is None


def test_draws_of_labels_judge_the_method(bench, made):
    draws = [
        [
            made(role, 10 * draw + seed, 390 if role == "student" else 300 + draw)
            for role in ("student", "twin")
            for seed in range(2)
        ]
        for draw in range(4)
    ]
    result = bench(judge(draws[0], 0.005, *draws[1:]))
    method = result.result["draws"]
    assert (method["outcome"], method["seeds"], method["unit"]) == ("BEATS", 4, "draw")
    assert method["difference"] == pytest.approx((390 - 301.5) / 400)
    assert "4 draws" in method["sentence"]
    assert result.verdict["difference"] == pytest.approx(90 / 400)
    assert bench(judge(draws[0])).result["draws"] is None


def test_draws_that_are_the_same_say_nothing_of_the_method(toy, bench, made):
    draws = [[made(role, 10 * draw + seed, 390) for role in ("student", "twin") for seed in (0, 1)] for draw in (0, 1)]
    step = judge(draws[0], 0.005, draws[1])
    other = replace(toy.data, digests={**toy.data.digests, "gold": "0"})
    assert bench(replace(step, data=(toy.data, other))).result["draws"]["seeds"] == 2
    assert bench.warnings == []
    assert bench(replace(step, data=(toy.data, toy.data))).result["draws"] is None
    assert "of 2 draws of labels 1 differ" in bench.warnings[0]


def test_several_teachers_are_each_compared_by_itself(toy, bench, made):
    scores = [made("teacher", 0, 380, disturbed=360), made("teacher", 1, 300, disturbed=100)]
    scores = [replace(score, model=replace(toy.teacher, number=n)) for n, score in enumerate(scores)]
    scores += [made(role, seed + 5, 390, disturbed=390) for role in ("student", "twin") for seed in range(2)]
    fused = replace(FUSED, teachers=2, mix=Mix("logits", (1.0, 1.0), (0.9, 0.8)))
    result = bench(replace(judge(scores), fused=(fused,))).result
    [found] = result["robustness"]
    first, second = (found["drop"][f"teacher {number}"] for number in (0, 1))
    assert (first["seeds"], second["seeds"]) == (1, 1)
    assert first["mean"] < 0.15 < second["mean"]
    assert "teacher" not in found["drop"]
    assert result["teacher"]["accuracy"] is not None


def test_noise_costs_are_paired_by_text(bench, made):
    scores = [made("student", seed, 390, disturbed=390) for seed in range(2)]
    scores += [made("twin", seed + 5, 390, disturbed=200) for seed in range(2)]
    [found] = bench(judge(scores)).result["robustness"]
    assert (found["noise"], found["strength"], found["rows"]) == ("drop", 0.1, 400)
    assert found["drop"]["twin"]["mean"] == pytest.approx(0.5, abs=0.03)
    assert found["drop"]["student"]["mean"] < 0.03
    assert found["spared"]["twin"]["low"] > 0
    assert found["clean"]["student"] == 390 / 400


def test_without_gold_labels_there_is_no_verdict_and_no_number_that_looks_like_one(bench, made):
    scores = [made(role, seed, 300, gold=False) for role in ("student", "twin") for seed in range(2)]
    result = bench(judge(scores))
    assert result.verdict["outcome"] == "INCONCLUSIVE"
    assert result.verdict["examples"] == 0
    assert "no test example has a gold label" in result.sentence
    assert (result.result["against"], result.result["robustness"], result.result["teacher"]) == ({}, [], None)


def test_the_best_student_is_chosen_on_dev(bench, made):
    scores = [made("student", 0, 390, dev=0.7), made("student", 1, 200, dev=0.9), made("student", 2, 399, dev=0.9)]
    scores += [made("twin", seed, 395, dev=1.0) for seed in range(3)]
    best = bench(judge(scores)).best()
    assert (best["seed"], best["accuracy"]) == (1, 0.5), "test chooses nothing, and of equals the first is taken"


def test_only_predictions_decide(bench, made):
    scores = [made(role, seed, 300 + seed) for role in ("student", "twin") for seed in range(2)]
    faster = [replace(score, cost={**COST, "ms_per_text": 0.1}) for score in scores]
    assert judge(faster).key == judge(scores).key
    assert bench.make(judge(scores)).digest == bench(judge(scores)).digest
