"""kill -9 at any moment, then the same command: the same result, nothing partial read, nothing left running."""

import json
import random
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import chain, pairwise
from pathlib import Path

import pytest

from tests.faults.conftest import DRILLED, Truth, copy_of, gone, inside, read_truth
from tests.flows.conftest import World

pytestmark = [pytest.mark.drill, pytest.mark.timeout(1800)]

MOMENTS = 15
AT_ONCE = 2
"""Drills side by side: each is one process that mostly imports, then trains with one thread."""
VIRGIN = 5
"""Every so many-th drill begins in a new workspace, where a run makes its databases first."""


def test_at_random_moments(prepared: World, started: World, truth: Truth) -> None:
    drawn = random.Random(20261123)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        drills = {}
        for number in range(MOMENTS):
            virgin = number % VIRGIN == 0
            moment = drawn.uniform(0.1, truth.seconds + (5 if virgin else 0))
            name = f"{'new' if virgin else 'used'}-{moment:.3f}"
            world = replace(prepared, home=name) if virgin else copy_of(started, name)
            drills[name] = pool.submit(_killed_after, world, moment, truth)
        complaints = {name: drill.exception() for name, drill in drills.items()}
    assert {name: problem for name, problem in complaints.items() if problem} == {}


def _killed_after(world: World, moment: float, truth: Truth) -> None:
    process = world.start("run", "toy.yaml")
    threading.Event().wait(moment)
    process.kill()
    process.communicate()
    _goes_on(world, truth)


@pytest.mark.parametrize("step", DRILLED)
def test_inside_a_step(started: World, truth: Truth, step: str) -> None:
    world = copy_of(started, f"killed-in-{step}")
    process = world.start("run", "toy.yaml")
    inside(process, world, step)
    process.kill()
    process.communicate()
    _goes_on(world, truth)


def test_inside_a_shard(started: World) -> None:
    """Both shares end with the bytes of undisturbed ones, and a whole run then finds nothing to label."""
    undisturbed, killed = copy_of(started, "shards"), copy_of(started, "killed-in-a-shard")
    commands = [["label", "toy.yaml", "--shard", f"{number}/2"] for number in (0, 1)]
    for command in commands:
        undisturbed.done(*command)
        process = killed.start(*command)
        inside(process, killed, "label_shard")
        process.kill()
        process.communicate()
        assert gone(killed.workspace, seconds=15)
        killed.done(*command)
    one, other = (
        {part.name: part.read_bytes() for part in world.workspace.glob("labels/*/parts/*")}
        for world in (undisturbed, killed)
    )
    assert one == other
    assert "0 of them labelled by this step" in killed.done("label", "toy.yaml")
    assert [*killed.workspace.glob("plans/*"), *killed.workspace.glob("labels/*/parts/.*")] == []
    assert killed.still_open() == []


@pytest.mark.parametrize("step", ["augment", "train_student"])
def test_inside_a_sweep(started: World, step: str) -> None:
    """The trials are those of a sweep that nothing disturbed, student by student; Prefect holds none of it open."""
    space = "{augment.copies: [1], student.family: [bag, cnn]}"
    sweep = ("sweep", "toy.yaml", "--set", f"sweep={{space: {space}, seed: 3}}")
    undisturbed, killed = copy_of(started, f"swept-{step}"), copy_of(started, f"sweep-killed-in-{step}")
    undisturbed.done(*sweep)
    process = killed.start(*sweep)
    inside(process, killed, step)
    process.kill()
    process.communicate()
    assert gone(killed.workspace, seconds=15)
    killed.done(*sweep)
    one, other = (_trials(world) for world in (undisturbed, killed))
    assert len(one) == 2
    assert one == other
    assert killed.still_open() == []


