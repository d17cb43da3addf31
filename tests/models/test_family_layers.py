"""What each family computes, by the book: torch's own layers, sums by hand, the teacher's layers."""

import copy

import pytest
import torch
from torch import nn
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    BertForSequenceClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    MPNetConfig,
    MPNetForSequenceClassification,
    RobertaConfig,
)

from models.embeddings import as_they_are
from models.families import new_student
from models.families.transformer import copy_layers
from models.student import POOLINGS
from tests.models.test_families import TOKENS, logits, padded, texts

SHAPE = {"vocab_size": TOKENS, "embedding_size": 6, "num_labels": 3}


def student(family, **settings):
    torch.manual_seed(0)
    return new_student(family, **SHAPE, **settings).eval()


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("family", ["rnn", "lstm", "gru"])
def test_recurrent_layers_are_those_of_torch_and_pooling_is_by_the_book(family, pooling):
    model = student(family, hidden_size=5, pooling=pooling, num_hidden_layers=2)
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
                "attention": lambda states: torch.softmax(model.pool.score(states.tanh())[:, 0], 0) @ states,
            }[pooling](states)
            wanted = model.classifier(pooled)
        torch.testing.assert_close(logits(model, input_ids=row[None])[0], wanted, atol=1e-6, rtol=0)


def test_a_cnn_looks_through_windows_around_each_token():
    model = student("cnn", hidden_size=4, kernel_sizes=[1, 2, 3])
    for row in texts((1, 2, 9)):
        with torch.no_grad():
            vectors = model.embeddings(row)
            largest = []
            for size, layer in zip((1, 2, 3), model.filters, strict=True):
                before = (size - 1) // 2
                answers = []
                for place in range(len(row)):
                    total = layer.bias.clone()
                    for offset in range(size):
                        at = place - before + offset
                        if 0 <= at < len(row):
                            total += layer.weight[:, :, offset] @ vectors[at]
                    answers.append(total.clamp(min=0))
                largest.append(torch.stack(answers).amax(0))
            wanted = model.classifier(torch.cat(largest))
        torch.testing.assert_close(logits(model, input_ids=row[None])[0], wanted, atol=1e-5, rtol=0)


def test_a_bag_weighs_its_tokens_and_does_not_mind_their_order():
    model = student("bag", hidden_size=4)
    with torch.no_grad():
        model.weights.weight.normal_(generator=torch.Generator().manual_seed(3))
    row = texts((7,))[0]
    with torch.no_grad():
        shares = [weight.exp() for weight in model.weights(row)[:, 0]]
        shares = torch.stack([share / sum(shares) for share in shares])
        mean = sum(share * vector for share, vector in zip(shares, model.embeddings(row), strict=True))
        hidden = torch.relu(model.layers[0](mean / shares.square().sum().sqrt()))
        wanted = model.classifier(hidden)
    torch.testing.assert_close(logits(model, input_ids=row[None])[0], wanted, atol=1e-6, rtol=0)
    torch.testing.assert_close(logits(model, input_ids=row.flip(0)[None])[0], wanted, atol=1e-6, rtol=0)
    fresh = student("bag", hidden_size=4)
    assert not fresh.weights.weight.any(), "all weigh the same at first"


_TINY = {"vocab_size": TOKENS, "num_labels": 3, "max_position_embeddings": 80}
TEACHERS = {
    "bert": BertForSequenceClassification(
        BertConfig(hidden_size=12, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16, **_TINY)
    ).eval(),
    "distilbert": DistilBertForSequenceClassification(
        DistilBertConfig(dim=12, n_layers=2, n_heads=2, hidden_dim=16, **_TINY)
    ).eval(),
    "mpnet": MPNetForSequenceClassification(
        MPNetConfig(hidden_size=12, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16, **_TINY)
    ).eval(),
}


