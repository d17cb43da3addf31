"""Shards: every text is in exactly one, whatever its neighbours."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.shared.dataset import KEY
from tasks.shared.errors import StillhouseError
from tasks.shared.shards import Shard
from tasks.shared.texts import text_key


@given(texts=st.lists(st.text(st.characters(exclude_categories=["Cs"])), unique=True), count=st.integers(1, 7))
def test_every_text_is_in_one_share_and_the_same_in_any_company(texts, count):
    keys = np.array([text_key(text) for text in texts], KEY)
    shares = [Shard(index, count).of(keys) for index in range(count)]
    assert sorted(np.concatenate(shares).tolist()) == sorted(keys.tolist())
    for index, share in enumerate(shares):
        assert [key for key in keys.tolist() if key in set(share.tolist())] == share.tolist(), "in order"
        for key in share[:3]:
            assert Shard(index, count).of(np.array([key], KEY)).tolist() == [key]


def test_shares_are_of_like_size():
    keys = np.array([text_key(str(number)) for number in range(4000)], KEY)
    assert all(900 < len(Shard(index, 4).of(keys)) < 1100 for index in range(4))


def test_a_share_reads_as_it_is_written():
    assert Shard.parse("3/17") == Shard(3, 17)
    assert str(Shard(3, 17)) == "3/17"


@pytest.mark.parametrize(
    "text", ["", "1", "4/4", "0/0", "-1/4", "1/4/2", "a/b", "1 / 4", "9999999/99999999", "\x1b[31m"]
)
def test_what_is_no_share_is_refused(text):
    with pytest.raises(StillhouseError, match="write I/N, with I from 0 to N - 1"):
        Shard.parse(text)
