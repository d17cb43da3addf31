"""Weights, rows and labels that were changed behind our back: each command that would use them says so."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.flows.conftest import World, spoil


@pytest.fixture
def copied(world: World, tmp_path: Path) -> World:
    """A workspace of its own to spoil."""
    shutil.copytree(world.workspace, tmp_path / "copied", symlinks=True)
    return replace(world, home=str(tmp_path / "copied"))


@pytest.fixture
def spoiled(copied: World) -> World:
    spoil(Path(copied.finished()["best"]["path"]) / "model.safetensors")
    return copied


def test_changed_weights_are_not_predicted_with(spoiled: World) -> None:
    result = spoiled.run("predict", "latest", "goal match coach league")
    assert (result.returncode, result.stdout) == (2, "")
    assert "model/model.safetensors changed since it was made, so it is not used" in result.stderr
    assert result.stderr.count("\n") == 2


def test_verify_tells_what_changed_and_nothing_else(spoiled: World) -> None:
    result = spoiled.run("verify")
    assert result.returncode == 1
    [wrong] = [line for line in result.stdout.splitlines() if line.startswith("wrong")]
    assert "outputs/train_student/" in wrong
    assert "model/model.safetensors changed" in wrong
    assert "1 of them wrong" in result.stdout


def test_verify_reads_labels_registered_models_and_damaged_manifests_too(copied: World) -> None:
    assert "all as they were written" in copied.done("verify")
    part = next(copied.workspace.glob("labels/*/parts/*.parquet"))
    part.write_bytes(part.read_bytes()[:-1] + b"x")
    spoil(next(copied.workspace.glob("mlflow/**/toy-teacher/artifacts/model/model.safetensors")))
    manifest = next(copied.workspace.glob("outputs/judge/*/manifest.json"))
    manifest.write_text("{", encoding="utf-8")
    result = copied.run("verify")
    wrong = [line for line in result.stdout.splitlines() if line.startswith("wrong")]
    assert result.returncode == 1
    assert len(wrong) == 3
    assert all(any(what in line for line in wrong) for what in ("labels ", "models:/toy-teacher", "manifest.json"))


def test_a_report_is_not_made_of_changed_scorecards(copied: World) -> None:
    card = Path(copied.finished()["students"][0]["scorecard"]) / "quality.json"
    text = card.read_text(encoding="utf-8")
    card.write_text(text.replace("0.9", "0.8", 1) if "0.9" in text else text.replace("1.0", "0.1", 1), encoding="utf-8")
    assert json.loads(card.read_text(encoding="utf-8"))
    result = copied.run("report")
    assert result.returncode == 2
    assert "quality.json changed since it was made" in result.stderr
