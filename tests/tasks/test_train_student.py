"""Steps train_student and train_twin: what each learns from, what they share, and that training repeats to the bit."""

import json
import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import models  # noqa: F401 - registers the students with the Auto classes
from models.inference import predict_logits
from models.objectives import Objective, Ramp, SoftCrossEntropy, Weighted
from models.training import Schedule, train
from tasks.fuse import Fuse
from tasks.label import Label
from tasks.load_data import LoadData
from tasks.prepare_student import PrepareStudent
from tasks.shared.dataset import NO_LABEL, read_chunks, read_keys
from tasks.shared.errors import StillhouseError
from tasks.shared.label_files import FolderFiles
from tasks.shared.label_store import LabelStore
from tasks.shared.label_view import read_view
from tasks.shared.recipe_data import Data
from tasks.shared.recipe_learning import Term
from tasks.shared.recipe_teaching import Fuse as FuseOptions
from tasks.train_student import TrainStudent
from tasks.train_teacher import TrainTeacher
from tasks.train_twin import TrainTwin
from tests.settled import Labelling, Student, Teacher, Training
from tests.tiny import bpe_tokenizer, tiny_gpt2
from tests.toy import toy_rows, write_csv

ROWS = toy_rows(240, seed=0)
HARD, SOFT = Term(term="hard"), Term(term="soft", temperature=2.0)


def record_of(output):
    return json.loads((output.path / "manifest.json").read_text(encoding="utf-8"))


def load(record):
    folder = record.path
    return AutoModelForSequenceClassification.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)


# What they learn from


@pytest.fixture
def rows_by_text(toy):
    """What a student learns from: token ids, gold label and teacher's logits by text."""

    def learned(step):
        examples = step.learn_from(toy.bench.context)
        texts = [text for chunk in read_chunks(step.data.file("transfer")) for text in chunk.texts]
        tokens = [ids.tolist() for ids in np.split(examples.encoded.ids, examples.encoded.offsets[1:-1])]
        rows = zip(tokens, examples.labels.tolist(), examples.teacher_logits.tolist(), strict=True)
        return dict(zip(texts, rows, strict=True))

    return learned


def test_each_text_is_paired_with_its_own_logits_and_gold_label_whatever_the_order_of_rows(toy, tmp_path, rows_by_text):
    shuffled = write_csv(tmp_path / "shuffled.csv", random.Random(5).sample(ROWS, len(ROWS)))
    test = write_csv(tmp_path / "test.csv", toy_rows(60, seed=1))
    data = toy.bench(LoadData(Data(train=shuffled, test=test, labels_per_class=40)))
    assert data.digests["transfer"] != toy.data.digests["transfer"]
    view = toy.bench(Label(data, toy.teacher, Labelling(), 0))
    assert view.new == 0
    labels = toy.bench(Fuse(data, (toy.teacher,), (view,), FuseOptions()))
    prepared = toy.bench(PrepareStudent(data, toy.teacher, toy.student))

    first, second = (
        rows_by_text(toy.small(TrainStudent, data=toy.data)),
        rows_by_text(toy.small(TrainStudent, data=data, labels=labels, prepared=prepared)),
    )
    assert first == second

    truth = dict(ROWS)
    gold = {text: label for text, (_, label, _) in first.items() if label != NO_LABEL}
    assert len(gold) == toy.data.rows["gold"]
    assert all(toy.data.classes[label] == truth[text] for text, label in gold.items())
    agree = np.mean([toy.data.classes[np.argmax(logits)] == truth[text] for text, (_, _, logits) in first.items()])
    assert agree > 0.7, "the teacher is right more often than not"


def test_logits_and_tokens_belong_to_the_same_text(toy):
    """The teacher reads each row's tokens, turned back into words, and says what the row's label says."""
    from models.encoding import encode
    from models.teacher import load_classifier

    examples = toy.small(TrainStudent).learn_from(toy.bench.context)
    tokenizer = AutoTokenizer.from_pretrained(toy.prepared.path / "tokenizer")
    offsets = examples.encoded.offsets
    words = [
        tokenizer.decode(examples.encoded.ids[offsets[row] : offsets[row + 1]], skip_special_tokens=True)
        for row in range(30)
    ]
    model, reader = load_classifier(toy.teacher.path, "cpu")
    said = predict_logits(model, encode(reader, words, None, 16), 8)
    np.testing.assert_allclose(examples.teacher_logits[:30], said, atol=1e-4)


def test_labels_that_do_not_cover_the_texts_are_refused(toy):
    other = toy.bench(LoadData(Data(train=str(toy.folder / "test.csv"), test=str(toy.folder / "train.csv"))))
    with pytest.raises(StillhouseError, match=r"texts have no soft label in .*soft-labels.parquet; run with --force"):
        toy.small(TrainStudent, data=other).learn_from(toy.bench.context)


