"""A teacher's vectors: the mean state of a text's own tokens, in the layers that were asked for, in that order."""

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification, DistilBertConfig, GPT2Config, PreTrainedConfig

from models.encoding import encode
from models.engine import open_vector_engine
from models.vectors import depth_and_width, numbered
from tests.tiny import wordpiece_tokenizer

TEXTS = ["the cat sat", "a much longer text about wheat and the price of wheat", "wheat", "", "cat and wheat"] * 3
TOKENIZER = wordpiece_tokenizer(TEXTS)


def teacher():
    torch.manual_seed(0)
    shape = {"hidden_size": 8, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 8}
    return BertForSequenceClassification(BertConfig(vocab_size=len(TOKENIZER), initializer_range=0.5, **shape))


@pytest.mark.parametrize("tokens", [1, 40, 10_000])
def test_vectors_are_those_of_one_text_at_a_time_whatever_the_batches(tokens):
    model, done = teacher(), []
    with open_vector_engine(model, [2, 0], tokens) as engine:
        found = engine.answers(encode(TOKENIZER, TEXTS, None, 16), done.append)
    assert not model.training
    assert sum(done) == len(TEXTS)
    assert found.shape == (len(TEXTS), 16)
    for text, vectors in zip(TEXTS[:5], found, strict=False):
        with torch.inference_mode():
            read = TOKENIZER(text, truncation=True, max_length=16, return_tensors="pt")
            states = model.base_model(**read, output_hidden_states=True).hidden_states
        wanted = [sum(states[after][0]) / len(states[after][0]) for after in (3, 1)]  # 0 is before the first layer
        np.testing.assert_allclose(vectors, torch.cat(wanted), atol=1e-5)
    assert np.ptp(found[:5], axis=0).min() > 1e-3, "texts must differ, or this shows nothing"


def test_layers_are_counted_from_either_end():
    assert numbered([-1, 0, 2, -3], 3) == [2, 0, 2, 0]
    for layer in (3, -4):
        with pytest.raises(ValueError, match=rf"it has 3 layers, numbered from 0, and no {layer}$"):
            numbered([0, layer], 3)


def test_depth_and_width_are_those_of_the_configuration_by_whatever_name():
    assert depth_and_width(BertConfig(num_hidden_layers=3, hidden_size=24)) == (3, 24)
    assert depth_and_width(DistilBertConfig(n_layers=2, dim=24)) == (2, 24)
    assert depth_and_width(GPT2Config(n_layer=5, n_embd=24)) == (5, 24)
    with pytest.raises(ValueError, match="nothing of layers"):
        depth_and_width(PreTrainedConfig())
