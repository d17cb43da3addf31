"""Files that a student's shape comes from: word vectors and encoder configurations, and what is wrong with them."""

import json

import numpy as np
import pytest
import torch
from transformers import BertConfig, ConvBertConfig

from models.embeddings import from_vectors, words_of
from tasks.prepare_scratch import PrepareScratch
from tasks.prepare_student import PrepareStudent
from tasks.shared.encoder_file import read_encoder
from tasks.shared.errors import StillhouseError
from tasks.shared.word_vectors import check_vectors, read_vectors, size_of
from tasks.train_scratch import TrainScratch
from tasks.train_student import TrainStudent
from tasks.train_twin import TrainTwin
from tests.settled import Student


@pytest.fixture
def write(tmp_path):
    def written(text, name="vectors.txt"):
        file = tmp_path / name
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(file)

    return written


def test_lines_are_words_and_their_numbers(write):
    file = write("2 3\nthe 1 2 3\nnew york 4 5 6\nthe 7 8 9\nother 0 0 1\n")
    found = read_vectors(file, 3, {"the", "new york", "unseen"})
    assert {word: vector.tolist() for word, vector in found.items()} == {"the": [1, 2, 3], "new york": [4, 5, 6]}
    assert size_of(file) == 3
    check_vectors(file, 3)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("the 1 2\n", r"line 1 has 2 numbers, not 3"),
        ("the 1 2 3 4\n", r"line 1 has 4 numbers, not 3"),
        ("the 1 2 3\nof 1 2\n", r"line 2 has 2 numbers"),
        ("the 1 x 3\n", r"line 1: .* is not a word and its numbers"),
        ("the 1 nan 3\n", r"line 1 holds a number that is not finite"),
        (b"the \xff 2 3\n", r"cannot be read: not UTF-8"),
        ("of 1 2 3\n", r"has none of the 1 words"),
        ("", r"has none of the 1 words"),
        ("the 1 2 3\n\nof 1 2\n", r"line 3 has 2 numbers"),
    ],
)
def test_what_is_wrong_with_a_file_of_vectors_is_one_clear_line(write, text, complaint):
    with pytest.raises(StillhouseError, match=complaint) as caught:
        read_vectors(write(text), 3, {"the"})
    assert "\n" not in str(caught.value)


def test_a_file_without_vectors_is_found_out_before_anything_starts(write):
    for text in ("", "\n\n", "2 3\n"):
        with pytest.raises(StillhouseError, match="holds no word with its numbers"):
            check_vectors(write(text), 3)
    check_vectors(write("the 1 2 3\n"), 3)


@pytest.mark.parametrize(
    "text",
    [
        "the 1 2 3\n\nof 1 2 3\n",
        "2 3\n\nthe 1 2 3\n",
        "the 1 2 3\n\u00a0 1 2 3\nof 1 2 3\n",
        "the 1 2 3\na b 1 1 2 3\n",
    ],
)
def test_the_size_is_that_of_most_of_the_first_lines(write, text):
    """Found by a reviewer: the second line alone was looked at, blank or with a strange word."""
    assert size_of(write(text)) == 3
    check_vectors(write(text), 3)


def test_a_mark_at_the_beginning_and_blank_lines_are_no_words(write):
    assert read_vectors(write(b"\xef\xbb\xbfthe 1 2 3\n\n\n"), 3, {"the"})["the"].tolist() == [1, 2, 3]


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(StillhouseError, match="cannot be read"):
        check_vectors("a\0b", 3)
    for ask in (lambda file: read_vectors(file, 3, {"a"}), lambda file: check_vectors(file, 3), size_of):
        with pytest.raises(StillhouseError, match=r"gone.txt cannot be read: No such file"):
            ask(str(tmp_path / "gone.txt"))


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        (["[PAD]", "the", "##ing", "##s"], ["[PAD]", "the", None, None]),
        (["<|end|>", "Ġthe", "ing", "Ġ"], [None, "the", None, None]),
        (["<pad>", "▁the", "s"], [None, "the", None]),
    ],
)
def test_tokens_that_begin_a_word_stand_for_it(tokens, words):
    assert words_of(tokens) == words


def test_vectors_land_in_the_rows_of_their_words():
    vectors = {"the": np.array([0, 2], np.float32), "bank": np.array([4, 6], np.float32)}
    table = from_vectors(["The", None, "bank", "unseen"], vectors, 2)
    scale = np.array([[-2, -2], [2, 2]]).std()
    np.testing.assert_allclose(table[[0, 2]], np.array([[-2, -2], [2, 2]]) / scale, rtol=1e-6)
    assert table[[1, 3]].std() > 0.1, "without a vector a row begins at random"
    assert torch.equal(table, from_vectors(["The", None, "bank", "unseen"], vectors, 2))


