"""A small world: toy texts, a tiny real BERT that is no teacher yet, a recipe, and a workspace that tests share."""

import csv
import json
import os
import random
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

STILLHOUSE = Path(sys.executable).with_name("stillhouse")
WORDS = {
    "sport": ["goal", "match", "coach", "league", "球赛", "⚽"],
    "money": ["bank", "shares", "profit", "market", "股票", "📈"],
    "food": ["soup", "bread", "cook", "salt", "面包", "🍞"],
}
FILLER = ["the", "a", "today", "very", "with", "and", "was", "new", "old", "some"]


def toy_rows(count: int, seed: int) -> list[tuple[str, str]]:
    """Texts that mostly tell their class by a word or two, and (text, class) pairs in random order."""
    drawn = random.Random(seed)
    rows = []
    for number in range(count):
        label = list(WORDS)[number % len(WORDS)]
        words = drawn.choices(FILLER, k=drawn.randint(2, 9)) + drawn.choices(WORDS[label], k=drawn.randint(1, 3))
        drawn.shuffle(words)
        rows.append((f"{' '.join(words)} {number}x{seed}", label))
    drawn.shuffle(rows)
    return rows


def write_csv(path: Path, rows: list[tuple[str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows(rows)


@dataclass(frozen=True)
class World:
    """A folder with data, a base model and a recipe; commands run in it with a workspace of its own."""

    folder: Path

    @property
    def workspace(self) -> Path:
        return self.folder / "home"

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
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT", "MLFLOW"))}
        return {**kept, "STILLHOUSE_HOME": str(self.workspace), "HF_HUB_OFFLINE": "1", "COLUMNS": "100"}

    def done(self, *arguments: str) -> str:
        """Runs a command that must succeed; gives its output."""
        result = self.run(*arguments)
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    def record(self) -> dict:
        """The latest run's record, as programs get it."""
        return json.loads(self.done("show", "--json"))

    def states(self) -> dict[str, str]:
        """What became of each step of the latest run."""
        return {step["title"]: step["state"] for step in self.record()["steps"]}


def recipe_of(folder: Path) -> dict:
    return {
        "name": "toy",
        "data": {"train": "train.csv", "test": "test.csv", "labels_per_class": 30},
        "teachers": [{"model": "base", "epochs": 15, "learning_rate": 3e-3, "batch_size": 8, "max_length": 16}],
        "student": {"embedding_size": 16, "hidden_size": 16},
        "training": {"epochs": 3, "batch_size": 16, "evaluations": 2},
        "seeds": [0, 1],
    }


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The world after one complete run of its recipe."""
    from transformers import BertConfig, BertModel

    from tests.tiny import wordpiece_tokenizer

    folder = tmp_path_factory.mktemp("world")
    train = toy_rows(300, seed=0)
    write_csv(folder / "train.csv", train)
    write_csv(folder / "test.csv", toy_rows(90, seed=1))
    tokenizer = wordpiece_tokenizer([text for text, _ in train])
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(folder / "base")
    tokenizer.save_pretrained(folder / "base")
    (folder / "toy.yaml").write_text(yaml.safe_dump(recipe_of(folder)), encoding="utf-8")
    made = World(folder)
    made.done("run", "toy.yaml")
    return made
