"""Memory that runs out in the middle of labelling: a clear line, what was done stays, and the same command goes on."""

import os
import signal

import psutil
import pytest

from tests.faults.conftest import Truth, copy_of, inside, read_truth
from tests.flows.conftest import World

pytestmark = [pytest.mark.drill, pytest.mark.timeout(600)]


def test_out_of_memory_while_labelling(started: World, truth: Truth) -> None:
    world = copy_of(started, "no-memory")
    process = world.start("run", "toy.yaml")
    inside(process, world, "label")
    watched = psutil.Process(process.pid)
    taken = watched.memory_info().vms
    watched.rlimit(psutil.RLIMIT_AS, (taken, taken))
    os.kill(process.pid, signal.SIGCONT)
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 2, stdout + stderr
    assert stderr.count("\n") == 1, stderr
    assert "out of memory" in stderr
    output = world.done("run", "toy.yaml")
    assert "reused  train_teacher 0" in output
    after = read_truth(world)
    assert after.outputs == truth.outputs
    assert after.labels == truth.labels