def test_students_and_twins_start_from_the_file(toy, write):
    words = [token for token in ("the", "new", "was") if token]
    file = write("".join(f"{word} {number} {number + 1} 0 1 2 3 4 {number}\n" for number, word in enumerate(words)))
    shape = Student(embedding_size=8, hidden_size=8, embeddings=file)
    step = PrepareStudent(toy.data, toy.teacher, shape)
    prepared = toy.bench(step)
    assert toy.bench.output(step).facts["with_vector"] == len(words)
    tables = [
        toy.small(kind, student=shape, prepared=prepared)._new_model().embeddings.weight
        for kind in (TrainStudent, TrainTwin)
    ]
    assert torch.equal(*tables)
    other = write("the 1 1 1 1 1 1 1 1\nnew 2 1 1 1 1 1 1 1\n", "other.txt")
    changed = shape.model_copy(update={"embeddings": other})
    assert PrepareStudent(toy.data, toy.teacher, changed).key != step.key


# Configurations


_SHAPE = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}


def config(**changes):
    return json.dumps(BertConfig(**_SHAPE, max_position_embeddings=32).to_dict() | changes)


def test_a_configuration_is_read_from_its_file_or_folder(write, tmp_path):
    file = write(config(), "config.json")
    assert read_encoder(file, 32) == read_encoder(str(tmp_path), 32)
    assert read_encoder(file, 32)["hidden_size"] == 8
    assert "id2label" not in read_encoder(file, 32)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (config(model_type="hal9000"), "makes no encoder"),
        (config(hidden_size=7), "makes no encoder"),
        (json.dumps(ConvBertConfig(**_SHAPE, conv_kernel_size=3).to_dict()), "padding changes what it says"),
        (config(max_position_embeddings=16), "reads 16 tokens, the student 32"),
        ("{}", "names no model_type"),
        ("[1", "cannot be read"),
    ],
)
def test_what_is_wrong_with_a_configuration_is_one_clear_line(write, text, complaint):
    with pytest.raises(StillhouseError, match=complaint) as caught:
        read_encoder(write(text, "config.json"), 32)
    assert "\n" not in str(caught.value)


def test_an_encoder_of_another_kind_and_layers_of_the_teacher(toy, write):
    from tests.tasks.test_train_student import load

    shapes = {
        "brought": Student(family="transformer", configuration=write(config(), "config.json"), embedding_size=8),
        "copied": Student(family="transformer", teacher_layers=[0]),
    }
    for name, shape in shapes.items():
        prepared = toy.bench(PrepareStudent(toy.data, toy.teacher, shape))
        step = toy.small(TrainStudent, student=shape, prepared=prepared)
        made = toy.bench(step)
        assert toy.bench.make(step).digest == toy.bench.output(step).digest, name
        model, tokenizer = load(made)
        assert model(**tokenizer("the bank", return_tensors="pt")).logits.shape == (1, 3)
    assert prepared.embedding_size == 32, "the teacher's own width"
    scratch = toy.small(
        TrainScratch, student=shape, prepared=toy.bench(PrepareScratch(toy.data, prepared))
    )._new_model()
    start = step._new_model()
    assert scratch.config.encoder == start.config.encoder, "the same shape for a twin that owes the teacher nothing"
    theirs, _ = load(toy.teacher)
    ours = start.encoder.encoder.layer[0].attention.self.query.weight
    assert torch.equal(ours, theirs.bert.encoder.layer[0].attention.self.query.weight)
    with pytest.raises(StillhouseError, match=r"student.teacher_layers: layers \[3\]: it has 1"):
        toy.bench(PrepareStudent(toy.data, toy.teacher, Student(family="transformer", teacher_layers=[3])))


@pytest.mark.parametrize("family", ["cnn", "bag", "transformer"])
def test_every_family_is_trained_saved_and_the_same_when_made_again(toy, family):
    shape = Student(family=family, embedding_size=8, hidden_size=8)
    step = toy.small(TrainStudent, student=shape)
    first = toy.bench(step)
    assert toy.bench.make(step).digest == first.digest
    assert len({toy.small(TrainStudent, student=shape.model_copy(update={"hidden_size": 16})).key, step.key}) == 2
