"""Cost: parameters and bytes of a known model, times that are there, nothing left changed."""

import time

import pytest
import torch
from safetensors import safe_open
from transformers import BartConfig, BartForSequenceClassification, BertConfig, BertForSequenceClassification

from models.cost import Sample, flops, machine, peak_memory, size, speed
from models.families import new_student
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
        found = speed(bert, Sample(TOKENIZER, texts, pairs, 16))
        assert torch.get_num_threads() == threads + 1
        with pytest.raises(ValueError, match="text input"):
            speed(bert, Sample(TOKENIZER, [None], None, 16))
        assert torch.get_num_threads() == threads + 1
    finally:
        torch.set_num_threads(threads)
    assert 0 < found["ms_per_text"] <= found["ms_per_text_p95"]
    assert 0 < found["cpu_ms_per_text"] <= 1.05 * found["ms_per_text"]
    assert 0 <= found["waited"] < 1
    assert found["load"] >= 0
    assert 1 <= found["single_texts"] <= len(texts)
    assert found["texts_per_second"] > 0
    assert (found["texts"], found["max_length"]) == (len(texts), 16)


def test_time_in_which_the_thread_has_no_core_is_told_apart(bert):
    """The thread is put to sleep, as a system does that has others to serve: its own time does not grow with that."""
    sample = Sample(TOKENIZER, TEXTS[:1] * 60, None, 16)
    alone = speed(bert, sample)
    sleeping = bert.register_forward_pre_hook(lambda *_: time.sleep(0.02))
    crowded = speed(bert, sample)
    sleeping.remove()
    assert crowded["waited"] > 0.5
    assert crowded["ms_per_text"] > 20
    assert crowded["cpu_ms_per_text"] < min(20, 5 * alone["cpu_ms_per_text"])


def test_operations_of_a_bert_by_hand(bert):
    """Per layer and token four projections, two of the feed-forward, and attention over all tokens; then the head."""
    [tokens] = Sample(TOKENIZER, TEXTS[:1], None, 16).encode(0, 1).lengths
    layer = 2 * tokens * (4 * 8 * 8 + 2 * 8 * 16) + 2 * 2 * tokens * tokens * 8
    assert flops(bert.eval(), Sample(TOKENIZER, TEXTS[:1], None, 16)) == layer + 2 * 8 * 8 + 2 * 8 * 3


@pytest.mark.parametrize(("family", "gates"), [("lstm", 4), ("gru", 3), ("rnn", 1)])
def test_operations_of_a_student_by_hand(family, gates):
    shape = {"embedding_size": 6, "hidden_size": 5, "pooling": "max", "id2label": dict(enumerate("abc"))}
    model = new_student(family, vocab_size=len(TOKENIZER), **shape)
    sample = Sample(TOKENIZER, TEXTS[:3], None, 16)
    cells = 2 * sample.encode(0, 3).lengths.mean() * 2 * gates * 5 * (6 + 5)
    assert flops(model, sample) == pytest.approx(cells + 2 * 10 * 3)


@pytest.mark.parametrize(
    ("family", "shape", "by_hand"),
    [
        ("cnn", {"kernel_sizes": [2, 3]}, lambda tokens: 2 * tokens * (2 + 3) * 6 * 8 + 2 * 16 * 3),
        ("bag", {"num_hidden_layers": 2}, lambda tokens: 2 * (6 * 8 + 8 * 8) + 2 * 8 * 3),
        (
            "transformer",
            {"num_attention_heads": 2, "num_hidden_layers": 1},  # widened, four projections, attention, feed-forward
            lambda tokens: 2 * tokens * (6 * 8 + 4 * 8 * 8 + 2 * 8 * 32) + 2 * 2 * tokens**2 * 8 + 2 * 8 * 3,
        ),
    ],
)
def test_operations_of_students_without_recurrence_by_hand(family, shape, by_hand):
    model = new_student(
        family, vocab_size=len(TOKENIZER), embedding_size=6, hidden_size=8, id2label=dict(enumerate("abc")), **shape
    )
    sample = Sample(TOKENIZER, TEXTS[:1], None, 16)
    [tokens] = sample.encode(0, 1).lengths
    assert flops(model.eval(), sample) == by_hand(tokens)


def test_peak_memory_is_weights_and_what_lives_at_once(bert):
    """Eight times as many tokens need about eight times the memory for tensors, whatever the weights take."""
    weights = sum(tensor.numel() * 4 for tensor in bert.state_dict().values())
    few, many = (peak_memory(bert, Sample(TOKENIZER, [text] * 32, None, 32)) for text in ("cat", "cat " * 30))
    assert weights < few < many
    assert 3 < (many - weights) / (few - weights) < 30


def test_machine_says_what_measured():
    found = machine()
    assert found["cores"] >= 1
    assert found["memory_gib"] > 0
    assert found["torch"] == torch.__version__
    assert all(found[name] for name in ("processor", "system", "python", "threads"))