def _trials(world: World) -> list[tuple[dict, float, str]]:
    """What each trial changed, its accuracy, and where its student is, which tells what it was made of."""
    result = json.loads((Path(world.record()["path"]) / "sweep.json").read_text(encoding="utf-8"))
    return [
        (one["changes"], one["dev_accuracy"], str(Path(one["path"]).relative_to(world.workspace)))
        for one in result["trials"]
    ]


def _goes_on(world: World, truth: Truth) -> None:
    """The same command once more, after a kill."""
    assert gone(world.workspace, seconds=15), "the temporary server outlived its run"
    committed = {file: file.stat().st_mtime_ns for file in world.workspace.glob("labels/*/parts/*.json")}
    world.done("run", "toy.yaml")
    after = read_truth(world)
    assert after.outputs == truth.outputs
    assert after.labels == truth.labels
    assert after.quality == truth.quality
    assert {file: file.stat().st_mtime_ns for file in committed} == committed, "a committed part was labelled again"
    assert world.still_open() == []
    parts = [world.workspace / part for part in ("outputs", "labels", "runs", "registry")]
    hidden = [path for part in parts for path in part.rglob(".*")]
    plans = list((world.workspace / "plans").glob("*"))
    assert hidden + plans + list(world.workspace.rglob("*.partial")) == [], "nothing half-made is left"


def test_two_identical_runs_share_the_work(prepared: World, truth: Truth) -> None:
    world = replace(prepared, home="together")
    processes = [world.start("run", "toy.yaml") for _ in range(2)]
    outputs = [process.communicate(timeout=240) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(chain.from_iterable(outputs))
    log = (world.workspace / "prefect" / "server.log").read_text(encoding="utf-8")
    assert log == "", "the two servers stood in each other's way in the new database"
    runs = [json.loads(file.read_text(encoding="utf-8")) for file in (world.workspace / "runs").glob("*/run.json")]
    for title in truth.outputs:
        states = sorted(step["state"] for run in runs for step in run["steps"] if step["title"] == title)
        assert states == ["done", "reused"], title
    assert read_truth(world).outputs == truth.outputs


def test_two_different_runs_share_the_gpu(started: World) -> None:
    """The tag's limit holds though each run has a Prefect server of its own."""
    world = copy_of(started, "different")
    processes = [world.start("run", "toy.yaml", "--set", f"seeds=[{seed}]") for seed in (1, 2)]
    outputs = [process.communicate(timeout=240) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(chain.from_iterable(outputs))
    with sqlite3.connect(world.workspace / "prefect" / "prefect.db") as database:
        held = database.execute(
            "select start_time, end_time, flow_run_id, name from task_run"
            " where tags like '%gpu%' and state_name = 'Completed' order by start_time"
        ).fetchall()
    assert len({run for _, _, run, _ in held}) == 2
    for (_, ended, *_), (began, *_) in pairwise(held):
        assert ended <= began, held


def test_one_of_two_runs_is_killed_while_the_other_waits(started: World, truth: Truth) -> None:
    world = copy_of(started, "one-of-two")
    first = world.start("run", "toy.yaml")
    inside(first, world, "train_teacher")
    second = world.start("run", "toy.yaml")
    log = _line_in_a_log(world, "waiting train_teacher")
    first.kill()
    began = time.monotonic()
    stdout, stderr = second.communicate(timeout=240)
    assert second.returncode == 0, stdout + stderr
    assert time.monotonic() - began < 60 + truth.seconds, "it waited for a slot of the dead"
    assert str(first.pid) in log, "who is waited for is said"
    assert read_truth(world).outputs == truth.outputs
    world.done("run", "toy.yaml")
    assert world.still_open() == []


def _line_in_a_log(world: World, beginning: str) -> str:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for log in (world.workspace / "runs").glob("*/log.txt"):
            lines = [line for line in log.read_text(encoding="utf-8").splitlines() if beginning in line]
            if lines:
                return lines[0]
        time.sleep(0.05)
    raise AssertionError(f"no log says {beginning!r}")
