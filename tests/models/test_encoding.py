"""Encoded texts: batches as the tokenizer itself would make them, and every row once an epoch."""

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.encoding import Encoded, ShuffledBatches, concatenate, encode, sorted_batches
from tests.tiny import bpe_tokenizer, unigram_tokenizer, wordpiece_tokenizer

TEXTS = ["wheat prices rose", "", "the cat sat on the mat and ran off to eat the wheat", "cat", "prices, prices!"]
PAIRS = ["corn fell", "why", "the dog did not", "", "the cat sat on the mat and then sat again and again"]
MAKERS = [wordpiece_tokenizer, bpe_tokenizer, unigram_tokenizer]

lengths_of_texts = st.lists(st.integers(1, 60), max_size=120).map(partial(np.array, dtype=np.int64))


def tokenizer_of(maker):
    tokenizer = maker([*TEXTS, *PAIRS], vocab_size=60)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    return tokenizer


def assert_same(one, other):
    for name in ("ids", "types", "offsets"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name
    assert (one.pad_id, one.truncated) == (other.pad_id, other.truncated)


@pytest.mark.parametrize("pairs", [None, PAIRS], ids=["texts", "pairs"])
@pytest.mark.parametrize("maker", MAKERS)
def test_batch_is_the_tokenizers_own(maker, pairs):
    tokenizer, rows = tokenizer_of(maker), np.array([2, 0, 4, 3])
    encoded = encode(tokenizer, TEXTS, pairs, max_length=14)
    wanted = tokenizer(
        [TEXTS[row] for row in rows],
        text_pair=[pairs[row] for row in rows] if pairs else None,
        padding=True,
        truncation=True,
        max_length=14,
        return_tensors="pt",
    )
    batch = encoded.batch(rows)
    assert set(batch) == set(wanted)
    for name, tensor in wanted.items():
        assert torch.equal(batch[name].long(), tensor), name
    assert batch["input_ids"].dtype == torch.int64


@pytest.mark.parametrize("pairs", [None, PAIRS], ids=["texts", "pairs"])
@pytest.mark.parametrize("maker", MAKERS)
def test_counts_what_was_cut_off(maker, pairs):
    tokenizer = tokenizer_of(maker)
    whole = [len(ids) for ids in tokenizer(TEXTS, text_pair=pairs)["input_ids"]]
    for limit in (8, 14, 500):
        encoded = encode(tokenizer, TEXTS, pairs, limit)
        assert encoded.truncated == sum(length > limit for length in whole)
        if pairs is None:
            assert encoded.left_out == tuple(length - limit for length in whole if length > limit)
        assert len(encoded.left_out) == encoded.truncated
        assert encoded.lengths.tolist() == [min(max(length, 1), limit) for length in whole]


def test_of_pairs_each_token_that_was_cut_off_counts_once():
    tokenizer = tokenizer_of(MAKERS[0])
    for one, other, limit in ((100, 100, 23), (300, 7, 23), (2, 60, 9)):
        encoded = encode(tokenizer, ["cat " * one], ["dog " * other], limit)
        whole = len(tokenizer("cat " * one, text_pair="dog " * other)["input_ids"])
        assert encoded.left_out == (whole - limit,)


def test_text_without_a_token_gets_one_to_look_at():
    tokenizer = tokenizer_of(bpe_tokenizer)
    assert tokenizer("")["input_ids"] == []
    encoded = encode(tokenizer, ["", "cat", ""], None, 8)
    assert encoded.lengths[[0, 2]].tolist() == [1, 1]
    assert encoded.batch(np.array([0]))["input_ids"].tolist() == [[tokenizer.pad_token_id]]
    assert encoded.batch(np.array([0]))["attention_mask"].tolist() == [[1]]


def test_no_texts_at_all():
    encoded = encode(tokenizer_of(wordpiece_tokenizer), [], None, 8)
    assert (len(encoded), encoded.truncated) == (0, 0)
    assert sorted_batches(encoded.lengths, 4) == []


@pytest.mark.parametrize("maker", [wordpiece_tokenizer, unigram_tokenizer], ids=["with types", "without types"])
def test_saved_arrays_come_back_memory_mapped(maker, tmp_path):
    encoded = encode(tokenizer_of(maker), TEXTS, PAIRS, 14)
    encoded.save(tmp_path)
    loaded = Encoded.load(tmp_path)
    assert_same(loaded, encoded)
    assert isinstance(loaded.ids, np.memmap)
    rows = np.array([4, 1])
    for name, tensor in encoded.batch(rows).items():
        assert torch.equal(loaded.batch(rows)[name], tensor)


@pytest.mark.parametrize("maker", MAKERS)
def test_parts_put_together_are_the_whole(maker):
    encoding = partial(encode, tokenizer_of(maker), max_length=14)
    cuts = ((0, 2), (2, 2), (2, 5))
    parts = [encoding(texts=TEXTS[start:stop], pairs=PAIRS[start:stop]) for start, stop in cuts]
    assert_same(concatenate(parts), encoding(texts=TEXTS, pairs=PAIRS))


@given(lengths=lengths_of_texts, size=st.integers(1, 20))
def test_sorted_batches_hold_each_row_once_the_longest_first(lengths, size):
    batches = sorted_batches(lengths, size)
    rows = np.concatenate([*batches, np.empty(0, np.int64)])
    assert sorted(rows) == list(range(len(lengths)))
    assert (np.diff(lengths[rows]) <= 0).all()
    assert all(len(batch) == size for batch in batches[:-1])


@settings(max_examples=50)
@given(lengths=lengths_of_texts, size=st.integers(1, 20), window=st.integers(1, 4), seed=st.integers(0, 2**32 - 1))
def test_shuffled_batches_hold_each_row_once_an_epoch(lengths, size, window, seed):
    batches, again = (ShuffledBatches(lengths, size, seed, window) for _ in range(2))
    for _ in range(3):
        epoch = list(batches)
        assert len(epoch) == len(batches)
        assert sorted(np.concatenate([*epoch, np.empty(0, np.int64)])) == list(range(len(lengths)))
        assert sum(len(batch) < size for batch in epoch) <= 1
        assert all(map(np.array_equal, epoch, again))


def test_shuffled_batches_differ_between_epochs_and_seeds_and_waste_little():
    lengths = np.random.default_rng(0).lognormal(3, 0.7, 5000).astype(np.int64).clip(1, 128)
    batches = ShuffledBatches(lengths, 32, seed=0)
    epochs = [list(batches), list(batches), list(ShuffledBatches(lengths, 32, seed=1))]
    sets = [{frozenset(batch.tolist()) for batch in epoch} for epoch in epochs]
    assert not sets[0] & sets[1], "other batches, not only another order of them"
    assert not sets[0] & sets[2]
    for epoch in epochs:
        assert sum(lengths[batch].max() * len(batch) for batch in epoch) < 1.1 * lengths.sum()
        means = [lengths[batch].mean() for batch in epoch]
        assert abs(np.corrcoef(means[:-1], means[1:])[0, 1]) < 0.3, "lengths must not come in order"
