"""Registered models as their consumers meet them: by command, in a recipe, and from MLflow without this project."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.flows.conftest import World

TEXTS = ["soup and bread with salt", "  the coach\tof the league ", "面包 🍞", "profit " * 40]

WITHOUT_US = """
import json, sys

class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("flows", "models", "tasks"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, NotInstalled())
import mlflow
import pandas as pd

mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model(sys.argv[2])
found = model.predict(pd.DataFrame({"text": json.loads(sys.argv[3])}))
for name in ("flows", "models", "tasks"):
    try:
        __import__(name)
    except ModuleNotFoundError:
        continue
    raise SystemExit(f"{name} can be imported")
print(found.to_json(orient="records"))
"""


@pytest.fixture(scope="module")
def registered(world: World) -> dict[str, dict]:
    """The first version of student and teacher, by role."""
    found = json.loads(world.done("models", "--json"))
    return {version["tags"]["role"]: version for version in found if version["version"] == 1}


def by_command(world: World, model: str) -> list[dict]:
    """What `stillhouse predict` says of the texts."""
    file = world.folder / "texts.jsonl"
    file.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS), encoding="utf-8")
    return [json.loads(line) for line in world.done("predict", model, "--input", str(file)).splitlines()]


def test_models_are_listed_for_people(world: World, registered: dict) -> None:
    shown = world.done("models")
    assert {"toy-student", "toy-teacher"} <= set(shown.split())
    assert "champion" in shown
    assert "the first champion of this name" in " ".join(shown.split())
    assert registered["student"]["tags"]["verdict"] in shown
    assert "Traceback" not in shown


def test_a_registered_student_predicts_as_its_folder_does(world: World, registered: dict) -> None:
    best = world.records()[0]["best"]
    assert registered["student"]["tags"]["digest"] == best["digest"]
    assert by_command(world, "models:/toy-student/1") == by_command(world, best["path"])
    result = world.run("predict", "models:/toy-student@champion", "soup and bread")
    assert result.returncode == 0
    assert "food" in result.stdout
    assert result.stderr.startswith("stillhouse: models:/toy-student@champion is version ")
    assert result.stderr.count("\n") == 1, "nothing of MLflow's own"


@pytest.mark.parametrize("role", ["student", "teacher"])
def test_mlflow_serves_the_same_where_this_project_is_not_installed(
    world: World, registered: dict, tmp_path: Path, role: str
) -> None:
    uri = f"sqlite:///{world.workspace / 'mlflow' / 'mlflow.db'}"
    address = registered[role]["address"]
    arguments = [uri, address, json.dumps(TEXTS)]
    child = subprocess.run(
        [sys.executable, "-I", "-c", WITHOUT_US, *arguments],
        cwd=tmp_path,
        env=world.environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert child.returncode == 0, child.stderr
    served = json.loads(child.stdout.splitlines()[-1])
    for here, there in zip(by_command(world, address), served, strict=True):
        assert there.pop("label") == here["label"]
        assert there == pytest.approx({f"probability_{n}": p for n, p in here["probabilities"].items()}, abs=2e-6)


def test_a_registered_teacher_is_planned_like_any_other(world: World) -> None:
    plan = world.done("plan", "toy.yaml", "--set", "teachers.0.model=models:/toy-teacher/1")
    assert "run     train_teacher 0" in plan
    result = world.run("plan", "toy.yaml", "--set", "teachers.0.model=models:/toy-teacher@nobody")
    assert result.returncode == 2
    assert "teachers.0.model: no models:/toy-teacher@nobody in the registry" in result.stderr
    assert result.stderr.count("\n") == 1


def test_where_nothing_is_registered(world: World, tmp_path: Path) -> None:
    nowhere = {"STILLHOUSE_HOME": str(tmp_path / "none")}
    shown = world.run("models", **nowhere)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "nothing is registered" in shown.stdout
    assert json.loads(world.run("models", "--json", **nowhere).stdout) == []
    missing = world.run("predict", "models:/toy-student@champion", "a text", **nowhere)
    assert missing.returncode == 2
    assert "nothing is registered there yet" in missing.stderr
    assert not (tmp_path / "none").exists()
