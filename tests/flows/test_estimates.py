"""How long a plan says that steps will take: what steps like them took here before."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from flows.estimates import Estimates
from flows.plan import Planner
from tasks.shared.defaults.derive import derive
from tasks.shared.defaults.facts import DataFacts, Facts, ModelFacts
from tasks.shared.outputs import write_json
from tasks.shared.recipe import Recipe
from tasks.shared.recipe_file import with_changes
from tasks.shared.steps import Unknown
from tasks.train_student import TrainStudent
from tasks.train_teacher import TrainTeacher
from tests.bench import Bench

GIVEN = Recipe(data={"train": "train.csv", "test": "test.csv"}, teachers=[{"epochs": 3, "batch_size": 16}])
RECIPE = derive(GIVEN, Facts(DataFacts(2, 320, 80, 6400, 20.0), (ModelFacts(),), "fp32")).recipe
DATA = Unknown("data", {"gold": 320, "transfer": 6400})


def teacher_step(recipe: Recipe, data: Unknown = DATA) -> TrainTeacher:
    return TrainTeacher(data, recipe.teachers[0], 0)  # type: ignore[arg-type] - as in a plan


def student_step(recipe: Recipe, seed: int = 0) -> TrainStudent:
    unknown = Unknown("something")
    return TrainStudent(DATA, unknown, recipe.student, recipe.training, seed, unknown, ())  # type: ignore[arg-type]


@pytest.fixture
def record(tmp_path: Path) -> dict[str, Any]:
    """Of a run that trained a teacher for 60 steps of two seconds and a student for 200 steps of a tenth."""
    steps = []
    for title, number, took in (("train_teacher 0", 0, (60, 120.0)), ("train_student seed 0", None, (200, 20.0))):
        folder = tmp_path / title
        folder.mkdir()
        history = {"version": 1, "steps": took[0], "seconds": took[1], "device": "cpu"}
        write_json(folder / "history.json", history)
        entry = {"step": title.split(" ")[0], "title": title, "state": "done", "teacher": number, "path": str(folder)}
        steps.append({**entry, "seconds": 999.0})
    return {"flow": "distill", "recipe": RECIPE.model_dump(mode="json"), "steps": steps}


def test_a_training_takes_as_long_a_step_as_one_like_it_took(record: dict[str, Any]) -> None:
    longer = with_changes(RECIPE, {"teachers.0.epochs": 6})
    assert Estimates([record], RECIPE).seconds(teacher_step(RECIPE)) == 3 * 20 * 2.0
    assert Estimates([record], longer).seconds(teacher_step(longer)) == 6 * 20 * 2.0
    steps = student_step(RECIPE).steps
    assert Estimates([record], RECIPE).seconds(student_step(RECIPE, seed=7)) == pytest.approx(steps * 0.1)
    record["steps"][1]["at_a_time"] = 2
    beside = Estimates([record], RECIPE).seconds(student_step(RECIPE, seed=7))
    assert beside == pytest.approx(steps * 0.05), "two side by side take half the time each"


def test_of_several_runs_the_one_with_most_work_counts(record: dict[str, Any], tmp_path: Path) -> None:
    few = json.loads(json.dumps(record))
    for number, step in enumerate(few["steps"]):
        folder = tmp_path / str(number)
        folder.mkdir()
        write_json(folder / "history.json", {"version": 1, "steps": 1, "seconds": 500.0, "device": "cpu"})
        step["path"] = str(folder)
    both = Estimates([few, record], RECIPE)
    assert both.seconds(teacher_step(RECIPE)) == 3 * 20 * 2.0, "of a few texts nearly all is loading the model"


def test_where_rows_are_not_known_it_takes_what_it_took(record: dict[str, Any]) -> None:
    assert Estimates([record], RECIPE).seconds(teacher_step(RECIPE, Unknown("data"))) == 120.0


@pytest.mark.parametrize(
    ("changes", "teacher_known", "student_known"),
    [
        ({"student.hidden_size": 512}, True, False),
        ({"teachers.0.max_length": 256}, False, False),
        ({"data.train": "other.csv"}, False, False),
        ({"training.epochs": 9, "teachers.0.floor": 0.5}, True, True),
    ],
)
def test_what_sets_another_pace_is_not_estimated(
    record: dict[str, Any], changes: dict[str, Any], teacher_known: bool, student_known: bool
) -> None:
    other = with_changes(RECIPE, changes)
    found = Estimates([record], other)
    known = [found.seconds(step) is not None for step in (teacher_step(other), student_step(other))]
    assert known == [teacher_known, student_known]


def test_trials_of_a_sweep_tell_nothing_of_the_recipes_own_student(record: dict[str, Any]) -> None:
    found = Estimates([record | {"flow": "sweep"}], RECIPE)
    assert found.seconds(teacher_step(RECIPE)) is not None
    assert found.seconds(student_step(RECIPE)) is None


def test_a_record_that_a_person_edited_and_a_history_that_is_gone_stop_no_plan(record: dict[str, Any]) -> None:
    (Path(record["steps"][0]["path"]) / "history.json").write_text("{")
    broken = {"recipe": {"data": 3}, "steps": record["steps"]}
    assert Estimates([broken, record], RECIPE).seconds(teacher_step(RECIPE)) == 999.0


def test_a_plan_tells_each_steps_time_and_the_whole(bench: Bench, record: dict[str, Any]) -> None:
    planner = Planner(bench.workspace, frozenset(), [record])
    planner.settle(RECIPE, final=True)
    planner(teacher_step(RECIPE))
    planner(student_step(with_changes(RECIPE, {"student.hidden_size": 8})))
    told, said = planner.to_dict(), io.StringIO()
    assert [step["seconds"] for step in told["steps"]] == [120.0, pytest.approx(student_step(RECIPE).steps * 0.1)]
    assert told["of_unknown_time"] == 0
    planner.print(Console(file=said, width=200))
    assert "run     train_teacher 0             about 2 min" in said.getvalue()
    assert "as in earlier runs here, the longest train_teacher 0" in said.getvalue()
