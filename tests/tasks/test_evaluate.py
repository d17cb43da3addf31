"""Step evaluate: predictions on test that anybody can check, and costs that decide nothing."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from tasks.evaluate import predictions_file
from tasks.measure import Measure
from tasks.shared.conditions import NOISY, read_noisy
from tasks.shared.dataset import read_chunks, read_labels
from tasks.shared.errors import StillhouseError
from tasks.shared.predictions import read_predictions
from tasks.shared.scorecard import COST, QUALITY, Cost, Quality, busy, read_card
from tasks.train_student import TrainStudent
from tasks.train_teacher import TrainTeacher
from tasks.train_twin import TrainTwin
from tests.settled import Teacher

PREDICTIONS = predictions_file("test")


@pytest.fixture
def models(toy):
    """The toy's teacher, a student and a twin."""
    return [toy.teacher, toy.bench(toy.small(TrainStudent)), toy.bench(toy.small(TrainTwin))]


@pytest.fixture
def score(toy):
    return lambda model: toy.bench(toy.evaluate(model))


def test_a_teacher_answers_as_it_labelled(toy, score):
    exact, asked = score(toy.teacher), toy.evaluate(toy.teacher, precision="bf16")
    assert asked.key != toy.evaluate(toy.teacher).key
    found = toy.bench(asked)
    apart = np.abs(found.test.logits - exact.test.logits)
    assert 0 < apart.max() < 0.1
    assert read_card(found.path / COST, Cost).parameters == read_card(exact.path / COST, Cost).parameters
    assert read_card(found.path / COST, Cost).bytes == read_card(exact.path / COST, Cost).bytes


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
        assert found.test.right.tolist() == (frame["label"] == frame["predicted"]).tolist()
    assert score(toy.teacher).accuracy > 0.7


def test_a_teacher_with_another_class_order_is_read_right(toy, bench, tmp_path):
    step = TrainTeacher(toy.data, Teacher(model=str(toy.reordered(tmp_path)), epochs=0, max_length=16), 0)
    other = bench(step)
    assert other.columns == (1, 2, 0)
    assert other.dev_accuracy == toy.teacher.dev_accuracy
    found, wanted = (one.test.logits for one in (bench(toy.evaluate(other)), toy.bench(toy.evaluate(toy.teacher))))
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_quality_repeats_and_cost_decides_nothing(toy, models, bench):
    step = toy.evaluate(models[1])
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
        step = toy.evaluate(model)
        for part in ("gold", "transfer"):
            assert replace(step, data=other(part)).key == step.key
        changed = [
            replace(step, data=other("test")),
            replace(step, data=other("dev")),  # the temperature and the thresholds are dev's
            replace(step, data=replace(toy.data, classes=("a", "b", "c"))),
            *(replace(step, model=replace(model, **change)) for change in ({"digest": "0"}, {"max_length": 8})),
            replace(step, model=replace(model, columns=(2, 1, 0))),
            replace(step, disturbed=replace(step.disturbed, digest="0")),
            replace(step, robustness=step.robustness.model_copy(update={"adversary": 3})),
        ]
        assert len({step.key, *(one.key for one in changed)}) == 9
    assert len({toy.evaluate(model).key for model in models}) == 3
    assert [toy.evaluate(model).title for model in models] == [
        "evaluate teacher 0",
        "evaluate student seed 0",
        "evaluate twin seed 0",
    ]


def test_all_test_rows_are_predicted_however_they_are_read(toy, models, bench, monkeypatch):
    from tasks.shared import dataset

    step = toy.evaluate(models[1])
    whole = bench(step).test
    monkeypatch.setattr(dataset, "ROWS_AT_ONCE", 7)
    parts = step.read(bench.make(step)).test
    np.testing.assert_allclose(parts.logits, whole.logits, atol=1e-5)
    assert parts.keys.tolist() == whole.keys.tolist()


