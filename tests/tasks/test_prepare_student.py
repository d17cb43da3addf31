"""Step prepare_student: the vocabulary, token ids and starting vectors that students and twins share."""

from dataclasses import replace

import numpy as np
import pytest
from safetensors.torch import load_file
from transformers import AutoTokenizer

from models.encoding import Encoded
from tasks.load_data import LoadData
from tasks.prepare_student import ENCODED_PARTS, PrepareStudent
from tasks.shared.dataset import read_chunks
from tasks.shared.recipe_data import Data
from tests.settled import Student
from tests.toy import toy_rows, write_csv


@pytest.mark.parametrize("part", ENCODED_PARTS)
def test_token_ids_are_those_of_the_shipped_tokenizer_in_the_order_of_the_rows(toy, part):
    tokenizer = AutoTokenizer.from_pretrained(toy.prepared.path / "tokenizer")
    assert tokenizer.model_max_length == toy.teacher.max_length == toy.prepared.max_length
    encoded = Encoded.load(toy.prepared.path / part)
    texts = [text for chunk in read_chunks(toy.data.file(part)) for text in chunk.texts]
    assert len(encoded) == len(texts) == toy.data.rows[part]
    for row, text in enumerate(texts):
        ids = encoded.ids[encoded.offsets[row] : encoded.offsets[row + 1]]
        assert ids.tolist() == tokenizer(text, truncation=True)["input_ids"]
        assert ids.max() < toy.prepared.vocabulary


def test_the_vocabulary_is_cut_to_the_transfer_texts(toy):
    teacher = AutoTokenizer.from_pretrained(toy.teacher.path)
    shipped = AutoTokenizer.from_pretrained(toy.prepared.path / "tokenizer")
    assert len(shipped) == toy.prepared.vocabulary < len(teacher)
    for chunk in read_chunks(toy.data.file("transfer")):
        for text in chunk.texts:
            assert shipped.tokenize(text)[:10] == teacher.tokenize(text)[:10]


def test_the_commonest_of_the_teachers_other_tokens_fill_the_vocabulary_up(toy, tmp_path):
    rows = [row for row in toy_rows(90, seed=0) if row[1] != "sport"]
    train, dev = (
        write_csv(tmp_path / "train.csv", rows),
        write_csv(tmp_path / "dev.csv", [(text, "food") for text, _ in toy_rows(30, seed=1)]),
    )
    data = toy.bench(LoadData(Data(train=train, dev=dev, test=dev)))
    size = len(AutoTokenizer.from_pretrained(toy.teacher.path))
    few, all_ = (
        toy.bench(PrepareStudent(data, toy.teacher, Student(embedding_size=8, vocabulary=tokens)))
        for tokens in (0, size)
    )
    assert few.covered < all_.covered == 1
    assert few.vocabulary < all_.vocabulary <= size


def test_the_start_is_the_teachers_or_nothing(toy):
    start = load_file(toy.prepared.path / "start.safetensors")
    assert start["embeddings"].shape == (toy.prepared.vocabulary, 8)
    random = toy.bench(PrepareStudent(toy.data, toy.teacher, Student(embedding_size=8, embeddings="random")))
    assert "embeddings" not in load_file(random.path / "start.safetensors")
    assert random.vocabulary == toy.prepared.vocabulary


def test_it_is_made_of_what_its_key_says(toy):
    def key(data=toy.data, teacher=toy.teacher, **student):
        return PrepareStudent(data, teacher, Student(**{"embedding_size": 8} | student)).key

    def other(part):
        return replace(toy.data, digests={**toy.data.digests, part: "0"})

    same = [key(), key(hidden_size=99), key(family="gru"), key(dropout=0.0), key(other("test"))]
    assert len(set(same)) == 1
    changed = [key(other(part)) for part in ENCODED_PARTS]
    changed += [key(embedding_size=9), key(embeddings="random"), key(vocabulary=30)]
    changed += [key(teacher=replace(toy.teacher, digest="0")), key(teacher=replace(toy.teacher, max_length=8))]
    assert len({same[0], *changed}) == 1 + len(changed)


def test_making_it_twice_gives_the_same_bytes(toy):
    step = PrepareStudent(toy.data, toy.teacher, toy.student)
    assert toy.bench.make(step).digest == toy.prepared.digest
    assert not [path for path in toy.prepared.path.rglob("*") if path.suffix in (".pt", ".bin", ".pkl")]
    for file in toy.prepared.path.rglob("*.npy"):
        np.load(file, allow_pickle=False)


def test_how_much_of_unseen_text_the_vocabulary_covers_is_told(toy, tmp_path):
    rows = toy_rows(90, seed=0)
    unseen = [text for text, name in rows if name == "sport"][:2]
    write_csv(tmp_path / "train.csv", [row for row in rows if row[1] != "sport"])
    write_csv(tmp_path / "dev.csv", [(text, "food") for text in unseen])
    train, dev = (str(tmp_path / name) for name in ("train.csv", "dev.csv"))
    step = PrepareStudent(toy.bench(LoadData(Data(train=train, dev=dev, test=dev))), toy.teacher, toy.student)
    prepared = toy.bench(step)
    teacher = AutoTokenizer.from_pretrained(toy.teacher.path)
    known = AutoTokenizer.from_pretrained(prepared.path / "tokenizer").get_vocab()
    tokens = [token for text in unseen for token in teacher.convert_ids_to_tokens(teacher(text)["input_ids"])]
    assert prepared.covered == pytest.approx(sum(token in known for token in tokens) / len(tokens))
    assert prepared.covered < 0.9
    assert f"{prepared.covered:.1%} of dev's" in step.summary(prepared)
