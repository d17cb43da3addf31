"""Batched inference gives each text the logits it has alone, in its place."""

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification

from models.encoding import encode
from models.families import new_student
from models.inference import predict_logits
from tests.tiny import wordpiece_tokenizer

TEXTS = ["the cat sat", "a much longer text about wheat and the price of wheat", "wheat", "", "cat and wheat"] * 5
TOKENIZER = wordpiece_tokenizer(TEXTS)
ENCODED = encode(TOKENIZER, TEXTS, None, 16)


def student():
    torch.manual_seed(0)
    return new_student("lstm", vocab_size=len(TOKENIZER), dropout=0.5, num_labels=3)


def bert():
    torch.manual_seed(0)
    shape = BertConfig(
        vocab_size=len(TOKENIZER),
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        initializer_range=0.5,
        num_labels=3,
    )
    return BertForSequenceClassification(shape)


@pytest.mark.parametrize("make", [student, bert])
def test_equals_one_by_one_in_order(make):
    model, done = make(), []
    found = predict_logits(model, ENCODED, 4, done.append)
    assert found.dtype == np.float32
    assert not model.training
    assert done == [4, 4, 4, 4, 4, 4, 1]
    with torch.no_grad():
        alone = [model(**TOKENIZER(text, return_tensors="pt")).logits[0].numpy() for text in TEXTS]
    np.testing.assert_allclose(found, alone, atol=1e-6)
    assert np.ptp(found, axis=0).min() > 1e-3


def test_half_precision_comes_out_as_float32():
    found = predict_logits(student().bfloat16(), ENCODED, 8)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, predict_logits(student(), ENCODED, 8), atol=0.02)


def test_no_texts_give_no_logits():
    assert predict_logits(student(), encode(TOKENIZER, [], None, 8), 4).shape == (0, 3)
