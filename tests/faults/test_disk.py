"""A disk that fills up in the middle of a step: a clear line, what was done stays, and the same command goes on."""

import csv
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from subprocess import Popen

import pytest

from tests.faults.conftest import DRILLED, TEXTS, Truth, copy_of, inside, read_truth
from tests.flows.conftest import World
from tests.toy import toy_rows

pytestmark = [pytest.mark.drill, pytest.mark.timeout(600)]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A tmpfs of 64 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no right to mount a tmpfs here")
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


@pytest.mark.parametrize("step", DRILLED)
def test_a_full_disk_in_a_step(started: World, truth: Truth, small_disk: Path, step: str) -> None:
    world = copy_of(started, str(small_disk / "home"))
    process = world.start("run", "toy.yaml")
    stdout = _told_of_a_full_disk(process, world, step, small_disk)
    done = [line.split()[1] for line in stdout.splitlines() if line.startswith("done ")]
    output = world.done("run", "toy.yaml")
    reused = [line.split()[1] for line in output.splitlines() if line.startswith("reused ")]
    assert reused[: len(done)] == done, "earlier work is kept"
    after = read_truth(world)
    assert after.outputs == truth.outputs
    assert after.labels == truth.labels


@pytest.mark.parametrize(
    ("step", "command"),
    [
        ("label_shard", ("label", "toy.yaml", "--shard", "0/2")),
        ("import_labels", ("labels", "import", "said.csv", "toy.yaml")),
    ],
)
def test_a_full_disk_outside_a_run(started: World, small_disk: Path, step: str, command: tuple[str, ...]) -> None:
    rows = [*csv.reader((started.folder / "train.csv").open(encoding="utf-8")), *map(list, toy_rows(TEXTS, seed=2))]
    with (started.folder / "said.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    undisturbed, world = copy_of(started, f"undisturbed-{step}"), copy_of(started, str(small_disk / "home"))
    undisturbed.done(*command)
    process = world.start(*command)
    _told_of_a_full_disk(process, world, step, small_disk)
    world.done(*command)
    one, other = (
        {part.name: part.read_bytes() for part in each.workspace.glob("labels/*/parts/*")}
        for each in (undisturbed, world)
    )
    assert one
    assert one == other


def _told_of_a_full_disk(process: Popen[str], world: World, step: str, disk: Path) -> str:
    """Fills the disk while a process is in a step, and makes room when it has ended with one clear line."""
    inside(process, world, step)
    ballast = disk / "ballast"
    _fill(ballast)
    os.kill(process.pid, signal.SIGCONT)
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 2, stdout + stderr
    assert stderr.count("\n") == 1, stderr
    assert "no space left" in stderr.lower()
    ballast.unlink()
    return stdout


def _fill(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError:
            return
