"""What a model's files tell of it: how many tokens it can read, which it knows, and that all is there and sane."""

import json
import os
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from transformers import AutoConfig, AutoModelForSequenceClassification

from models.classifier import TextClassifier
from models.positions import readable_tokens
from tasks.shared.errors import StillhouseError
from tasks.shared.model_folder.look import check_length, check_names, look_at
from tests.tiny import SHAPE, word_tokenizer

WORDS = ["some words of a text"]


def a_model(folder, config=None, tokens=8, tokenizer_tokens=8, **shapes):
    """The files of a classifier of two classes that is told of from outside alone."""
    folder.mkdir(exist_ok=True)
    described = {"model_type": "bert", "vocab_size": tokens, "hidden_size": 4, **(config or {})}
    (folder / "config.json").write_text(json.dumps(described))
    vocabulary = {f"t{number}": number for number in range(tokenizer_tokens)}
    (folder / "tokenizer.json").write_text(json.dumps({"model": {"type": "WordPiece", "vocab": vocabulary}}))
    weights = {
        "bert.embeddings.word_embeddings.weight": (tokens, 4),
        "bert.embeddings.position_embeddings.weight": (16, 4),
        "classifier.weight": (2, 4),
        **shapes,
    }
    save_file({name: np.zeros(shape, np.float32) for name, shape in weights.items()}, folder / "model.safetensors")
    return folder


def complaint(function, *arguments):
    with pytest.raises(StillhouseError) as caught:
        function(*arguments)
    return str(caught.value)


# How many tokens it reads


@pytest.mark.parametrize(
    ("kind", "positions"),
    {
        "bert": 64,
        "roberta": 62,
        "mpnet": 62,
        "ibert": 62,
        "distilbert": 64,
        "gpt2": 64,
        "gptj": 64,
        "opt": 64,
        "roformer": 64,
        "llama": None,
        "bloom": None,
    }.items(),
)
def test_positions_are_told_from_the_files_as_the_model_has_them(tmp_path, kind, positions):
    tokenizer = word_tokenizer(WORDS)
    shape = {**SHAPE, "initializer_range": 0.02, "vocab_size": len(tokenizer), "num_labels": 2}
    config = AutoConfig.for_model(kind, **shape, pad_token_id=1 if positions == 62 else 0)
    for name, value in {"rotary_dim": 4, "word_embed_proj_dim": 16, "embedding_size": 16, "hidden_dim": 32}.items():
        if hasattr(config, name):
            setattr(config, name, value)
    model = AutoModelForSequenceClassification.from_config(config).eval()
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    assert look_at(tmp_path).positions == positions
    if positions is None:
        return
    assert readable_tokens(model) == positions

    def read(tokens):
        with torch.no_grad():
            model(input_ids=torch.full((1, tokens), 7), attention_mask=torch.ones((1, tokens), dtype=torch.long))

    read(positions)
    with pytest.raises((IndexError, RuntimeError)):
        read(positions + 1)
    long = TextClassifier(model, tokenizer).probabilities(["words " * 100], None)
    assert long.shape == (1, 2), "what it cannot read is cut off"


def test_a_length_beyond_the_positions_is_refused_and_a_default_gives_way(tmp_path):
    found = look_at(a_model(tmp_path / "bert"))
    check_length(found, 16, "at")
    said = complaint(check_length, found, 17, "teachers.0.max_length")
    assert said.startswith("teachers.0.max_length: ")
    assert "has positions for 16 tokens of a text, not for 17; set it to 16 or less" in said


# Which tokens and classes it knows


def test_tokens_without_an_embedding_are_refused_with_the_way_to_mend_it(tmp_path):
    assert look_at(a_model(tmp_path / "fewer", tokenizer_tokens=7)).token_rows == 8
    said = complaint(look_at, a_model(tmp_path / "more", tokenizer_tokens=9))
    assert "has tokens up to number 8 ('t8'), its weights hold 8 embeddings" in said
    assert "model.resize_token_embeddings(9)" in said
    added = a_model(tmp_path / "added")
    (added / "added_tokens.json").write_text('{"<new>": 8}')
    assert "('<new>')" in complaint(look_at, added)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ({"0": "a", "2": "b"}, "numbers its classes 0, 2 in the id2label"),
        ({"1": "a", "2": "b"}, "numbers its classes 1, 2 in the id2label of its config.json; number them 0 to 1"),
        ({"0": "a", "1": "b", "2": "spare"}, "names 3 classes in the id2label of its config.json and has 2 outputs"),
    ],
)
def test_names_that_do_not_number_the_outputs_are_refused(tmp_path, names, said):
    assert said in complaint(check_names, look_at(a_model(tmp_path / "m", {"id2label": names})), "teachers.0.model")


