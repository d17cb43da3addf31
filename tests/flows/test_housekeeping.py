"""Collecting garbage: what every workspace can do without, whatever runs there are."""

import json
from pathlib import Path

import pytest

from flows.housekeeping import collect_garbage
from flows.records import KEYS, RECORD, SCHEMA
from tasks.shared.errors import StillhouseError
from tests.bench import Bench


def test_copies_of_registered_models_go(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    registry = bench.workspace.registry
    copies: list[Path] = [registry / ("ab" * 32), registry / f".{'cd' * 32}.0123"]
    for copy in copies:
        copy.mkdir(parents=True)
        (copy / "model.safetensors").write_bytes(b"0" * 200_000)
    collect_garbage(1, delete=False)
    assert "0.4 MB  in 2 folders would go" in capsys.readouterr().out
    assert all(copy.is_dir() for copy in copies)
    collect_garbage(1, delete=True)
    assert list(registry.iterdir()) == []


def test_nothing_goes_while_a_record_does_not_say_what_its_run_needs(bench: Bench) -> None:
    labels = bench.workspace.labels / "of a teacher"
    labels.mkdir(parents=True)
    record = bench.workspace.runs / "a-run" / "run.json"
    record.parent.mkdir(parents=True)
    record.write_text('{"schema": 1, "ru', encoding="utf-8")
    with pytest.raises(StillhouseError, match="does not say what its run needs"):
        collect_garbage(1, delete=True)
    assert labels.is_dir()


@pytest.mark.parametrize("state", ["interrupted", "done"])
def test_a_checkpoint_goes_once_no_kept_run_would_go_on_from_it(bench: Bench, state: str) -> None:
    key, made = "ab" * 16, "cd" * 16
    trainings = bench.workspace.trainings
    for name in (key, made):
        (trainings / name / "step-000000044").mkdir(parents=True)
    (bench.workspace.outputs / "train_teacher" / made).mkdir(parents=True)
    run = bench.workspace.runs / "a-run"
    run.mkdir(parents=True)
    facts = {"run": "a-run", "state": state, "began": "2026-11-29", "path": "runs/a-run"}
    facts |= {"verdict": dict.fromkeys(("outcome", "sentence", "scope"), ""), "mlflow": {"run": "1", "uri": "sqlite:"}}
    needs = {
        "steps": [{"path": "outputs/train_teacher/" + made, "step": "train_teacher", "title": "", "state": "done"}]
    }
    record = dict.fromkeys(KEYS) | facts | needs | {"labels": [], "recipe": {}, "schema": SCHEMA}
    (run / RECORD).write_text(json.dumps(record), encoding="utf-8")
    collect_garbage(1, delete=True)
    assert [path.name for path in trainings.iterdir()] == ([key] if state == "interrupted" else [])
