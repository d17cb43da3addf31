"""kill -9 while a Ray cluster labels: a worker's share is done by another one, a driver's run goes on."""

import shutil
import time
from pathlib import Path
from subprocess import Popen

import psutil
import pytest

from tests.faults.conftest import copy_of, gone
from tests.flows.conftest import World

pytestmark = [pytest.mark.drill, pytest.mark.timeout(600)]

LABEL = ("label", "toy.yaml", "--set", "runner=ray", "--set", "labelling.shards=3")


@pytest.fixture(scope="session")
def taught(started: World) -> World:
    """A workspace with a teacher, and no labels."""
    world = copy_of(started, "taught")
    world.done("label", "toy.yaml")
    shutil.rmtree(world.workspace / "labels")
    shutil.rmtree(world.workspace / "outputs" / "label")
    return world


@pytest.fixture(scope="session")
def undisturbed(taught: World) -> dict[str, bytes]:
    """Bytes of each part of soft labels of a run that nothing disturbs, by name."""
    world = copy_of(taught, "on-ray")
    world.done(*LABEL)
    return parts_of(world)


def parts_of(world: World) -> dict[str, bytes]:
    return {part.name: part.read_bytes() for part in world.workspace.glob("labels/*/parts/*")}


def workers_in_a_share(process: Popen[str], world: World) -> list[psutil.Process]:
    """Waits until workers label; gives them."""
    while True:
        assert process.poll() is None, f"it ended before a share: {process.communicate()}"
        if any((world.workspace / "outputs" / "label_shard").glob(".*")):
            children = psutil.Process(process.pid).children(recursive=True)
            workers = [child for child in children if "ray::label_shard" in _title(child)]
            if workers:
                return workers
        time.sleep(0.001)


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def test_a_killed_workers_share_is_labelled_by_another(taught: World, undisturbed: dict[str, bytes]) -> None:
    world = copy_of(taught, "killed-worker")
    process = world.start(*LABEL)
    victim = workers_in_a_share(process, world)[0]
    victim.kill()
    stdout, stderr = process.communicate(timeout=240)
    assert process.returncode == 0, stdout + stderr
    assert parts_of(world) == undisturbed
    assert world.still_open() == []
    _nothing_half_made(world)


def test_a_killed_driver_takes_its_cluster_along_and_the_same_command_goes_on(
    taught: World, undisturbed: dict[str, bytes]
) -> None:
    world = copy_of(taught, "killed-driver")
    process = world.start(*LABEL)
    workers = workers_in_a_share(process, world)
    cluster = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate()
    assert psutil.wait_procs(workers, timeout=15)[1] == []
    assert gone(world.workspace, seconds=15)
    world.done(*LABEL)
    # Two watchers of Ray's try for a minute to tell the dead cluster of its death.
    assert psutil.wait_procs(cluster, timeout=90)[1] == [], "the cluster outlived its run"
    assert parts_of(world) == undisturbed
    assert world.still_open() == []
    _nothing_half_made(world)


def _nothing_half_made(world: World) -> None:
    plans = list((world.workspace / "plans").glob("*"))
    hidden: list[Path] = [path for part in ("outputs", "labels") for path in (world.workspace / part).rglob(".*")]
    assert plans + hidden == []