def test_the_twin_sees_gold_texts_and_labels_only(toy):
    step = toy.small(TrainTwin)
    examples = step.learn_from(toy.bench.context)
    [part] = step.objective_for(step._new_model()).parts
    assert type(part.term).__name__ == "HardCrossEntropy"
    assert examples.teacher_logits is None
    assert len(examples.labels) == toy.data.rows["gold"] < toy.data.rows["transfer"]
    assert set(examples.labels.tolist()) == {0, 1, 2}


# What they share


def test_student_and_twin_share_all_but_what_they_learn_from(toy):
    student, twin = toy.small(TrainStudent), toy.small(TrainTwin)
    one, other = student._new_model(), twin._new_model()
    for name, weights in one.state_dict().items():
        assert torch.equal(weights, other.state_dict()[name]), name
    start = load_file(toy.prepared.path / "start.safetensors")["embeddings"]
    assert torch.equal(one.embeddings.weight, start)
    other_seed = toy.small(TrainTwin, seed=1)._new_model()
    assert torch.equal(other_seed.embeddings.weight, start)
    assert not torch.equal(other_seed.classifier.weight, one.classifier.weight)

    made = [toy.bench(step) for step in (student, twin)]
    assert made[0].steps == made[1].steps == student.steps == 2 * -(-216 // 16)
    assert (made[0].path / "tokenizer.json").read_bytes() == (made[1].path / "tokenizer.json").read_bytes()
    assert made[0].digest != made[1].digest
    assert [record.title for record in made] == ["student seed 0", "twin seed 0"]


def test_the_same_few_looks_at_dev(toy):
    looks = []
    for step in (TrainStudent, TrainTwin):
        toy.bench.make(toy.small(step))
        looks.append([at for at, _ in toy.bench.series["dev_accuracy"]])
        assert len(toy.bench.series["loss"]) > 5
    assert looks[0] == looks[1] == [14, 28]


def test_random_embeddings_are_the_same_for_both_and_differ_by_seed(toy):
    plain = Student(embedding_size=8, hidden_size=8, embeddings="random")
    prepared = toy.bench(PrepareStudent(toy.data, toy.teacher, plain))
    tables = [
        toy.small(step, seed, prepared=prepared, student=plain)._new_model().embeddings.weight
        for step, seed in ((TrainStudent, 0), (TrainTwin, 0), (TrainTwin, 1))
    ]
    assert torch.equal(tables[0], tables[1])
    assert not torch.equal(tables[1], tables[2])


# What decides the output


def test_soft_labels_and_objective_are_the_students_own_business(toy):
    other_labels = replace(toy.labels, digest="0")
    keys = {
        toy.small(TrainStudent).key,
        toy.small(TrainStudent, objective=(HARD,)).key,
        toy.small(TrainStudent, objective=(SOFT, HARD)).key,
        toy.small(TrainStudent, objective=(Term(term="soft", temperature=3.0),)).key,
        toy.small(TrainStudent, labels=other_labels).key,
        toy.small(TrainTwin).key,
    }
    assert len(keys) == 6
    assert not {"labels", "objective"} & set(toy.small(TrainTwin).inputs())


@pytest.mark.parametrize("step", [TrainStudent, TrainTwin])
def test_what_both_depend_on(toy, step):
    def other(part):
        return replace(toy.data, digests={**toy.data.digests, part: "0"})

    changes = [
        {"seed": 1},
        {"data": other("gold")},
        {"data": other("dev")},
        {"data": replace(toy.data, classes=("a", "b", "c"))},
        {"prepared": replace(toy.prepared, digest="0")},
        {"training": toy.training.model_copy(update={"epochs": 3})},
        {"training": toy.training.model_copy(update={"learning_rate": 1e-3})},
        {"training": toy.training.model_copy(update={"evaluations": 1})},
        {"student": toy.student.model_copy(update={"hidden_size": 9})},
        {"student": toy.student.model_copy(update={"family": "gru"})},
        {"student": toy.student.model_copy(update={"pooling": "mean"})},
    ]
    keys = {toy.small(step, **change).key for change in [{}, *changes]}
    assert len(keys) == 1 + len(changes)
    assert toy.small(step, data=other("test")).key in keys, "test decides nothing"


@pytest.mark.parametrize("step", [TrainStudent, TrainTwin])
def test_making_it_twice_is_equal_to_the_bit(toy, step):
    first = toy.bench(toy.small(step))
    assert toy.bench.make(toy.small(step)).digest == first.digest
    assert toy.bench(toy.small(step, seed=1)).digest != first.digest


@pytest.mark.parametrize("family", ["rnn", "lstm", "gru", "cnn", "bag", "transformer"])
def test_a_student_whose_training_was_stopped_ends_equal_to_the_bit(toy, family):
    heads = {"heads": 2} if family == "transformer" else {}
    shape = Student(family=family, embedding_size=toy.student.embedding_size, hidden_size=8, **heads)
    step = toy.small(TrainStudent, student=shape, objective=(SOFT, HARD))
    undisturbed = toy.bench(step).digest
    with pytest.raises(KeyboardInterrupt):
        replace(toy.bench, stop_after=5).make(step)
    assert not list(step.folder(toy.bench.workspace).parent.glob(".*")), "nothing half-made is left"
    assert toy.bench.make(step).digest == undisturbed


def test_turning_the_soft_term_off_gives_another_student(toy):
    soft, hard, both = (
        toy.bench(toy.small(TrainStudent, objective=terms)) for terms in ((SOFT,), (HARD,), (SOFT, HARD))
    )
    assert len({soft.digest, hard.digest, both.digest, toy.bench(toy.small(TrainTwin)).digest}) == 4


def test_the_student_follows_its_teacher(toy):
    """Taught by labels of another class order it says the other classes: the soft labels really decide."""
    step = toy.small(TrainStudent, training=Training(epochs=6, batch_size=8, learning_rate=2e-2, evaluations=1))
    examples = step.learn_from(toy.bench.context)
    dev = step.examples("dev")
    swapped = replace(examples, teacher_logits=np.ascontiguousarray(examples.teacher_logits[:, [1, 2, 0]]))
    accuracies = []
    for learned in (examples, swapped):
        model = step._new_model()
        train(
            model,
            learned,
            dev,
            Objective([Weighted(SoftCrossEntropy(), temperature=Ramp(2.0, 2.0))]),
            Schedule(160, 8, 2e-2),
            0,
        )
        accuracies.append((predict_logits(model, dev.encoded, 8).argmax(-1) == dev.labels).mean())
    assert accuracies[0] > 0.6
    assert accuracies[1] < 0.3


# What is saved


def test_the_saved_folder_is_what_was_trained_to_the_last_bit(toy):
    step = toy.small(TrainStudent)
    examples = step.learn_from(toy.bench.context)
    trained = step._new_model()
    objective = step.objective_for(trained)
    dev = step.examples("dev")
    train(trained, examples, dev, objective, Schedule(step.steps, 16, 1e-2, 0.01, 2), step.seed)
    record = toy.bench(step)
    model, tokenizer = load(record)
    assert type(model).__name__ == "RecurrentForSequenceClassification"
    assert {name: weights.tolist() for name, weights in model.state_dict().items()} == {
        name: weights.tolist() for name, weights in trained.state_dict().items()
    }
    np.testing.assert_array_equal(predict_logits(model, dev.encoded, 16), predict_logits(trained, dev.encoded, 16))
    assert record.dev_accuracy == np.mean(predict_logits(model, dev.encoded, 16).argmax(-1) == dev.labels)
    assert tokenizer.model_max_length == record.max_length == toy.teacher.max_length


@pytest.mark.parametrize("family", ["rnn", "gru"])
@pytest.mark.parametrize("pooling", ["last", "attention"])
def test_a_folder_saved_again_is_the_same(toy, tmp_path, family, pooling):
    shape = toy.student.model_copy(update={"family": family, "pooling": pooling, "bidirectional": family == "gru"})
    record = toy.bench(toy.small(TrainTwin, student=shape, training=Training(epochs=1, batch_size=64)))
    assert sorted(path.name for path in record.path.iterdir()) == [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    model, tokenizer = load(record)
    assert list(model.config.id2label.values()) == list(toy.data.classes)
    model.save_pretrained(tmp_path)
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    encoded = tokenizer(["the 球赛 was new", "soup 🍞"], padding=True, return_tensors="pt")
    with torch.inference_mode():
        assert torch.equal(model(**encoded).logits, again(**encoded).logits)


def test_a_student_of_a_teacher_whose_tokenizer_cannot_be_cut(toy, tmp_path):
    base = tiny_gpt2(tmp_path / "gpt2", bpe_tokenizer([text for text, _ in ROWS]))
    teacher = toy.bench(TrainTeacher(toy.data, Teacher(model=str(base), epochs=1, max_length=16), 0))
    view = toy.bench(Label(toy.data, teacher, Labelling(), 0))
    labels = toy.bench(Fuse(toy.data, (teacher,), (view,), FuseOptions()))
    prepared = toy.bench(PrepareStudent(toy.data, teacher, toy.student))
    step = toy.small(TrainStudent, prepared=prepared, labels=labels)
    record = toy.bench(step)
    model, tokenizer = load(record)
    assert model.config.token_map_size == len(tokenizer) > prepared.vocabulary == model.config.vocab_size
    dev = step.examples("dev")
    assert record.dev_accuracy == np.mean(predict_logits(model, dev.encoded, 16).argmax(-1) == dev.labels)
    assert set(record_of(toy.bench.output(step))["inputs"]) >= {"labels", "objective", "seed", "steps"}


def test_labels_by_key_and_by_view_agree(toy):
    keys = read_keys(toy.data.file("transfer"))
    store = LabelStore(FolderFiles(toy.bench.workspace.labels), toy.view.labeller)
    logits = read_view(store, toy.view.view, keys)
    examples = toy.small(TrainStudent).learn_from(toy.bench.context)
    np.testing.assert_array_equal(examples.teacher_logits, logits)
    order = np.random.default_rng(0).permutation(len(keys))
    np.testing.assert_array_equal(read_view(store, toy.view.view, keys[order]), logits[order])