def test_temperature_and_thresholds_come_from_dev(toy, models, score):
    from models.calibration import fit_temperature
    from models.metrics import selective

    for model in models:
        found = score(model)
        dev, card = found.on("dev"), found.quality
        assert card.calibrated.temperature == pytest.approx(fit_temperature(dev.logits, dev.gold))
        again = selective(found.test.said, dev.said, card.calibrated.temperature)
        assert [one.threshold for one in card.selective] == [one["threshold"] for one in again]
        assert card.calibration.temperature == 1.0


def test_loyalty_is_to_the_teacher(toy, models, score):
    teacher, student, twin = map(score, models)
    assert teacher.quality.loyalty is None
    for found in (student, twin):
        same = found.test.logits.argmax(-1) == teacher.test.logits.argmax(-1)
        assert found.quality.loyalty.label == pytest.approx(same.mean())
        assert 0 < found.quality.loyalty.probability < 1


def test_disturbed_texts_are_scored_against_themselves_undisturbed(toy, models, score):
    for model in models:
        found = score(model)
        frame = pd.read_parquet(found.path / NOISY)
        clean = frame[frame["noise"] == "none"].set_index("row")["right"]
        assert clean.tolist() == found.test.right[clean.index].tolist()
        told = {(one.noise, one.strength): one for one in found.quality.noise}
        assert set(told) == {("drop", 0.2), ("case", 0.2), ("adversary", 1.0), ("adversary", 2.0)}
        for (noise, strength), one in told.items():
            some = frame[(frame["noise"] == noise) & (frame["strength"] == strength)]
            assert (one.rows, one.accuracy) == (len(some), some["right"].mean())
            assert one.clean == clean[some["row"]].mean()
        assert told["adversary", 2.0].accuracy <= told["adversary", 1.0].accuracy <= told["adversary", 1.0].clean
        # An uncased tokenizer does not see the case of a word.
        assert told["case", 0.2].accuracy == told["case", 0.2].clean


def test_a_cost_card_of_the_version_before_is_still_read(score, models, tmp_path):
    content = json.loads((score(models[1]).path / COST).read_text(encoding="utf-8"))
    older = {name: value for name, value in content.items() if name not in ("cpu_ms_per_text", "waited", "load")}
    (tmp_path / COST).write_text(json.dumps({**older, "version": 2}))
    assert read_card(tmp_path / COST, Cost).ms_per_text == content["ms_per_text"]


def test_one_student_of_each_shape_is_timed(toy):
    """Another seed, learning rate or dropout is no other shape, and would only bring noise into a choice."""
    changes = [{}, {"seed": 1}, {"student": toy.student.model_copy(update={"dropout": 0.4})}]
    wider = {"student": toy.student.model_copy(update={"hidden_size": toy.student.hidden_size + 1})}
    students = [toy.bench(toy.small(TrainStudent, **more)) for more in [*changes, wider]]
    assert len({student.digest for student in students}) == 4
    costs = [toy.bench(Measure(toy.data, student)).cost for student in students]
    assert costs[0] == costs[1] == costs[2]
    assert costs[3]["parameters"] > costs[0]["parameters"]


def test_what_a_busy_machine_does_to_times_is_told():
    assert busy([None, 0.0, 0.05]) == ""
    assert "other processes had the core for up to 43% of the time" in busy([0.02, 0.43, None])


def test_a_scorecard_of_another_version_or_damaged_is_refused(score, models, tmp_path):
    path = score(models[1]).path
    for name, kind, newest in ((QUALITY, Quality, 2), (COST, Cost, 3)):
        read_card(path / name, kind)
        content = json.loads((path / name).read_text(encoding="utf-8"))
        for wrong in ({**content, "version": 1}, {**content, "more": 1}, {"version": 2}):
            (tmp_path / name).write_text(json.dumps(wrong))
            with pytest.raises(StillhouseError, match=f"damaged or not of version {newest}; run the recipe again"):
                read_card(tmp_path / name, kind)
    with pytest.raises(StillhouseError, match="cannot be read"):
        read_card(tmp_path / "none.json", Cost)
    (tmp_path / NOISY).write_bytes(b"x")
    for read, name in ((read_predictions, PREDICTIONS), (read_noisy, NOISY)):
        with pytest.raises(StillhouseError, match=r"is gone or damaged; make it anew: .* --force evaluate"):
            read(tmp_path / name)
