"""Step label: each text gets what the teacher says of it, once, and a killed labelling ends as an undisturbed one."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from tasks.label import Label
from tasks.label_shard import LabelShard
from tasks.load_data import LoadData
from tasks.shared import label_plan
from tasks.shared.dataset import read_chunks, read_keys
from tasks.shared.label_files import FolderFiles
from tasks.shared.label_store import LabelStore
from tasks.shared.label_view import read_view
from tasks.shared.recipe_data import Data
from tasks.shared.shards import Shard
from tasks.shared.workspace import Workspace
from tasks.train_teacher import TrainTeacher
from tests.bench import Bench
from tests.settled import Labelling, Teacher
from tests.tiny import bpe_tokenizer, tiny_gpt2
from tests.toy import toy_rows, write_csv


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(label_plan, "ROWS_IN_PART", 50)


@pytest.fixture
def load(bench, tmp_path):
    """Data of so many rows, and of more texts."""

    def from_rows(count=150, more=(), **options):
        files = {
            "train": write_csv(tmp_path / "train.csv", toy_rows(count, seed=0)),
            "test": write_csv(tmp_path / "test.csv", toy_rows(9, seed=1)),
        }
        if more:
            files["unlabelled"] = [write_csv(tmp_path / "more.csv", [[text] for text in more], ["text"])]
        return bench(LoadData(Data(**files, **options)))

    return from_rows


def labels_of(bench, view, data):
    """What a view says of the transfer texts, by text."""
    store = LabelStore(FolderFiles(bench.workspace.labels), view.labeller)
    logits = read_view(store, view.view, read_keys(data.file("transfer")))
    return dict(
        zip([text for chunk in read_chunks(data.file("transfer")) for text in chunk.texts], logits, strict=True)
    )


def said_by(folder, text, columns, pair=None):
    """What a classifier says of one text by itself."""
    model, tokenizer = AutoModelForSequenceClassification.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    encoded = tokenizer(text, pair, truncation=True, max_length=16, return_tensors="pt")
    with torch.inference_mode():
        return model(**encoded).logits[0, list(columns)].numpy()


def files_of(bench):
    return {path.name: path.read_bytes() for path in bench.workspace.labels.glob("*/parts/*")}


def test_each_text_gets_what_the_teacher_says_of_it(toy, bench, load):
    data = load()
    view = bench(Label(data, toy.teacher, Labelling(tokens_per_batch=70), 0))
    labels = labels_of(bench, view, data)
    assert view.new == len(labels) == data.rows["transfer"]
    assert len(files_of(bench)) == 2 * 3
    for text in list(labels)[::11]:
        np.testing.assert_allclose(labels[text], said_by(toy.teacher.path, text, toy.teacher.columns), atol=1e-5)
    right = np.mean(
        [labels[text].argmax() == data.classes.index(label) for text, label in toy_rows(150, 0) if text in labels]
    )
    assert right > 0.6


def test_a_teacher_with_another_class_order(toy, bench, load, tmp_path):
    data = load()
    folder = toy.reordered(tmp_path / "other-order")
    teacher = bench(TrainTeacher(data, Teacher(model=str(folder), epochs=0, max_length=16), 0))
    assert teacher.columns == (1, 2, 0)
    labels = labels_of(bench, bench(Label(data, teacher, Labelling(), 0)), data)
    for text in list(labels)[::30]:
        sport, food, money = said_by(folder, text, (0, 1, 2))
        np.testing.assert_allclose(labels[text], [food, money, sport], atol=1e-5)


def test_pairs_and_a_decoder_without_a_pad_token(bench, tmp_path):
    rows = [(text, f"or {label}?", label) for text, label in toy_rows(60, seed=0)]
    paths = {
        part: write_csv(tmp_path / f"{part}.csv", rows[:end], ("text", "other", "label"))
        for part, end in (("train", 60), ("test", 6))
    }
    data = bench(LoadData(Data(**paths, text_pair="other")))
    gpt2 = tiny_gpt2(tmp_path / "gpt2", bpe_tokenizer([" ".join(row) for row in rows]))
    teacher = bench(TrainTeacher(data, Teacher(model=str(gpt2), epochs=1, max_length=16), 0))
    labels = labels_of(bench, bench(Label(data, teacher, Labelling(), 0)), data)
    for text, pair, _ in rows[:60:13]:
        if text in labels:
            np.testing.assert_allclose(labels[text], said_by(teacher.path, text, teacher.columns, pair), atol=1e-5)


@pytest.mark.parametrize("settled_before", [True, False])
def test_labels_of_a_decoder_with_two_padding_tokens_are_those_of_each_text_alone(
    bench, load, tmp_path, settled_before
):
    """Also those of a teacher that was made before its padding was settled."""
    data, rows = load(), toy_rows(150, seed=0)
    tokenizer = bpe_tokenizer([text for text, _ in rows])
    tokenizer.add_special_tokens({"pad_token": "<pad>"})
    gpt2 = tiny_gpt2(tmp_path / "gpt2", tokenizer)
    teacher = bench(TrainTeacher(data, Teacher(model=str(gpt2), epochs=1, max_length=16), 0))
    config = json.loads((teacher.path / "config.json").read_text())
    (teacher.path / "config.json").write_text(json.dumps(config | {"pad_token_id": tokenizer.eos_token_id}))
    if settled_before:
        teacher = bench(TrainTeacher(data, Teacher(model=str(teacher.path), epochs=0, max_length=16), 0))
    labels = labels_of(bench, bench(Label(data, teacher, Labelling(), 0)), data)
    for text in list(labels)[::17]:
        np.testing.assert_allclose(labels[text], said_by(teacher.path, text, teacher.columns), atol=1e-5)


def test_what_was_labelled_is_not_labelled_again(toy, bench, load):
    before = load()
    first = bench(Label(before, toy.teacher, Labelling(), 0))
    new = [f"new text {number}" for number in range(70)]
    known = toy_rows(150, seed=0)[0][0]
    data = load(more=[*new, known, new[0]], seed=1)
    second = bench(Label(data, toy.teacher, Labelling(), 0))
    fresh = set(labels_of(bench, second, data)) - set(labels_of(bench, first, before))
    assert second.new == len(fresh)
    assert set(new) <= fresh
    assert second.store == first.store
    third = bench(Label(load(seed=1), toy.teacher, Labelling(), 0))
    assert third.new == 0
    assert third.digest != second.digest
    both = labels_of(bench, first, before), labels_of(bench, third, load(seed=1))
    assert all(np.array_equal(both[0][text], both[1][text]) for text in set(both[0]) & set(both[1]))


@pytest.mark.parametrize("stop_after", [1, 60, 100, 120])
def test_a_killed_labelling_goes_on_and_ends_equal_to_the_byte(toy, bench, load, tmp_path, stop_after):
    data = load()
    assert data.rows["transfer"] == 120
    step = Label(data, replace(toy.teacher, max_length=9), Labelling(tokens_per_batch=128), 0)
    undisturbed = Bench(Workspace(tmp_path / "undisturbed"))
    expected = undisturbed(step)
    assert 0 < expected.truncated < 120

    bench.stop_after = stop_after
    with pytest.raises(KeyboardInterrupt):
        bench(step)
    assert len(files_of(bench)) == 2 * ((stop_after - 1) // 50), "whole parts only"
    bench.stop_after = None
    resumed = bench(step)
    assert files_of(bench) == files_of(undisturbed)
    assert replace(resumed, path=expected.path) == expected
    assert not any(bench.workspace.plans.glob("*"))


def test_a_plan_that_was_begun_is_kept_whatever_is_labelled_meanwhile(toy, bench, load, tmp_path):
    data = load()
    step = Label(data, toy.teacher, Labelling(tokens_per_batch=128), 0)
    bench.stop_after = 60
    with pytest.raises(KeyboardInterrupt):
        bench(step)
    bench.stop_after = None
    bench(Label(load(seed=3, more=["new"]), toy.teacher, Labelling(tokens_per_batch=128), 0))
    bench(step)
    undisturbed = Bench(Workspace(tmp_path / "undisturbed"))
    undisturbed(step)
    assert files_of(undisturbed).items() <= files_of(bench).items()


def test_what_decides_a_view_and_a_store(toy, load):
    data = load()
    step = Label(data, toy.teacher, Labelling(), 0)
    other_transfer = replace(data, digests={**data.digests, "transfer": "0"})
    other_parts = replace(data, digests={**data.digests, "gold": "0", "dev": "0", "test": "0"})
    assert Label(other_parts, toy.teacher, Labelling(), 0).key == step.key
    assert Label(data, toy.teacher, Labelling(tokens_per_batch=1), 0).key == step.key, "no promise but 1e-4 rests on it"
    assert Label(other_transfer, toy.teacher, Labelling(), 0).key != step.key
    assert Label(other_transfer, toy.teacher, Labelling(), 0).labeller == step.labeller
    for teacher in (replace(toy.teacher, digest="0"), replace(toy.teacher, max_length=8)):
        other = Label(data, teacher, Labelling(), 0)
        assert other.key != step.key
        assert other.labeller.id != step.labeller.id
    reordered = Label(replace(data, classes=data.classes[::-1]), toy.teacher, Labelling(), 0)
    assert reordered.labeller.id != step.labeller.id


def test_truncation_is_told_with_its_share(toy, bench, load):
    data = load(more=["soup " * 40])
    view = bench(Label(data, replace(toy.teacher, max_length=6), Labelling(), 0))
    assert view.truncated > data.rows["transfer"] / 2
    [warning] = bench.warnings
    rows = data.rows["transfer"]
    share = f"{view.truncated / rows:.1%}"
    assert f"the teacher saw only the first 6 tokens of {view.truncated} of {rows} texts ({share})" in warning
    assert "teachers.0.max_length" in warning
    step = Label(data, replace(toy.teacher, max_length=6), Labelling(), 0)
    assert step.summary(view).endswith(f"{share} of those cut off at 6 tokens")


def test_a_lower_precision_is_a_labeller_of_its_own_and_what_it_costs_is_written_down(toy, bench, load):
    data = load()
    exact, rough = (
        bench(step := Label(data, toy.teacher, Labelling(**options), 0))
        for options in ({}, {"precision": "int8", "stored": "float16"})
    )
    assert exact.lost == {}
    assert rough.labeller != exact.labeller
    assert rough.lost["deviation_texts"] == data.rows["transfer"] / 4
    assert 0 < rough.lost["deviation_mean"] < rough.lost["deviation_largest"] < 0.5
    assert 0 < rough.lost["rounding_largest"] < 0.01
    assert "; int8 names the class that fp32 does for " in step.summary(rough)
    one, other = labels_of(bench, exact, data), labels_of(bench, rough, data)
    assert 0 < max(np.abs(one[text] - other[text]).max() for text in one) < 0.5


def test_a_plan_that_others_have_carried_out_meanwhile_is_dropped(toy, bench, load):
    data = load()
    step = Label(data, toy.teacher, Labelling(), 0)
    bench.stop_after = 60
    with pytest.raises(KeyboardInterrupt):
        bench(step)
    bench.stop_after = None
    for index in (0, 1):
        bench(LabelShard(data, toy.teacher, Labelling(), 0, Shard(index, 2)))
    assert bench(step).new == 0
    assert list(bench.workspace.plans.glob("*")) == []
