"""Word vectors of a file, in the rows of real tokenizers' words; encoders of any kind either run or are refused."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import (
    AlbertConfig,
    AutoTokenizer,
    BertConfig,
    DistilBertConfig,
    ElectraConfig,
    GPT2Config,
    ModernBertConfig,
    ModernBertForSequenceClassification,
    MPNetConfig,
    RobertaConfig,
    T5Config,
    ViTConfig,
)

from models.embeddings import words_of
from models.families import new_student
from models.families.transformer import copy_layers
from tasks.prepare_student import Origin, PrepareStudent
from tasks.shared.encoder_file import read_encoder
from tasks.shared.errors import StillhouseError
from tasks.shared.outputs import hash_folder
from tasks.shared.word_vectors import read_vectors, size_of
from tests.settled import Student
from tests.tiny import bpe_tokenizer, tiny_bert, tiny_gpt2, unigram_tokenizer, wordpiece_tokenizer
from tests.toy import toy_rows

TEXTS = [text for text, _ in toy_rows(240, seed=0)]
KINDS = {
    "WordPiece": (tiny_bert, wordpiece_tokenizer, ("the", "bank", "very", "soup")),
    "byte-pair": (tiny_gpt2, bpe_tokenizer, ("the", "bank", "very", "soup")),
    "SentencePiece": (tiny_bert, unigram_tokenizer, ("co", "ma", "so")),  # so small a one knows beginnings alone
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_words_vector_is_in_the_row_of_its_token(toy, tmp_path, kind):
    make, tokenizer, words = KINDS[kind]
    base = make(tmp_path / "base", tokenizer(TEXTS))
    vectors = np.random.default_rng(0).normal(size=(len(words), 3)).round(3)
    file = tmp_path / "vectors.txt"
    lines = [f"{word} {' '.join(map(str, vector))}\n" for word, vector in zip(words, vectors.tolist(), strict=True)]
    file.write_text(f"{len(words)} 3\n{''.join(lines)}", encoding="utf-8")
    shape = Student(embedding_size=3, embeddings=str(file))
    prepared = toy.bench(PrepareStudent(toy.data, Origin(base, hash_folder(base), 16), shape))

    start = load_file(prepared.path / "start.safetensors")
    shipped = AutoTokenizer.from_pretrained(prepared.path / "tokenizer")
    rows = []
    for word in words:
        [token] = shipped(f" {word}", add_special_tokens=False)["input_ids"]
        rows.append(int(start["token_map"][token]) if "token_map" in start else token)
    wanted = vectors - vectors.mean(0)
    np.testing.assert_allclose(start["embeddings"][rows], wanted / wanted.std(), atol=1e-5)
    others = np.delete(start["embeddings"].numpy(), rows, axis=0)
    assert 0.9 < others.std() < 1.1, "all else begins at random, of the same size"


@pytest.mark.parametrize("odd", ["Ġ", "▁"])
def test_one_odd_sign_in_a_wordpiece_vocabulary_changes_nothing(odd):
    """Multilingual BERT has such letters."""
    assert words_of(["the", "##ing", "bank", odd])[:3] == ["the", None, "bank"]


def test_lines_of_windows_and_lines_far_down(tmp_path):
    file = tmp_path / "vectors.txt"
    filler = "".join(f"word{number} 1 2 3\r\n" for number in range(20))
    file.write_bytes(f"{filler}the 4 5 6\r\n".encode())
    assert read_vectors(str(file), 3, {"the"})["the"].tolist() == [4, 5, 6]
    for line, complaint in (("the 1 x 3", "line 21: .* is not a word"), ("the 1 2 nan", "line 21 holds a number")):
        file.write_text(f"{filler}{line}\n")
        with pytest.raises(StillhouseError, match=complaint):
            read_vectors(str(file), 3, {"the"})


def test_the_size_is_right_where_the_second_line_holds_a_word_with_a_blank(tmp_path):
    file = tmp_path / "vectors.txt"
    file.write_text("2 3\nnew york 4 5 6\nthe 1 2 3\n")
    assert size_of(str(file)) == 3


# Encoders

_TINY = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}


@pytest.mark.parametrize(
    "config",
    [
        BertConfig(max_position_embeddings=32, **_TINY),
        DistilBertConfig(dim=8, n_layers=1, n_heads=2, hidden_dim=8, max_position_embeddings=32),
        GPT2Config(n_embd=8, n_layer=1, n_head=2, n_positions=32),
        MPNetConfig(max_position_embeddings=34, **_TINY),
        RobertaConfig(max_position_embeddings=34, **_TINY),
        ModernBertConfig(**_TINY, pad_token_id=0),
        ElectraConfig(embedding_size=8, **_TINY),
        T5Config(d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2),
        MPNetConfig(max_position_embeddings=32, **_TINY),
        RobertaConfig(max_position_embeddings=32, **_TINY),
        ElectraConfig(embedding_size=4, **_TINY),
        AlbertConfig(embedding_size=4, **_TINY),
        ViTConfig(**_TINY),  # reads pictures
    ],
    ids=lambda config: config.model_type,
)
def test_what_is_not_refused_reads_as_many_tokens_as_the_student(tmp_path, config):
    file = tmp_path / "config.json"
    file.write_text(json.dumps(config.to_dict()))
    try:
        encoder = read_encoder(str(file), 32)
    except StillhouseError:
        return
    model = new_student("transformer", encoder=encoder, vocab_size=20, embedding_size=6, num_labels=3).eval()
    assert model(input_ids=torch.arange(32)[None] % 20).logits.isfinite().all()


@pytest.mark.parametrize("pad", [0, 1, 500])
def test_an_encoder_carries_no_table_of_tokens_along(pad):
    encoder = BertConfig(pad_token_id=pad, **_TINY).to_dict()
    model = new_student("transformer", encoder=encoder, vocab_size=20, embedding_size=6)
    carried = sum(weights.numel() for name, weights in model.named_parameters() if "word_embeddings" in name)
    assert carried <= 2 * 8


def test_some_layers_of_a_teacher_that_says_of_what_kind_each_is():
    ends = {f"{name}_token_id": place for place, name in enumerate(("pad", "bos", "eos", "cls", "sep"))}
    shape = ModernBertConfig(**_TINY | {"num_hidden_layers": 2}, vocab_size=20, num_labels=3, **ends)
    config, start = copy_layers(ModernBertForSequenceClassification(shape), [0])
    model = new_student("transformer", encoder=config, vocab_size=20, embedding_size=8, num_labels=3).eval()
    model.start_from(start)
    assert model(input_ids=torch.arange(9)[None]).logits.isfinite().all()
