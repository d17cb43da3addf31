"""Small models trained side by side: to the same bytes as alone, and whatever happens to a process."""

import os
import signal
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import torch

from tasks.race import Pace
from tasks.shared import side_by_side as module
from tasks.shared.outputs import make_output
from tasks.shared.side_by_side import SideBySide
from tasks.shared.steps import Job, Stopped
from tasks.shared.workspace import open_workspace
from tasks.train_student import TrainStudent
from tests.bench import Bench
from tests.settled import Training

QUICK = Training(epochs=2, batch_size=16, learning_rate=1e-2, evaluations=2)


@pytest.fixture
def bench(toy, home):
    """A workspace without outputs of steps that train students."""
    return Bench(open_workspace())


@pytest.fixture
def trainers(bench, monkeypatch):
    """Starts two processes for as little as these trainings are; they find the sections of recipes that tests have."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.setattr(module, "_FEWEST_STEPS", 0)
    monkeypatch.setattr(SideBySide, "_most", lambda self: 2)
    with module.side_by_side(bench.workspace, "cpu") as found:
        yield found


def seeds(toy, *numbers, **changes):
    return [toy.small(TrainStudent, seed=number, training=QUICK, **changes) for number in numbers]


def ours():
    found = psutil.Process().children(recursive=True)
    return [process for process in found if "tasks.shared.side_by_side" in " ".join(command_of(process))]


def command_of(process):
    try:
        return process.cmdline()
    except psutil.Error:  # it has just ended
        return []


def test_each_has_the_bytes_of_a_training_alone(toy, bench, trainers):
    steps = seeds(toy, 0, 1, 2)
    fills = trainers.begin([Job(step) for step in steps])
    for step, fill in zip(steps, fills, strict=True):
        there = bench.workspace.outputs / step.name / "beside" / step.key[:32]
        beside = make_output(there, step.key, {}, partial(fill, context=bench.context), measured=step.measured)
        alone = bench.output(step)
        assert beside.digest == alone.digest
        assert beside.facts == alone.facts
    assert len(ours()) == 2
    assert not list(bench.workspace.outputs.glob("*/.*")), "nothing is left of what was handed over"


def test_progress_metrics_and_looks_arrive(toy, bench, trainers, tmp_path):
    steps = seeds(toy, 3, 4)
    advanced, looks = [], []

    @contextmanager
    def progress(total, unit):
        yield advanced.append

    told = replace(bench.context, progress=progress, looked=lambda look, accuracy: looks.append(look))
    for number, fill in enumerate(trainers.begin([Job(step) for step in steps])):
        (tmp_path / str(number)).mkdir()
        fill(tmp_path / str(number), told)
    assert sum(advanced) == 2 * steps[0].steps
    assert looks == [1, 2, 1, 2]
    assert len(bench.series["dev_accuracy"]) == 2


def test_one_that_is_stopped_or_diverges_ends_as_it_would_alone(toy, bench, trainers, tmp_path):
    diverging = seeds(toy, 0)[0]
    diverging = replace(diverging, training=QUICK.model_copy(update={"learning_rate": 1e30}))
    behind = Pace(best=[1.0, 1.0], seen=[], rows=1000)
    stopped, diverged = trainers.begin([Job(seeds(toy, 0)[0], looked=behind), Job(diverging)])
    with pytest.raises(Stopped):
        stopped(tmp_path, bench.context)
    with pytest.raises(FloatingPointError, match="lower learning_rate"):
        diverged(tmp_path, bench.context)


def test_what_a_killed_process_was_at_is_trained_here(toy, bench, trainers, tmp_path):
    def kill(count):
        for process in ours():
            os.kill(process.pid, signal.SIGKILL)

    @contextmanager
    def progress(total, unit):
        yield kill

    told = replace(bench.context, progress=progress)
    for number, fill in enumerate(trainers.begin([Job(step) for step in seeds(toy, 0, 1)])):
        (tmp_path / str(number)).mkdir()
        assert fill(tmp_path / str(number), told)["steps"] > 0
        assert (tmp_path / str(number) / "model" / "model.safetensors").exists()


def test_the_processes_start_with_the_first_that_is_asked_for_and_end_with_the_run(toy, bench, trainers, tmp_path):
    """Before that, another run may have the machine's turn."""
    fill, _ = trainers.begin([Job(step) for step in seeds(toy, 0, 1)])
    assert not ours()
    fill(tmp_path, bench.context)
    started = ours()
    trainers.close()
    assert len(started) == 2
    assert not [process for process in started if process.is_running()]


def test_little_work_a_single_training_little_memory_and_a_gpu_start_no_process(toy, bench, monkeypatch):
    memory = SimpleNamespace(available=2**40)
    monkeypatch.setattr(module.psutil, "virtual_memory", lambda: memory)
    one, two = ([Job(step) for step in seeds(toy, *numbers)] for numbers in ((0,), (0, 1)))
    with module.side_by_side(bench.workspace, "cpu") as few:
        assert few.at_a_time(two) == 1
        monkeypatch.setattr(module, "_FEWEST_STEPS", 0)
        assert few.at_a_time(two) == min(2, torch.get_num_threads())
        assert few.at_a_time(one) == 1
        memory.available = 900 * 2**20
        assert few.at_a_time(two) == 1
        memory.available = 2**40
        monkeypatch.setattr(module, "pick_device", lambda wanted: "cuda")
        assert few.at_a_time(two) == 1


def test_what_is_trained_alone_has_all_threads_and_no_process_of_its_own(toy, bench, trainers):
    """As trials of a sweep, whose sums come out otherwise in their last digits."""
    [beside], [alone] = seeds(toy, 0), seeds(toy, 0, alone=True)
    assert beside.one_thread
    assert not alone.one_thread
    assert beside.key != alone.key
    assert trainers.at_a_time([Job(alone), Job(beside)]) == 1
