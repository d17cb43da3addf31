"""Step embed: a teacher's vectors belong to their texts, are made once, and a killed step goes on to the same bytes."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from tasks.embed import VECTORS, Embed
from tasks.shared.dataset import read_chunks
from tasks.shared.errors import StillhouseError
from tasks.shared.recipe_learning import Term
from tasks.train_student import TrainStudent
from tests.bench import Bench
from tests.settled import Labelling
from tests.tasks.test_train_student import load

SMALL = Labelling(tokens_per_batch=70)


@pytest.fixture
def bench(tmp_path):
    from tasks.shared.workspace import Workspace

    return Bench(Workspace(tmp_path / "home"))


def embed(toy, layers=(-1,)):
    return Embed(toy.data, toy.teacher, SMALL, 0, layers)


def test_a_text_has_the_mean_state_of_its_tokens(toy):
    record = toy.bench(embed(toy))
    vectors = record.load()
    texts = [text for chunk in read_chunks(toy.data.file("transfer")) for text in chunk.texts]
    assert vectors.shape == (len(texts), 1, 32)
    assert vectors.dtype == np.float16
    tokenizer = AutoTokenizer.from_pretrained(toy.teacher.path)
    model = AutoModelForSequenceClassification.from_pretrained(toy.teacher.path).eval()
    for row in range(0, len(texts), 25):
        encoded = tokenizer(texts[row], truncation=True, max_length=16, return_tensors="pt")
        with torch.inference_mode():
            wanted = model.base_model(**encoded).last_hidden_state[0].mean(0)
        np.testing.assert_allclose(vectors[row, 0], wanted, atol=2e-3, rtol=2e-3)
    assert not np.isclose(vectors[0], vectors[1]).all()


def test_what_was_embedded_is_not_embedded_again_and_labels_are_apart(toy, bench):
    step = embed(toy)
    assert bench.output(step).facts["new"] == toy.data.rows["transfer"]
    first = bench.output(step)
    again = bench.make(step)
    assert again.facts["new"] == 0
    assert again.digest == first.digest
    assert len(list(bench.workspace.labels.iterdir())) == 1
    assert step.labeller.id != toy.view.labeller.id


def test_a_killed_step_goes_on_to_the_same_bytes(toy, tmp_path):
    from tasks.shared.workspace import Workspace

    whole, broken = Bench(Workspace(tmp_path / "whole")), Bench(Workspace(tmp_path / "broken"))
    wanted = whole.output(embed(toy))
    broken.stop_after = 100
    with pytest.raises(KeyboardInterrupt):
        broken.make(embed(toy))
    broken.stop_after = None
    made = broken.output(embed(toy))
    assert made.digest == wanted.digest
    assert (made.path / VECTORS).read_bytes() == (wanted.path / VECTORS).read_bytes()


def test_layers_that_are_not_there_are_told(toy):
    with pytest.raises(StillhouseError, match=r"hidden cannot look into teacher 0: it has 1 layers.*no 7"):
        embed(toy, (7,)).inputs()


def test_a_student_learns_from_vectors_of_its_own_texts_alone(toy):
    record = toy.bench(embed(toy))
    terms = (Term(term="hidden"), Term(term="soft"))
    step = toy.small(TrainStudent, objective=terms, vectors=record)
    assert step.learn_from(toy.bench.context).teacher_vectors.shape == record.load().shape
    made = toy.bench(step)
    assert toy.bench.make(step).digest == toy.bench.output(step).digest
    assert made.digest != toy.bench(toy.small(TrainStudent, objective=terms[1:])).digest
    assert load(made)[0].config.family == "lstm", "what a term learnt is not part of the student"
    other = toy.small(TrainStudent, objective=terms, vectors=replace(record, texts="0"))
    with pytest.raises(StillhouseError, match=r"are of other texts; run with --force embed"):
        other.learn_from(toy.bench.context)
    assert toy.small(TrainStudent, objective=terms, vectors=replace(record, digest="0")).key != step.key
