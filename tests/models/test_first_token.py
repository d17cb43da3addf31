"""Computing only the first token where only that is read: the same logits, and left alone where a head reads more."""

import pytest
import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    ElectraConfig,
    ElectraForSequenceClassification,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from models.first_token import first_token_only

SMALL = {
    "vocab_size": 60,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 40,
    "num_labels": 3,
}
IDS = torch.randint(3, 60, (4, 20), generator=torch.Generator().manual_seed(0))
MASK = (torch.arange(20) < torch.tensor([[20], [3], [11], [1]])).long()


class MeanBert(BertForSequenceClassification):
    """A head that reads all tokens."""

    def forward(self, input_ids=None, attention_mask=None, **_):
        states = self.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        found = super().forward(input_ids=input_ids, attention_mask=attention_mask)
        found.logits = self.classifier(states.mean(dim=1))
        return found


def built(kind, config):
    torch.manual_seed(0)
    return kind(config).eval()


@torch.inference_mode()
def logits(model):
    return model(input_ids=IDS, attention_mask=MASK).logits


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        (BertForSequenceClassification, BertConfig(**SMALL)),
        (RobertaForSequenceClassification, RobertaConfig(**SMALL)),
        (ElectraForSequenceClassification, ElectraConfig(**SMALL, embedding_size=16)),
    ],
    ids=["bert", "roberta", "electra"],
)
def test_the_logits_are_the_same_and_the_model_is_as_before_afterwards(kind, config):
    model = built(kind, config)
    rows = []
    model.base_model.encoder.layer[-1].output.register_forward_hook(lambda *args: rows.append(args[2].shape[1]))
    before = logits(model)
    with first_token_only(model) as applied:
        assert applied
        torch.testing.assert_close(logits(model), before, rtol=1e-5, atol=1e-6)
        assert rows[-1] == 1, "the last layer's output is that of one token"
    assert torch.equal(logits(model), before)
    assert rows[-1] == 20


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        (MeanBert, BertConfig(**SMALL)),
        (DistilBertForSequenceClassification, DistilBertConfig(vocab_size=60, dim=16, n_layers=1, n_heads=2)),
    ],
    ids=["a head that reads all", "layers of other names"],
)
def test_another_model_is_left_alone(kind, config):
    model = built(kind, config)
    before = logits(model)
    with first_token_only(model) as applied:
        assert not applied
        assert torch.equal(logits(model), before)