def test_good_names_are_in_the_order_of_the_outputs(tmp_path):
    assert check_names(look_at(a_model(tmp_path / "m", {"id2label": {"1": "b", "0": "a"}})), "") == ["a", "b"]
    assert check_names(look_at(a_model(tmp_path / "n")), "") == []


def test_pickled_weights_and_sentence_pieces_alone_are_refused_with_a_way_to_convert_them(tmp_path, monkeypatch):
    pickled = a_model(tmp_path / "pickled")
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    said = complaint(look_at, pickled)
    assert "has no .safetensors weights; convert it" in said
    assert "save_pretrained" in said
    pieces = a_model(tmp_path / "pieces")
    (pieces / "tokenizer.json").rename(pieces / "spm.model")
    monkeypatch.setattr("tasks.shared.model_folder.files.find_spec", lambda name: None)
    assert "reading its spm.model takes the package sentencepiece, which is missing" in complaint(look_at, pieces)
    (pieces / "spm.model").unlink()
    assert "has no tokenizer files" in complaint(look_at, pieces)


# Damaged and hostile


def replaced(name, content):
    return lambda folder: (folder / name).write_bytes(content)


def configured(**settings):
    return lambda folder: a_model(folder, settings)


def pipe(folder):
    (folder / "tokenizer.json").unlink()
    os.mkfifo(folder / "tokenizer.json")


def link_to_itself(folder):
    (folder / "vocab.txt").symlink_to("vocab.txt")


def folder_for_a_file(folder):
    (folder / "merges.txt").mkdir()


def tokenizing(**parts):
    """A tokenizer with parts of its own."""

    def damage(folder):
        file = folder / "tokenizer.json"
        words = {"type": "WordLevel", "unk_token": "t0", "vocab": {"t0": 0}}
        file.write_text(json.dumps({"version": "1.0", "added_tokens": [], "model": words, **parts}))

    return damage


def splitting(pattern):
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


def replacing(text, content):
    return {"type": "Replace", "pattern": {"String": text}, "content": content}


def sharded(name):
    def damage(folder):
        (folder / "model.safetensors").rename(folder / "shard.safetensors")
        index = {"weight_map": {"classifier.weight": name}}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))

    return damage