@pytest.mark.parametrize("name", TEACHERS)
def test_all_of_a_teachers_layers_with_its_vectors_are_the_teacher(name):
    teacher = TEACHERS[name]
    config, start = copy_layers(teacher, [0, 1])
    table = teacher.get_input_embeddings().weight
    start["embeddings"] = as_they_are(table, torch.arange(len(table)).numpy())
    model = new_student(
        "transformer", encoder=config, vocab_size=len(table), embedding_size=table.shape[1], num_labels=3
    ).eval()
    model.start_from(start)
    batch = padded([2 + row % (TOKENS - 2) for row in texts((3, 9, 1))])  # MPNet counts positions without padding
    with torch.no_grad():
        wanted = teacher.base_model(**batch).last_hidden_state
        found = model(**batch, output_hidden_states=True).hidden_states[-1]
    there = batch["attention_mask"].bool()
    torch.testing.assert_close(found[there], wanted[there], atol=1e-5, rtol=0)


def test_some_layers_are_copied_in_the_order_that_is_asked_for():
    teacher = TEACHERS["bert"]
    config, start = copy_layers(teacher, [1])
    assert config["num_hidden_layers"] == 1
    theirs = teacher.base_model.encoder.layer[1].attention.self.query.weight
    assert torch.equal(start["encoder.encoder.layer.0.attention.self.query.weight"], theirs)
    assert not any("word_embeddings" in name or "pooler" in name for name in start)
    with pytest.raises(ValueError, match="numbered from 0"):
        copy_layers(teacher, [0, 99])


@pytest.mark.parametrize("name", TEACHERS)
def test_a_copied_layer_is_the_teacher_without_its_others_padded_or_loaded_again(name, tmp_path):
    teacher = TEACHERS[name]
    config, start = copy_layers(teacher, [1])
    table = teacher.get_input_embeddings().weight
    start["embeddings"] = as_they_are(table, torch.arange(len(table)).numpy())
    model = new_student("transformer", encoder=config, **SHAPE | {"embedding_size": table.shape[1]}).eval()
    model.start_from(start)
    assert len(model.state_widths) == 2

    shorter = copy.deepcopy(teacher.base_model)
    del (shorter.transformer if name == "distilbert" else shorter.encoder).layer[0]
    rows = [2 + row % (TOKENS - 2) for row in texts((3, 9, 1))]
    for row in rows:
        with torch.no_grad():
            wanted = model.classifier(shorter(input_ids=row[None]).last_hidden_state.mean(1))
        torch.testing.assert_close(logits(model, input_ids=row[None]), wanted, atol=1e-5, rtol=0)
    alone = torch.cat([logits(model, input_ids=row[None]) for row in rows])
    torch.testing.assert_close(logits(model, **padded(rows, extra=5)), alone, atol=2e-6, rtol=0)
    model.save_pretrained(tmp_path)
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert torch.equal(logits(again, **padded(rows)), logits(model, **padded(rows)))


@pytest.mark.parametrize(("name", "reads"), [("bert", True), ("distilbert", False), ("mpnet", False)])
def test_segments_of_a_pair_reach_an_encoder_that_has_them(name, reads):
    model = new_student("transformer", **SHAPE, encoder=TEACHERS[name].config.to_dict()).eval()
    ids = texts((8,))[0][None]
    one, other = (logits(model, input_ids=ids, token_type_ids=types * (ids >= 0)) for types in (0, 1))
    assert torch.equal(one, other) is not reads
    assert torch.equal(one, logits(model, input_ids=ids))


@pytest.mark.parametrize("kind", ["roberta", "mpnet"])
def test_positions_are_counted_as_the_teacher_counts_them(kind):
    """From behind the padding token's id, whatever that is."""
    shape = {"hidden_size": 12, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = {"roberta": RobertaConfig, "mpnet": MPNetConfig}[kind](pad_token_id=3, **shape, **_TINY)
    teacher = AutoModelForSequenceClassification.from_config(config).eval()
    encoder, start = copy_layers(teacher, [0])
    table = teacher.get_input_embeddings().weight
    start["embeddings"] = as_they_are(table, torch.arange(len(table)).numpy())
    model = new_student("transformer", encoder=encoder, vocab_size=len(table), embedding_size=12, num_labels=3).eval()
    model.start_from(start)
    ids = 4 + texts((9,))[0][None] % (TOKENS - 4)
    with torch.no_grad():
        wanted = teacher.base_model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
        found = model(input_ids=ids, output_hidden_states=True).hidden_states[-1]
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)
