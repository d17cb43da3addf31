"""Drills in a world with enough texts for several parts of labels; each in a workspace of its own."""

import os
import shutil
import signal
import sqlite3
import time
from dataclasses import dataclass, replace
from pathlib import Path
from subprocess import Popen

import psutil
import pytest
import yaml

from tests.flows.conftest import World, make_world, toy_recipe
from tests.toy import toy_rows

DRILLED = ("load_data", "train_teacher", "label", "train_student", "evaluate", "register", "report")
"""Of steps that write alike, one: whatever fills an output fills it the same way. Random moments hit the others too."""
TEXTS = 2500
"""Unlabelled texts: three parts of soft labels with those of train."""


@dataclass(frozen=True)
class Truth:
    """What an undisturbed run gives.

    Attributes:
        seconds: that it takes.
        outputs: digest of each step's output, by title.
        labels: bytes of each part of the soft labels, by name.
        quality: text of each quality.json, by title.
    """

    seconds: float
    outputs: dict[str, str]
    labels: dict[str, bytes]
    quality: dict[str, str]


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A world with data, base model and the drills' recipe; nothing has run in it."""
    made = make_world(tmp_path_factory.mktemp("drills"))
    texts = "\n".join(text for text, _ in toy_rows(TEXTS, seed=2))
    (made.folder / "more.txt").write_text(texts + "\n", encoding="utf-8")
    recipe = toy_recipe()
    recipe["data"]["unlabelled"] = ["more.txt"]
    recipe["training"]["epochs"] = 1
    recipe["seeds"] = [0]
    (made.folder / "toy.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    return made


@pytest.fixture(scope="session")
def started(prepared: World) -> World:
    """The same after a run that was killed in its first step: the databases are there, half of a first run's time."""
    world = replace(prepared, home="started")
    process = world.start("run", "toy.yaml")
    inside(process, world, "load_data")
    process.kill()
    process.communicate()
    assert gone(world.workspace, seconds=15)
    return world


def copy_of(started: World, home: str) -> World:
    """A workspace of its own, in which a run was killed in its first step."""
    world = replace(started, home=home)
    half_made = shutil.ignore_patterns(".*")  # `inside` waits for something half-made to come
    shutil.copytree(started.workspace, world.workspace, ignore=half_made)
    with sqlite3.connect(world.workspace / "mlflow" / "mlflow.db") as database:
        places = (str(started.workspace), str(world.workspace))
        database.execute("update experiments set artifact_location = replace(artifact_location, ?, ?)", places)
    return world


@pytest.fixture(scope="session")
def truth(started: World) -> Truth:
    """One run that nothing disturbs."""
    undisturbed = copy_of(started, "undisturbed")
    began = time.monotonic()
    undisturbed.done("run", "toy.yaml")
    return read_truth(undisturbed, time.monotonic() - began)


def read_truth(world: World, seconds: float = 0.0) -> Truth:
    """What the latest run of a workspace gave."""
    steps = world.record()["steps"]
    (labels,) = (world.workspace / "labels").iterdir()
    scores = {step["title"]: Path(step["path"]) / "quality.json" for step in steps if step["step"] == "evaluate"}
    return Truth(
        seconds=seconds,
        outputs={step["title"]: step["digest"] for step in steps},
        labels={part.name: part.read_bytes() for part in (labels / "parts").iterdir()},
        quality={title: file.read_text(encoding="utf-8") for title, file in scores.items()},
    )


def inside(process: Popen[str], world: World, step: str) -> None:
    """Waits until a process is in the middle of a step, and stops it there with SIGSTOP."""
    while not any((world.workspace / "outputs" / step).glob(".*")):
        assert process.poll() is None, f"it ended before {step}: {process.communicate()}"
        time.sleep(0.001)
    os.kill(process.pid, signal.SIGSTOP)


def processes_of(workspace: Path) -> list[psutil.Process]:
    """Processes that have a workspace among their arguments: its temporary servers."""
    found = []
    for process in psutil.process_iter():
        try:
            if any(str(workspace) in argument for argument in process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def gone(workspace: Path, seconds: float) -> bool:
    """Whether no server of a workspace is left after some time."""
    return not psutil.wait_procs(processes_of(workspace), timeout=seconds)[1]
