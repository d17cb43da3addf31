"""All student families: padding changes nothing, folders load elsewhere to the last bit, they can learn anything."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertConfig, DistilBertConfig, MPNetConfig

from models.encoding import Encoded
from models.families import CONFIGS, new_student
from models.objectives import HardCrossEntropy, Objective, Weighted
from models.student import POOLINGS, Pool
from models.training import Examples, Schedule, train

ROOT = Path(__file__).parents[2]
TOKENS = 50
LENGTHS = (3, 1, 60, 17, 2)
_TINY = {"num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": 80}
ENCODERS = {
    "mpnet": MPNetConfig(hidden_size=12, intermediate_size=16, **_TINY),
    "distilbert": DistilBertConfig(
        dim=12, hidden_dim=16, n_layers=2, n_heads=2, max_position_embeddings=80, dropout=0.0, attention_dropout=0.0
    ),
}
SHAPES = {
    "lstm": {},
    "gru, last state": {"pooling": "last"},
    "rnn, one direction": {"bidirectional": False, "pooling": "attention"},
    "lstm, deep": {"num_hidden_layers": 2, "pooling": "mean"},
    "transformer": {"num_attention_heads": 2},
    "transformer, max": {"num_attention_heads": 2, "pooling": "max"},
    "transformer, mpnet": {"encoder": ENCODERS["mpnet"].to_dict()},
    "transformer, distilbert": {"encoder": ENCODERS["distilbert"].to_dict(), "pooling": "attention"},
    "cnn": {},
    "cnn, wide": {"kernel_sizes": [1, 2, 7]},
    "bag": {},
    "bag, no layer": {"num_hidden_layers": 0},
}


def student(name, **settings):
    torch.manual_seed(0)
    shape = {"vocab_size": TOKENS, "embedding_size": 6, "id2label": {0: "no", 1: "yes", 2: "so so"}}
    if "encoder" not in SHAPES[name]:
        shape["hidden_size"] = 8
    return new_student(name.partition(",")[0], **{**shape, **SHAPES[name], **settings}).eval()


def texts(lengths=LENGTHS, high=TOKENS):
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(high, (length,), generator=generator) for length in lengths]


def padded(rows, extra=0):
    """A batch filled up with tokens that also occur in texts, so that only the mask can tell them apart."""
    width = max(map(len, rows)) + extra
    ids = torch.full((len(rows), width), 7)
    mask = torch.zeros(len(rows), width, dtype=torch.int64)
    for place, row in enumerate(rows):
        ids[place, : len(row)] = row
        mask[place, : len(row)] = 1
    return {"input_ids": ids, "attention_mask": mask}


def logits(model, **batch):
    with torch.no_grad():
        return model(**batch).logits


def test_every_family_is_tested():
    assert {name.partition(",")[0] for name in SHAPES} == set(CONFIGS)


@pytest.mark.parametrize("name", SHAPES)
def test_neither_padding_nor_batch_mates_nor_their_order_move_a_logit(name):
    model, rows = student(name), texts()
    alone = torch.cat([logits(model, input_ids=row[None]) for row in rows])
    torch.testing.assert_close(logits(model, **padded(rows)), alone, atol=2e-6, rtol=0)
    torch.testing.assert_close(logits(model, **padded(rows, extra=9)), alone, atol=2e-6, rtol=0)
    torch.testing.assert_close(logits(model, **padded(rows[::-1])), alone.flip(0), atol=2e-6, rtol=0)
    assert alone.std(0).min() > 1e-3, "texts must differ, or this shows nothing"


@pytest.mark.parametrize("name", SHAPES)
def test_text_without_a_token_is_read_as_one_padding_token(name):
    model = student(name)
    found = logits(model, **padded([*texts(), torch.tensor([], dtype=torch.int64)]))[-1]
    torch.testing.assert_close(found, logits(model, input_ids=torch.tensor([[7]]))[0], atol=2e-6, rtol=0)


@pytest.mark.parametrize("name", SHAPES)
def test_token_map_and_starting_vectors_take_effect(name):
    plain, mapped = student(name), student(name, token_map_size=4)
    table, token_map = torch.randn(TOKENS, 6), torch.tensor([30, 10, 49, 10])
    mapped.load_state_dict(plain.state_dict(), strict=False)
    plain.start_from({"embeddings": table})
    mapped.start_from({"embeddings": table, "token_map": token_map})
    ids = torch.tensor([[0, 1, 2, 3]])
    assert torch.equal(logits(mapped, input_ids=ids), logits(plain, input_ids=token_map[ids]))
    assert torch.equal(plain.get_input_embeddings().weight, table)
    with pytest.raises(ValueError, match="nonsense"):
        plain.start_from({"nonsense": table})


@pytest.mark.parametrize("name", SHAPES)
def test_states_have_the_widths_that_are_told(name):
    model, batch = student(name), padded(texts())
    with torch.no_grad():
        states = model(**batch, output_hidden_states=True).hidden_states
    assert tuple(state.shape[-1] for state in states) == model.state_widths
    assert {state.shape[:2] for state in states} == {batch["input_ids"].shape}
    assert model(**batch).hidden_states is None


@pytest.mark.parametrize("name", SHAPES)
def test_dropout_is_off_in_evaluation_and_on_in_training(name):
    model, batch = student(name, dropout=0.5), padded(texts())
    assert torch.equal(logits(model, **batch), logits(model, **batch))
    model.train()
    assert not torch.equal(logits(model, **batch), logits(model, **batch))


@pytest.mark.parametrize("name", SHAPES)
def test_it_learns_32_examples_by_heart_and_the_same_each_time(name):
    rows = 32
    generator = np.random.default_rng(0)
    lengths = generator.integers(3, 9, rows)
    ids = generator.integers(0, TOKENS, lengths.sum()).astype(np.int32)
    encoded = Encoded(ids, np.empty(0, np.uint8), np.cumsum([0, *lengths]), 0)
    examples = Examples(encoded, generator.integers(0, 3, rows))
    ends = []
    for _ in range(2):
        more = {"hidden_size": 24} if "encoder" not in SHAPES[name] else {}
        model = student(name, dropout=0.0, embedding_size=32, **more)
        schedule = Schedule(steps=150, batch_size=16, learning_rate=1e-2, weight_decay=0.0)
        history = train(model, examples, examples, Objective([Weighted(HardCrossEntropy())]), schedule, 3)
        ends.append({key: weights.clone() for key, weights in model.state_dict().items()})
    assert history.loss[-1][1] < 0.05
    assert all(torch.equal(weights, ends[1][key]) for key, weights in ends[0].items())


def test_loss_with_labels_is_the_mean_cross_entropy():
    model, batch, labels = student("lstm"), padded(texts()), torch.tensor([0, 1, 2, 0, 1])
    found = model(**batch, labels=labels)
    torch.testing.assert_close(found.loss, -found.logits.log_softmax(1)[range(5), labels].mean())
    assert model(**batch).loss is None


def test_what_cannot_be_is_refused():
    with pytest.raises(KeyError, match="lsmt"):
        new_student("lsmt")
    for family, config in CONFIGS.items():
        other = next(name for name in CONFIGS if CONFIGS[name] is not config)
        with pytest.raises(ValueError, match=other):
            config(family=other)
        assert config().family in config.families, family
    with pytest.raises(ValueError, match="median"):
        Pool("median", 3)
    with pytest.raises(ValueError, match="multiple"):
        new_student("transformer", hidden_size=10, num_attention_heads=4)


def test_saved_folder_loads_elsewhere_to_the_last_bit(tmp_path):
    batch, wanted = padded(texts(high=20)), {}
    for name in SHAPES:
        model = student(name, token_map_size=20)
        model.start_from({"token_map": torch.randperm(TOKENS)[:20]})
        model.save_pretrained(tmp_path / name)
        wanted[name] = logits(model, **batch).numpy()
        assert [file.name for file in (tmp_path / name).iterdir() if file.suffix not in (".json", ".safetensors")] == []
    np.savez(tmp_path / "batch.npz", **{name: tensor.numpy() for name, tensor in batch.items()})
    code = """