DAMAGES = {
    "a million layers": (configured(num_hidden_layers=10**6), "num_hidden_layers: 1000000, which its weights do not"),
    "absurd width": (configured(hidden_size=10**9), "hidden_size: 1000000000, which"),
    "absurd vocabulary": (configured(vocab_size=10**9), "vocab_size: 1000000000, which"),
    "absurd positions": (configured(max_position_embeddings=10**12), "max_position_embeddings: 1000000000000, which"),
    "no vocabulary": (configured(vocab_size=0), "vocab_size: 0, which"),
    "a negative width": (configured(hidden_size=-4), "hidden_size: -4, which"),
    "a word for a width": (configured(hidden_size="wide"), "hidden_size: 'wide', which"),
    "no heads": (configured(num_attention_heads=0), "num_attention_heads: 0, which"),
    "deep config.json": (replaced("config.json", b"[" * 200_000), "config.json is broken (nested more than"),
    "deep tokenizer.json": (replaced("tokenizer.json", b"[" * 200_000), "tokenizer.json is broken (nested more than"),
    "deep objects": (replaced("tokenizer_config.json", b'{"a":' * 200_000), "tokenizer_config.json is broken ("),
    "a list for config.json": (replaced("config.json", b"[]"), "config.json is broken, it holds no object"),
    "an empty tokenizer_config.json": (replaced("tokenizer_config.json", b""), "tokenizer_config.json is broken ("),
    "a number for a token": (replaced("tokenizer_config.json", b'{"pad_token": 5}'), "says pad_token: 5, which cannot"),
    "a negative length": (
        replaced("tokenizer_config.json", b'{"model_max_length": -4}'),
        "model_max_length: -4, which",
    ),
    "a list of tokens": (
        replaced("tokenizer_config.json", b'{"added_tokens_decoder": [1]}'),
        "added_tokens_decoder: [1]",
    ),
    "bytes that are no UTF-8": (replaced("config.json", b'{"a": "\xff"}'), "config.json is broken ("),
    "NUL bytes": (replaced("config.json", b"\0" * 99), "config.json is broken ("),
    "empty weights": (replaced("model.safetensors", b""), "are missing or cut off ("),
    "a lying header": (replaced("model.safetensors", b"\xff" * 64), "are missing or cut off ("),
    "a pipe": (pipe, "tokenizer.json is a device or a pipe"),
    "a link to itself": (link_to_itself, "vocab.txt is a link that leads nowhere"),
    "a shard above": (sharded("../shard.safetensors"), "index.json names weights outside its folder"),
    "a shard elsewhere": (sharded("/etc/hostname"), "index.json names weights outside its folder"),
    "the folder above for a shard": (sharded(".."), "are missing or cut off ("),
    "a shard without a name": (sharded(""), "are missing or cut off ("),
    "a shard that is no name": (sharded([7]), "are missing or cut off ("),
    "a folder for a file": (folder_for_a_file, "merges.txt is a folder, not a plain file"),
}

TOKENIZERS = {
    "a pattern that panics": (tokenizing(pre_tokenizer=splitting("(x+x+)+y")), "cannot be used: it fails: Onig: Regex"),
    "a pattern that is none": (tokenizing(pre_tokenizer=splitting("(")), "cannot be used: it fails: Oniguruma error"),
    "a damaged table of characters": (
        tokenizing(normalizer={"type": "Precompiled", "precompiled_charsmap": "CAAAAAECAwQFBgcI"}),
        "cannot be used: it fails: index out of bounds",
    ),
    "a pattern that does not end": (
        tokenizing(pre_tokenizer=splitting(r"\w*\d*\w*\s$")),
        "cannot be used: it takes more than ",
    ),
    "texts that grow without end": (
        tokenizing(normalizer=replacing("", "a" * 2_000_000)),
        "cannot be used: it takes more than 1 GB for a few texts of 3,000 characters, or crashes; copy it again",
    ),
}


@pytest.mark.parametrize("case", [*DAMAGES, *TOKENIZERS])
def test_a_damaged_or_hostile_folder_is_refused_in_a_line(tmp_path, monkeypatch, case):
    damage, said = {**DAMAGES, **TOKENIZERS}[case]
    monkeypatch.setattr("tasks.shared.model_folder.tokenizer._SECONDS", 1)
    monkeypatch.setattr("tasks.shared.model_folder.tokenizer._MEMORY", 300_000_000)
    folder = a_model(tmp_path / "m")
    damage(folder)
    began = time.monotonic()
    message = complaint(look_at, folder, "teachers.0.model: ")
    assert time.monotonic() - began < 30, "two seconds where nothing else runs"
    assert message.startswith("teachers.0.model: ")
    assert said in message
    assert message.isprintable()


def test_a_tokenizer_may_have_no_file_of_its_own_name(tmp_path):
    folder = a_model(Path(tmp_path / "m"))
    (folder / "tokenizer.json").rename(folder / "vocab.txt")
    assert look_at(folder).token_rows == 8


def test_patterns_of_well_known_models_are_no_fault(tmp_path):
    folder = a_model(tmp_path / "m")
    numbers = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    spaces = {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}
    tokenizing(pre_tokenizer=splitting(numbers), normalizer=spaces)(folder)
    assert look_at(folder).token_rows == 8


def test_a_tokenizer_of_plain_parts_starts_no_process(tmp_path, monkeypatch):
    monkeypatch.setattr(subprocess, "run", lambda *arguments, **settings: pytest.fail("tried in a process"))
    word_tokenizer(WORDS).save_pretrained(a_model(tmp_path / "m", tokens=400))
    assert look_at(tmp_path / "m").token_rows == 400
