"""What is said of a long step where no bar can move: in a file, or the mail of a scheduled run."""

import io

import pytest
from rich.console import Console

from flows import console
from flows.console import View


def said(monkeypatch: pytest.MonkeyPatch, total: int | None, seconds: float) -> list[str]:
    """The lines of a step of 1,000 units, each of which takes so long."""
    clock = iter(range(10_000))
    monkeypatch.setattr(console.time, "monotonic", lambda: next(clock) * seconds)
    file = io.StringIO()
    with View(Console(file=file, width=80, highlight=False)).progress("train_teacher 0", total, "steps") as advance:
        for _ in range(1000):
            advance(1)
    return file.getvalue().splitlines()


def test_work_of_a_minute_needs_no_words(monkeypatch: pytest.MonkeyPatch) -> None:
    assert said(monkeypatch, 1000, 0.059) == []


def test_long_work_says_how_far_it_is_in_ten_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = said(monkeypatch, 1000, 6.0)
    assert len(lines) == 10
    assert "train_teacher 0" in lines[0]
    assert lines[0].endswith("10 of 1,000 steps, about 99 min left")
    assert lines[5].endswith("510 of 1,000 steps, about 49 min left")


def test_work_of_unknown_length_says_how_much_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = said(monkeypatch, None, 6.0)
    assert len(lines) == 100
    assert lines[0].endswith("10 steps")


def test_a_warning_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    view = View()
    for message in ("one", "two", "one"):
        view.warn(message)
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [["warning", "one"], ["warning", "two"]]
