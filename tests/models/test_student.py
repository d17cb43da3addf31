"""The recurrent students: padding changes nothing, folders load elsewhere to the last bit, the layers are torch's."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from models.student import POOLINGS, RecurrentConfig, RecurrentForSequenceClassification

ROOT = Path(__file__).parents[2]
FAMILIES = ("rnn", "lstm", "gru")
TOKENS = 50
LENGTHS = (3, 1, 200, 17, 2)


def student(**settings):
    torch.manual_seed(0)
    shape = {"vocab_size": TOKENS, "embedding_size": 6, "hidden_size": 5, "id2label": {0: "no", 1: "yes", 2: "so so"}}
    return RecurrentForSequenceClassification(RecurrentConfig(**{**shape, **settings})).eval()


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


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("family", FAMILIES)
def test_neither_padding_nor_batch_mates_nor_their_order_move_a_logit(family, pooling, bidirectional, layers):
    model = student(family=family, pooling=pooling, bidirectional=bidirectional, num_hidden_layers=layers)
    rows = texts()
    alone = torch.cat([logits(model, input_ids=row[None]) for row in rows])

    torch.testing.assert_close(logits(model, **padded(rows)), alone, atol=1e-6, rtol=0)
    torch.testing.assert_close(logits(model, **padded(rows, extra=9)), alone, atol=1e-6, rtol=0)
    torch.testing.assert_close(logits(model, **padded(rows[::-1])), alone.flip(0), atol=1e-6, rtol=0)
    assert alone.std(0).min() > 1e-3, "texts must differ, or this shows nothing"


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("family", FAMILIES)
def test_layers_are_those_of_torch_and_pooling_is_by_the_book(family, pooling):
    model = student(family=family, pooling=pooling, num_hidden_layers=2)
    cell = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}[family]
    reference = cell(6, 5, num_layers=2, bidirectional=True, batch_first=True)
    weights = {
        f"{name.removesuffix('_l0')}_l{depth}{'_reverse' if direction else ''}": weight
        for depth, directions in enumerate(model.layers)
        for direction, single in enumerate(directions)
        for name, weight in single.named_parameters()
    }
    reference.load_state_dict(weights)

    for row in texts():
        with torch.no_grad():
            states = reference(model.embeddings(row[None]))[0][0]
            pooled = {
                "last": lambda states: torch.cat([states[-1, :5], states[0, 5:]]),
                "mean": lambda states: sum(states) / len(states),
                "max": lambda states: torch.stack([column.max() for column in states.T]),
                "attention": lambda states: torch.softmax(model.attention(states.tanh())[:, 0], 0) @ states,
            }[pooling](states)
            wanted = model.classifier(pooled)
        torch.testing.assert_close(logits(model, input_ids=row[None])[0], wanted, atol=1e-6, rtol=0)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_text_without_a_token_is_read_as_one_padding_token(pooling):
    model = student(pooling=pooling)
    batch = padded([*texts(), torch.tensor([], dtype=torch.int64)])
    found = logits(model, **batch)[-1]
    torch.testing.assert_close(found, logits(model, input_ids=torch.tensor([[7]]))[0], atol=1e-6, rtol=0)


def test_token_map_and_starting_vectors_take_effect():
    plain, mapped = student(), student(token_map_size=4)
    table, token_map = torch.randn(TOKENS, 6), torch.tensor([30, 10, 49, 10])
    plain.start_from(table, None)
    mapped.start_from(table, token_map)
    ids = torch.tensor([[0, 1, 2, 3]])
    assert torch.equal(logits(mapped, input_ids=ids), logits(plain, input_ids=token_map[ids]))
    assert torch.equal(plain.get_input_embeddings().weight, table)


def test_dropout_is_off_in_evaluation_and_on_in_training():
    model, batch = student(dropout=0.5), padded(texts())
    assert torch.equal(logits(model, **batch), logits(model, **batch))
    model.train()
    assert not torch.equal(logits(model, **batch), logits(model, **batch))
    everything_dropped = student(dropout=1.0).train()
    assert (logits(everything_dropped, **batch) == everything_dropped.classifier.bias).all()


def test_loss_with_labels_is_the_mean_cross_entropy():
    model, batch, labels = student(), padded(texts()), torch.tensor([0, 1, 2, 0, 1])
    found = model(**batch, labels=labels)
    wanted = -found.logits.log_softmax(1)[range(5), labels].mean()
    torch.testing.assert_close(found.loss, wanted)
    assert model(**batch).loss is None


@pytest.mark.parametrize("settings", [{"family": "transformer"}, {"pooling": "median"}])
def test_unknown_shape_is_refused(settings):
    with pytest.raises(ValueError, match=next(iter(settings.values()))):
        RecurrentConfig(**settings)


def test_saved_folder_loads_elsewhere_to_the_last_bit(tmp_path):
    batch, wanted = padded(texts(high=20)), {}
    for family, pooling in zip(FAMILIES, POOLINGS[1:], strict=True):
        model = student(family=family, pooling=pooling, num_hidden_layers=2, token_map_size=20, hidden_size=9)
        model.start_from(None, torch.randperm(TOKENS)[:20])
        model.save_pretrained(tmp_path / family)
        wanted[family] = logits(model, **batch).numpy()
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
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, check=True)
    found = np.load(tmp_path / "found.npz")
    for family, expected in wanted.items():
        assert np.array_equal(found[family], expected), family
        config = RecurrentConfig.from_pretrained(tmp_path / family)
        assert (config.family, config.num_hidden_layers, config.token_map_size) == (family, 2, 20)
        assert config.id2label == {0: "no", 1: "yes", 2: "so so"}
        assert not list((tmp_path / family).glob("*.bin"))
