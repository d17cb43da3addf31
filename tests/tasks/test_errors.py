"""Whatever a message is put together from, it is one printable line without passwords."""

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.shared.errors import (
    StillhouseError,
    brief,
    brief_path,
    one_line,
    printable,
    says_out_of_memory,
    without_logins,
)

anything = st.text(st.characters(), max_size=60) | st.text("\x1b[31m\n\r\x9b\u202e\u2028\ud800\0é👋", max_size=60)


@given(anything, st.integers(4, 50))
def test_no_text_breaks_a_line_or_steers_a_terminal(text, longest):
    for said in (str(StillhouseError(text)), one_line(ValueError(text)), brief(text), brief_path(text)):
        assert said.isprintable()
    assert printable(text, longest).isprintable()
    assert len(printable(text, longest)) <= longest
    if text.isprintable() and len(text) <= longest:
        assert printable(text, longest) == text


def test_messages_have_an_end():
    long = "x" * 10_000_000
    assert len(str(StillhouseError(long))) == 1200
    assert len(one_line(ValueError(long))) == 300
    assert len(brief(long)) == 80
    assert len(brief_path(long)) < 300
    assert len(str(StillhouseError("\x1b" * 1200))) == 1200
    assert brief_path("/a/" + "b" * 300) == "/a/" + "b" * 300, "a name that can be real is not cut"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("http://user:secret@127.0.0.1:1/api", "http://127.0.0.1:1/api"),
        ("no answer at https://secret@host, sorry", "no answer at https://host, sorry"),
        (
            "postgresql+psycopg://me:sec@ret@db:5432/x and http://a:secret@b",
            "postgresql+psycopg://db:5432/x and http://b",
        ),
        ("https://host/path@2", "https://host/path@2"),
        ("sqlite:////home/a@b/mlflow.db", "sqlite:////home/a@b/mlflow.db"),
        ("models:/name@champion", "models:/name@champion"),
    ],
)
def test_addresses_lose_their_logins(text, left):
    assert without_logins(text) == left
    assert str(StillhouseError(text)) == one_line(OSError(text)) == left


def test_a_log_has_neither_logins_nor_escapes(tmp_path):
    from flows.console import logging_to

    with logging_to(tmp_path / "log.txt"):
        logging.getLogger("somebody").warning("at %s\n  and \x1b[31mred\x9b", "http://me:secret@host/")
        logging.getLogger("somebody").info("plain 你好 👋")
    log = (tmp_path / "log.txt").read_text(encoding="utf-8")
    assert "at http://host/\n  and \\x1b[31mred\\x9b\n" in log
    assert log.endswith("plain 你好 👋\n")


def test_memory_that_ran_out_is_known_by_what_the_libraries_say():
    import numpy as np
    import torch

    for allocate in (lambda: torch.empty(2**58), lambda: np.empty(2**58)):
        with pytest.raises((RuntimeError, MemoryError)) as caught:
            allocate()
        assert says_out_of_memory(caught.value), caught.value
    assert not says_out_of_memory(ValueError("a text is too long"))
