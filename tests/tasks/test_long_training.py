"""What is said of a training that will take more than an hour: why, and what would make it faster."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tasks.load_data import LoadData
from tasks.shared.pace import long_training
from tasks.shared.pace.long_training import ForewarnedAdvance, Load, _Moment, _reasons, others_share, remedies, shorter
from tasks.shared.pace.words import about
from tasks.shared.recipe_data import Data
from tasks.shared.steps import Ahead, Context
from tasks.train_teacher import TrainTeacher
from tests.bench import Bench
from tests.settled import Teacher
from tests.tiny import tiny_bert, word_tokenizer
from tests.toy import toy_rows, write_csv

LOAD = Load("teachers.0", "teachers.0.max_length", 200, np.array([20] * 190 + [128] * 10), 128, 10, 1000, "fp32", 10**6)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time in seconds, which a test moves."""
    now = [0.0]
    monkeypatch.setattr(long_training.time, "monotonic", lambda: now[0])
    return now


def said(bench: Bench, clock: list[float], seconds_a_step: float, ahead: Ahead | None, before: int = 0) -> list[str]:
    """The warnings of a hundred steps that take so long each, the first ones done before."""
    advance = ForewarnedAdvance(lambda count: None, replace(bench.context, ahead=ahead), "train_teacher 0", LOAD)
    if before:
        advance(before)
    for _ in range(100):
        clock[0] += seconds_a_step
        advance(1)
    return bench.warnings


def test_a_training_of_hours_says_once_what_makes_it_long_and_what_would_shorten_it(
    bench: Bench, clock: list[float]
) -> None:
    [warning] = said(bench, clock, 10, Ahead(0, 1))
    assert warning.startswith("train_teacher 0 will take about 2 h 50 min more: 200 rows x 10 epochs x 25 tokens a")
    assert "teachers.0.epochs=5, up to 2 times" in warning
    assert "teachers.0.max_length=20 (cuts 5% of the texts), up to 1.3 times" in warning
    assert len(warning) < 600


def test_a_training_of_less_than_an_hour_says_nothing(bench: Bench, clock: list[float]) -> None:
    assert said(bench, clock, 3.5, Ahead(0, 1)) == []


def test_nothing_is_said_where_one_like_it_was_trained_before(bench: Bench, clock: list[float]) -> None:
    assert said(bench, clock, 10, None) == []


def test_the_trainings_that_follow_count(bench: Bench, clock: list[float]) -> None:
    [warning] = said(bench, clock, 3.5, Ahead(9, 5))
    assert warning.startswith("train_teacher 0 and up to 9 trainings like it will take about 9 h 40 min more")
    assert "3 seeds instead of 5, up to 1.7 times" in warning


def test_steps_that_were_done_before_do_not_make_it_fast(bench: Bench, clock: list[float]) -> None:
    """A training that goes on from its checkpoint is told at once of all the steps before that."""
    assert said(bench, clock, 10, Ahead(0, 1), before=800) == []
    [warning] = said(bench, clock, 60, Ahead(0, 1), before=800)
    assert "about 3 h 20 min more" in warning


def test_what_passes_before_the_first_step_is_no_training(bench: Bench, clock: list[float]) -> None:
    """Processes that still import may be looked at, with no step done, for more than a minute."""
    advance = ForewarnedAdvance(lambda count: None, replace(bench.context, ahead=Ahead(0, 1)), "train_teacher 0", LOAD)
    for _ in range(8):
        advance(0)
        clock[0] += 10
    for _ in range(100):
        clock[0] += 1
        advance(1)
    assert bench.warnings == []


def test_a_length_that_nearly_all_texts_need_is_halved_and_says_how_many_it_cuts() -> None:
    long = replace(LOAD, lengths=np.array([40] * 20 + [128] * 180))
    setting, times = shorter(long)
    assert setting == "teachers.0.max_length=64 (cuts 90% of the texts)"
    assert times == pytest.approx((20 * 40 + 180 * 128) / (20 * 40 + 180 * 64))


def test_what_gains_little_is_not_offered(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_training, "has_bf16", lambda device: False)
    short = replace(LOAD, lengths=np.full(200, 20), epochs=1)
    names = [remedy.setting for remedy in remedies(short, replace(bench.context, ahead=Ahead(3, 2)))]
    assert [name for name in names if not name.startswith("OMP_NUM_THREADS")] == []


def test_a_process_held_to_some_cores_is_not_offered_the_others(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_training.psutil, "cpu_count", lambda logical=True: 16 if logical else 8)
    monkeypatch.setattr(long_training.os, "sched_getaffinity", lambda process: {2, 5}, raising=False)
    monkeypatch.setattr(long_training.torch, "get_num_threads", lambda: 1)
    assert "OMP_NUM_THREADS=2" in [remedy.setting for remedy in remedies(LOAD, bench.context)]
    assert "1 thread on 2 cores" in _reasons(LOAD, bench.context, 0.0)


def test_only_on_busy_cores_do_other_processes_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_training.psutil, "cpu_count", lambda: 2)
    before = _Moment(0, 0.0, 0.0, 0.0)
    assert others_share(before, _Moment(9, 100.0, 80.0, 200.0)) == pytest.approx(0.6)
    assert others_share(before, _Moment(9, 100.0, 80.0, 130.0)) == 0.0


def test_a_real_training_knows_its_rows_and_lengths(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = toy_rows(30, seed=0)
    tiny_bert(tmp_path / "base", word_tokenizer([text for text, _ in rows]))
    files = {"train": write_csv(tmp_path / "a.csv", rows), "test": write_csv(tmp_path / "b.csv", toy_rows(9, seed=1))}
    data = bench(LoadData(Data(**files)))
    monkeypatch.setattr(long_training, "LOOK_AFTER_SECONDS", 0.0)
    monkeypatch.setattr(long_training, "LONG_SECONDS", 0.0)
    context: Context = replace(bench.context, ahead=Ahead(0, 1))
    (tmp_path / "made").mkdir()
    teacher = Teacher(model=str(tmp_path / "base"), epochs=1, batch_size=8, max_length=16)
    TrainTeacher(data, teacher, 0).make(tmp_path / "made", context)
    assert "train_teacher 0 will take about 1 s more: 24 rows x 1 epoch x " in bench.warnings[0]


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "1 s"), (89, "89 s"), (720, "12 min"), (7800, "2 h 10 min"), (10790, "3 h")]
)
def test_a_rough_time_is_told_in_round_numbers(seconds: float, words: str) -> None:
    assert about(seconds) == words