import sys, pathlib, numpy, torch, models
from transformers import AutoModelForSequenceClassification
torch.set_num_threads(1)
folder = pathlib.Path(sys.argv[1])
batch = {name: torch.from_numpy(array) for name, array in numpy.load(folder / "batch.npz").items()}
found = {}
for saved in sorted(path for path in folder.iterdir() if path.is_dir()):
    model = AutoModelForSequenceClassification.from_pretrained(saved)
    assert not model.training and model.config.id2label == {0: "no", 1: "yes", 2: "so so"}, model.config
    found[saved.name] = model(**batch).logits.detach().numpy()
numpy.savez(folder / "found.npz", **found)
"""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    wanted = {name: logits(student_from(tmp_path / name), **batch).numpy() for name in wanted}
    torch.set_num_threads(threads)
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, check=True)
    found = np.load(tmp_path / "found.npz")
    for name, expected in wanted.items():
        assert np.array_equal(found[name], expected), name


def student_from(folder):
    from transformers import AutoModelForSequenceClassification

    return AutoModelForSequenceClassification.from_pretrained(folder).eval()


def test_a_saved_folder_holds_the_very_weights(tmp_path):
    for name in SHAPES:
        model = student(name)
        model.save_pretrained(tmp_path / name)
        again = student_from(tmp_path / name)
        assert {key: weights.tolist() for key, weights in again.state_dict().items()} == {
            key: weights.tolist() for key, weights in model.state_dict().items()
        }
        assert again.config.family == model.config.family


def test_poolings_are_all_tried():
    tried = {SHAPES[name].get("pooling") for name in SHAPES}
    assert set(POOLINGS) <= tried


def test_a_transformer_carries_no_table_of_tokens_but_its_own():
    model = student("transformer")
    encoder = sum(weights.numel() for name, weights in model.named_parameters() if "word_embeddings" in name)
    assert encoder == 8, "one row, for a configuration needs one"
    assert not any("pooler" in name for name, _ in model.named_parameters())
    assert BertConfig(**model.config.encoder).hidden_size == 8
