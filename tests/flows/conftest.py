"""A small world: toy texts, a tiny real BERT that is no teacher yet, a recipe, and a workspace that tests share."""

import json
import os
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import yaml
from safetensors.numpy import load_file, save_file

from flows.records import all_runs
from tasks.shared.workspace import Workspace
from tests.toy import toy_rows, write_csv

SECRET = "planted-4f7d1c-secret"
"""Stands in the environment of every command here, and must be in nothing that one writes or says."""
SECRETS = {
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "DATABASE_URL": f"postgresql://somebody:{SECRET}@database/somewhere",
    "HF_TOKEN": f"hf_{SECRET}",
    "MLFLOW_TRACKING_PASSWORD": SECRET,
    "PREFECT_API_KEY": f"pnu_{SECRET}",
}

STILLHOUSE = Path(sys.executable).with_name("stillhouse")


@dataclass(frozen=True)
class World:
    """A folder with data, a base model and a recipe; commands run in it with a workspace of its own."""

    folder: Path
    home: str = "home"

    @property
    def workspace(self) -> Path:
        return self.folder / self.home

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Runs the command line as a user would."""
        return subprocess.run(
            [STILLHOUSE, *arguments],
            cwd=self.folder,
            env=self.environment | environment,
            capture_output=True,
            text=True,
            timeout=240,
        )

    @property
    def environment(self) -> dict[str, str]:
        """The user's, without what names servers; one thread, as tiny models only wait for a second one."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT", "MLFLOW"))}
        ours = {"STILLHOUSE_HOME": str(self.workspace), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "COLUMNS": "100"}
        return kept | SECRETS | ours

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Starts a command, for those who want to disturb it."""
        return subprocess.Popen(
            [STILLHOUSE, *arguments],
            cwd=self.folder,
            env=self.environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def done(self, *arguments: str) -> str:
        """Runs a command that must succeed; gives its output."""
        result = self.run(*arguments)
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    def record(self) -> dict:
        """The latest run's record, as programs get it."""
        return json.loads(self.done("show", "--json"))

    def records(self) -> list[dict]:
        """The records of all runs, the oldest first."""
        return all_runs(Workspace(self.workspace))[::-1]

    def finished(self) -> dict:
        """The record of the latest run that came to a verdict; tests of sweeps and labels share the workspace."""
        return next(record for record in reversed(self.records()) if record["verdict"])

    def states(self) -> dict[str, str]:
        """What became of each step of the latest run."""
        return {step["title"]: step["state"] for step in self.record()["steps"]}

    def still_open(self) -> list[str]:
        """What counts as going on: in our records, in MLflow, in Prefect."""
        records = [json.loads(file.read_text(encoding="utf-8")) for file in self.workspace.glob("runs/*/run.json")]
        found = [record["run"] for record in records if record["state"] == "running"]
        with sqlite3.connect(self.workspace / "mlflow" / "mlflow.db") as database:
            found += [name for (name,) in database.execute("select name from runs where status = 'RUNNING'")]
        with sqlite3.connect(self.workspace / "prefect" / "prefect.db") as database:
            for kind in ("flow_run", "task_run"):
                states = database.execute(f"select name, state_type from {kind}")
                closed = ("COMPLETED", "CRASHED", "FAILED")
                found += [f"{kind} {name}" for name, state in states if state not in closed]
        return found


def toy_recipe() -> dict:
    """A recipe that takes seconds."""
    return {
        "name": "toy",
        "data": {"train": "train.csv", "test": "test.csv", "labels_per_class": 40},
        "teachers": [
            {
                "model": "base",
                "epochs": 10,
                "learning_rate": 3e-3,
                "batch_size": 8,
                "max_length": 16,
                "precision": "fp32",
            }
        ],
        "labelling": {"precision": "fp32"},
        "student": {"embedding_size": 16, "hidden_size": 16, "dropout": 0.1},
        "objective": [{"term": "soft", "temperature": 2.0}],
        "training": {"epochs": 3, "batch_size": 16, "learning_rate": 1e-2, "evaluations": 2, "precision": "fp32"},
        "twin": {"epochs": "matched", "dropout": 0.1, "copies": 0},
        "augment": {"copies": 0},
        "race": 1,
        "robustness": {
            "texts": 20,
            "noises": ["keyboard", "drop"],
            "strengths": [0.2],
            "adversary": 4,
            "candidates": 6,
        },
        "seeds": [0, 1],
    }


def make_world(folder: Path) -> World:
    """A world in which nothing has run yet."""
    from tests.tiny import tiny_bert, word_tokenizer

    train = toy_rows(300, seed=0)
    write_csv(folder / "train.csv", train)
    write_csv(folder / "test.csv", toy_rows(90, seed=1))
    # Of this seed the students gain, so that the first one becomes champion.
    tiny_bert(folder / "base", word_tokenizer([text for text, _ in train]), seed=4)
    (folder / "toy.yaml").write_text(yaml.safe_dump(toy_recipe()), encoding="utf-8")
    return World(folder)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The world after one complete run of its recipe."""
    made = make_world(tmp_path_factory.mktemp("world"))
    made.done("run", "toy.yaml")
    return made


def spoil(weights: Path) -> None:
    """Other values, the same names, shapes and size."""
    size = weights.stat().st_size
    random = np.random.default_rng(0)
    content = {name: random.normal(size=value.shape).astype(value.dtype) for name, value in load_file(weights).items()}
    save_file(content, weights, metadata={"format": "pt"})
    assert weights.stat().st_size == size
