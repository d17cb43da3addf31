"""The engine: the same logits as one text at a time, whatever the batches and threads; lower precisions, measured."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from models.encoding import budgeted_batches, encode
from models.engine import open_engine, to_precision
from models.int8 import Int8Linear, to_int8
from models.teacher import load_classifier
from tests.tiny import tiny_bert, wordpiece_tokenizer
from tests.toy import toy_rows

TEXTS = [text for text, _ in toy_rows(60, seed=0)] + ["goal " * 40, "a"]


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    folder = tiny_bert(tmp_path_factory.mktemp("teacher"), wordpiece_tokenizer(TEXTS), classes=("a", "b", "c"))
    return lambda: load_classifier(folder, "cpu")


@given(lengths=st.lists(st.integers(0, 300), max_size=80), tokens=st.integers(1, 1000))
def test_budgeted_batches_hold_each_row_once_and_no_more_than_fits(lengths, tokens):
    lengths = np.array(lengths, np.int64)
    batches = budgeted_batches(lengths, tokens)
    assert sorted(row for rows in batches for row in rows.tolist()) == list(range(len(lengths)))
    assert all(len(rows) == 1 or len(rows) * lengths[rows].max() <= tokens for rows in batches)
    longest = [lengths[rows].max() for rows in batches]
    assert longest == sorted(longest, reverse=True)


@pytest.mark.parametrize("tokens", [1, 100, 100_000])
def test_logits_are_those_of_one_text_at_a_time_in_order(teacher, tokens):
    model, tokenizer = teacher()
    done = []
    with open_engine(model, tokens) as engine:
        found = engine.answers(encode(tokenizer, TEXTS, None, 32), done.append)
    assert sum(done) == len(TEXTS)
    with torch.inference_mode():
        alone = [
            model(**tokenizer(text, truncation=True, max_length=32, return_tensors="pt")).logits[0] for text in TEXTS
        ]
    np.testing.assert_allclose(found, torch.stack(alone).numpy(), atol=1e-5)


def test_threads_change_no_bit_and_are_given_back(teacher):
    model, tokenizer = teacher()
    encoded, before, found = encode(tokenizer, TEXTS, None, 32), torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            with open_engine(model, 64) as engine:
                found.append(engine.answers(encoded))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_no_texts_and_what_goes_wrong_in_a_thread_is_raised(teacher):
    model, tokenizer = teacher()
    with open_engine(model) as engine:
        assert engine.answers(encode(tokenizer, [], None, 32)).shape == (0, 3)
        too_long = encode(tokenizer, ["goal " * 80], None, 80)  # the model has 64 positions
        with pytest.raises(Exception, match=r"64|index|size"):
            engine.answers(too_long)


@pytest.mark.parametrize(("precision", "mean"), [("bf16", 0.05), ("int8", 0.05)])
def test_a_lower_precision_is_near_and_its_deviation_is_measured(teacher, precision, mean):
    (model, tokenizer), (exact, _) = teacher(), teacher()
    encoded = encode(tokenizer, TEXTS, None, 32)
    changed, deviation = to_precision(model, precision, encoded)
    with open_engine(changed) as engine, open_engine(exact) as reference:
        apart = np.abs(engine.answers(encoded) - reference.answers(encoded))
    assert deviation.texts == len(TEXTS)
    assert deviation.mean == pytest.approx(apart.mean())
    assert deviation.largest == pytest.approx(apart.max())
    assert 0 < deviation.mean < mean
    assert deviation.agreement > 0.8


def test_fp32_is_left_alone(teacher):
    model, tokenizer = teacher()
    assert to_precision(model, "fp32", encode(tokenizer, TEXTS, None, 32)) == (model, None)


# int8


def test_a_product_of_whole_numbers_is_exact():
    linear = nn.Linear(3, 2)
    linear.weight.data = torch.tensor([[127.0, -1.0, 0.0], [2.0, 127.0, 5.0]])
    linear.bias.data = torch.tensor([0.5, -0.5])
    inputs = torch.tensor([[[127.0, 3.0, -4.0]], [[0.0, 127.0, 127.0]]])
    assert torch.equal(Int8Linear(linear)(inputs), linear(inputs))


def test_rounding_is_half_a_step_of_each_rows_own_scale():
    torch.manual_seed(0)
    linear, inputs = nn.Linear(64, 32), torch.randn(10, 64) * torch.logspace(-3, 3, 10)[:, None]
    exact, found = linear(inputs) - linear.bias, Int8Linear(linear)(inputs) - linear.bias
    error = (found - exact).norm(dim=1) / exact.norm(dim=1)
    assert error.max() < 0.03, "a row of small numbers is rounded as finely as one of large numbers"


def test_a_row_of_zeros_and_a_batch_of_none():
    linear = nn.Linear(4, 3)
    assert torch.allclose(Int8Linear(linear)(torch.zeros(2, 4)), linear.bias.expand(2, 3))


def test_what_int8_says_does_not_depend_on_batch_mates_or_padding(teacher):
    model, tokenizer = teacher()
    to_int8(model)
    found = []
    for tokens in (1, 1000):
        with open_engine(model, tokens) as engine:
            found.append(engine.answers(encode(tokenizer, TEXTS, None, 32)))
    np.testing.assert_allclose(found[0], found[1], atol=2e-2)


def test_a_model_without_linear_layers_is_refused(teacher):
    with pytest.raises(ValueError, match="needs linear layers"):
        to_int8(to_int8(teacher()[0]))
