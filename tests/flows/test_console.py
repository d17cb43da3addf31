"""What is said of a slow step where no bar can move: in a file, or the mail of a scheduled run."""

import io
import time

import pytest
from rich.console import Console

from flows import console
from flows.console import View


def said(monkeypatch: pytest.MonkeyPatch, total: int | None, unit: str, done: int) -> list[str]:
    """The lines of a step that does so much of its work and then is slow."""
    monkeypatch.setattr(console, "_SILENCE_SECONDS", 0.02)
    file = io.StringIO()
    view = View(Console(file=file, width=80, highlight=False))
    with view.working("train_teacher 0"), view.progress("train_teacher 0", total, unit) as advance:
        advance(done - 2)
        advance(2)
        deadline = time.monotonic() + 10
        while not file.getvalue() and time.monotonic() < deadline:
            time.sleep(0.01)
    return file.getvalue().splitlines()


def test_work_of_less_than_half_a_minute_needs_no_words() -> None:
    file = io.StringIO()
    view = View(Console(file=file, width=80, highlight=False))
    with view.working("train_teacher 0"), view.progress("train_teacher 0", 10, "steps") as advance:
        advance(10)
    assert file.getvalue() == ""


def test_slow_work_says_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    line = said(monkeypatch, 1000, "steps", 10)[0]
    assert line.startswith("running train_teacher 0")
    assert line.endswith("10 of 1,000 steps, less than a minute left")


def test_work_of_unknown_length_says_how_much_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    assert said(monkeypatch, None, "steps", 10)[0].endswith("10 steps")


def test_a_step_that_counts_nothing_says_that_it_still_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "_SILENCE_SECONDS", 0.02)
    file = io.StringIO()
    with View(Console(file=file, width=80, highlight=False)).working("prepare_student"):
        deadline = time.monotonic() + 10
        while not file.getvalue() and time.monotonic() < deadline:
            time.sleep(0.01)
    assert file.getvalue().startswith("running prepare_student")


def test_a_warning_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    view = View()
    for message in ("one", "two", "one"):
        view.warn(message)
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [["warning", "one"], ["warning", "two"]]
