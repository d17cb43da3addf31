"""Step evaluate: predictions on test that anybody can check, and costs that decide nothing."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from tasks.evaluate import COST, PREDICTIONS, QUALITY, Evaluate, correct_of
from tasks.shared.dataset import read_chunks, read_labels
from tasks.shared.recipe import Teacher
from tasks.train_student import TrainStudent
from tasks.train_teacher import TrainTeacher
from tasks.train_twin import TrainTwin


@pytest.fixture
def models(toy):
    """The toy's teacher, a student and a twin."""
    return [toy.teacher, toy.bench(toy.small(TrainStudent)), toy.bench(toy.small(TrainTwin))]


@pytest.fixture
def score(toy):
    return lambda model: toy.bench(Evaluate(toy.data, model))


def quality_of(score):
    return json.loads((score.path / QUALITY).read_text(encoding="utf-8"))


def test_predictions_are_the_models_own(toy, models, score):
    texts = [text for chunk in read_chunks(toy.data.file("test")) for text in chunk.texts]
    for model in models:
        frame = pd.read_parquet(score(model).path / PREDICTIONS)
        [keys] = [chunk.keys for chunk in read_chunks(toy.data.file("test"))]
        assert [bytes(key) for key in frame["key"]] == [key.ljust(32, b"\0") for key in keys.tolist()]
        assert frame["label"].tolist() == read_labels(toy.data.file("test")).tolist()
        network = AutoModelForSequenceClassification.from_pretrained(model.path).eval()
        tokenizer = AutoTokenizer.from_pretrained(model.path)
        for text, predicted in list(zip(texts, frame["predicted"], strict=True))[::9]:
            encoded = tokenizer(text, truncation=True, max_length=16, return_tensors="pt")
            with torch.inference_mode():
                assert network(**encoded).logits[0].argmax().item() == predicted


def test_the_scorecard_follows_from_the_predictions(toy, models, score):
    from sklearn.metrics import f1_score

    for model in models:
        found = score(model)
        frame, card = pd.read_parquet(found.path / PREDICTIONS), quality_of(found)
        assert found.accuracy == card["accuracy"] == (frame["label"] == frame["predicted"]).mean()
        assert found.macro_f1 == card["macro_f1"]
        assert found.macro_f1 == pytest.approx(f1_score(frame["label"], frame["predicted"], average="macro"))
        assert [entry["name"] for entry in card["classes"]] == list(toy.data.classes)
        assert sum(entry["rows"] for entry in card["classes"]) == card["rows"] == toy.data.rows["test"]
        assert correct_of(found).tolist() == (frame["label"] == frame["predicted"]).tolist()
    assert score(toy.teacher).accuracy > 0.7


def test_a_teacher_with_another_class_order_is_read_right(toy, bench, tmp_path):
    step = TrainTeacher(toy.data, Teacher(model=str(toy.reordered(tmp_path)), epochs=0, max_length=16), 0)
    other = bench(step)
    assert other.columns == (1, 2, 0)
    assert other.dev_accuracy == toy.teacher.dev_accuracy
    assert bench(Evaluate(toy.data, other)).digest == toy.bench(Evaluate(toy.data, toy.teacher)).digest


def test_quality_repeats_and_cost_decides_nothing(toy, models, bench):
    step = Evaluate(toy.data, models[1])
    first = bench(step)
    costs = (first.path / COST).read_bytes()
    shutil.rmtree(first.path)
    second = bench(step)
    assert second.digest == first.digest
    assert quality_of(second)["accuracy"] == first.accuracy
    assert (second.path / COST).read_bytes() != costs, "no two measurements of time are the same"


def test_costs_say_what_was_measured_and_where(models, score):
    teacher, student, twin = (score(model).cost for model in models)
    for model, cost in zip(models, (teacher, student, twin), strict=True):
        network = AutoModelForSequenceClassification.from_pretrained(model.path)
        assert cost["parameters"] == sum(weights.numel() for weights in network.parameters())
        assert 0 < cost["parameters_without_embeddings"] < cost["parameters"]
        assert cost["bytes"] == (model.path / "model.safetensors").stat().st_size
        assert cost["ms_per_text"] > 0
        assert cost["texts_per_second"] > 0
        assert {"processor", "cores", "torch"} <= set(cost["machine"])
        assert "machine" not in json.dumps(quality_of(score(model)))
    assert (student["parameters"], student["bytes"]) == (twin["parameters"], twin["bytes"])


def test_what_decides_a_scorecard(toy, models):
    def other(part):
        return replace(toy.data, digests={**toy.data.digests, part: "0"})

    for model in models:
        key = Evaluate(toy.data, model).key
        for part in ("gold", "dev", "transfer"):
            assert Evaluate(other(part), model).key == key
        changed = [
            Evaluate(other("test"), model),
            Evaluate(replace(toy.data, classes=("a", "b", "c")), model),
            Evaluate(toy.data, replace(model, digest="0")),
            Evaluate(toy.data, replace(model, max_length=8)),
            Evaluate(toy.data, replace(model, columns=(2, 1, 0))),
        ]
        assert len({key, *(step.key for step in changed)}) == 6
    assert len({Evaluate(toy.data, model).key for model in models}) == 3
    assert [Evaluate(toy.data, model).title for model in models] == [
        "evaluate teacher 0",
        "evaluate student seed 0",
        "evaluate twin seed 0",
    ]


def test_all_test_rows_are_predicted_however_they_are_read(toy, models, bench, monkeypatch):
    from tasks.shared import dataset

    whole = bench(Evaluate(toy.data, models[1]))
    expected = np.array(correct_of(whole))
    shutil.rmtree(whole.path)
    monkeypatch.setattr(dataset, "ROWS_AT_ONCE", 7)
    assert correct_of(bench(Evaluate(toy.data, models[1]))).tolist() == expected.tolist()
