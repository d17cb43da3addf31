"""What a person is told while a run waits, and what a tracked run says of the Prefect run that it belongs to."""

import io
import socket
import sys
import threading
import time

import pytest
from filelock import FileLock
from rich.console import Console

from flows.console import View
from flows.run_links import prefect_tags
from flows.running import Runner
from tasks.shared.recipe import Recipe
from tasks.shared.side_by_side import SideBySide
from tasks.shared.steps import Ahead, Unknown
from tasks.shared.workspace import open_workspace
from tasks.train_student import TrainStudent
from tasks.train_teacher import TrainTeacher
from tests.settled import Teacher


def a_runner(said: io.StringIO) -> Runner:
    """One that has done nothing yet, of a run of six students and twins."""
    return Runner(
        workspace=open_workspace(),
        view=View(Console(file=said)),
        tracker=None,  # type: ignore[arg-type] - nothing is tracked
        parent="",
        run="waits",
        flow_run="",
        device="cpu",
        force=frozenset(),
        own_server=True,
        trainers=SideBySide(open_workspace(), "cpu"),
        trainings=6,
        seeds=3,
    )


def test_links_to_prefect_hold_no_login_and_none_to_a_server_of_one_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT__RUNTIME__FLOW_RUN__UI_URL", "http://somebody:secret@example.org/runs/1")
    tags = prefect_tags(own_server=False)
    assert tags["prefect.url"] == "http://example.org/runs/1"
    assert "secret" not in str(tags)
    assert "prefect.url" not in prefect_tags(own_server=True)


def test_a_run_that_waits_for_anothers_training_says_so_and_speaks_of_no_gpu() -> None:
    """Found on a machine without one: "another is using the gpu"."""
    said = io.StringIO()
    runner = a_runner(said)
    workspace = runner.workspace
    workspace.locks.mkdir(exist_ok=True)
    taken = threading.Event()

    def train_for_a_moment() -> None:
        with FileLock(workspace.locks / f"gpu-{socket.gethostname()}.lock"):
            taken.set()
            time.sleep(0.2)

    threading.Thread(target=train_for_a_moment).start()
    taken.wait()
    step = TrainTeacher(Unknown("data"), Teacher(), 0)  # type: ignore[arg-type] - only its name matters
    with runner._slot(step):
        pass
    assert said.getvalue().startswith("waiting train_teacher")
    assert "is training or labelling, and a machine does one of that at a time" in said.getvalue()
    assert "gpu" not in said.getvalue().lower()


def test_what_is_left_of_an_interrupted_step_is_told_and_where_there_is_nothing_torch_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runner = a_runner(io.StringIO())
    step = TrainTeacher(Unknown("data"), Teacher(), 0)  # type: ignore[arg-type] - only its folder matters
    monkeypatch.setattr(TrainTeacher, "folder", lambda self, workspace: workspace.root / "outputs" / "left")
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "models.checkpoint", None)  # importing it fails
        assert runner._left(step) == ""
    (runner.workspace.trainings / "left" / "step-000001200").mkdir(parents=True)
    assert runner._left(step) == "its checkpoint of step 1,200 is kept"


def test_of_the_first_training_of_a_run_it_is_known_how_many_follow() -> None:
    runner = a_runner(io.StringIO())
    student = TrainStudent(*[Unknown("something")] * 4, 0, Unknown("labels"), ())  # type: ignore[arg-type] - its kind
    assert runner._ahead(student) == Ahead(5, 3)
    runner.done.append({"step": "train_student", "state": "reused"})
    assert runner._ahead(student) == Ahead(4, 3)
    runner.done.append({"step": "train_twin", "state": "done"})
    assert runner._ahead(student) is None
    assert runner._ahead(TrainTeacher(Unknown("data"), Teacher(), 0)) == Ahead(0, 1)  # type: ignore[arg-type]


def test_a_recipe_knows_how_many_small_models_it_trains() -> None:
    recipe = Recipe(data={"train": "a.csv", "test": "b.csv"}, seeds=[0, 1, 2], draws=2, baselines=["scratch"])
    assert recipe.trainings == 3 * 2 * 2 + 3
