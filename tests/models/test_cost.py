"""Cost: parameters and bytes of a known model, times that are there, nothing left changed."""

import pytest
import torch
from safetensors import safe_open
from transformers import BartConfig, BartForSequenceClassification, BertConfig, BertForSequenceClassification

from models.cost import machine, size, speed
from tests.tiny import wordpiece_tokenizer

TEXTS = [f"the cat sat on mat number {number}" for number in range(70)]
TOKENIZER = wordpiece_tokenizer(TEXTS)


@pytest.fixture(scope="module")
def bert():
    shape = BertConfig(
        vocab_size=len(TOKENIZER),
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=32,
        num_labels=3,
    )
    return BertForSequenceClassification(shape)


def test_size_of_a_known_model(bert, tmp_path):
    bert.save_pretrained(tmp_path)
    (tmp_path / "notes.txt").write_text("no weights")
    file = tmp_path / "model.safetensors"
    with safe_open(file, "pt") as stored:
        parameters = sum(stored.get_tensor(name).numel() for name in stored.keys())  # noqa: SIM118 - no mapping
    norm = 2 * 8
    layer = 4 * (8 * 8 + 8) + (8 * 16 + 16) + (16 * 8 + 8) + 2 * norm
    body = norm + layer + (8 * 8 + 8) + (8 * 3 + 3)
    assert size(bert, tmp_path) == {
        "parameters": parameters,
        "parameters_without_embeddings": body,
        "bytes": file.stat().st_size,
    }
    assert parameters == body + (len(TOKENIZER) + 32 + 2) * 8


def test_shared_tables_count_once(tmp_path):
    """BART's encoder and decoder read the same table through modules of their own."""
    sides = {
        f"{side}_{name}": value
        for side in ("encoder", "decoder")
        for name, value in {"layers": 1, "attention_heads": 1, "ffn_dim": 4}.items()
    }
    shape = BartConfig(vocab_size=60, d_model=4, max_position_embeddings=8, **sides)
    model = BartForSequenceClassification(shape)
    found = size(model, tmp_path)
    positions = 2 * (8 + 2) * 4
    assert found["parameters"] - found["parameters_without_embeddings"] == 60 * 4 + positions
    assert found["bytes"] == 0


@pytest.mark.parametrize(("texts", "pairs"), [(TEXTS, None), (TEXTS[:6], TEXTS[6:12]), (TEXTS[:1], None)])
def test_speed_is_measured_and_threads_are_given_back(bert, texts, pairs):
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        found = speed(bert, TOKENIZER, texts, pairs, 16)
        assert torch.get_num_threads() == threads + 1
        with pytest.raises(ValueError, match="text input"):
            speed(bert, TOKENIZER, [None], None, 16)
        assert torch.get_num_threads() == threads + 1
    finally:
        torch.set_num_threads(threads)
    assert found["ms_per_text"] > 0
    assert found["texts_per_second"] > 0
    assert (found["texts"], found["max_length"]) == (len(texts), 16)


def test_machine_says_what_measured():
    found = machine()
    assert found["cores"] >= 1
    assert found["memory_gib"] > 0
    assert found["torch"] == torch.__version__
    assert all(found[name] for name in ("processor", "system", "python", "threads"))
