"""Labelling on Ray: the same rows as here, tracked by the driver alone, and refusals in one line."""

import json
import re
import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file, save_file

from flows.preflight import check_cluster
from tasks.shared.errors import StillhouseError
from tasks.shared.outputs import MANIFEST, hash_file, hash_of
from tests.flows.conftest import World

ON_RAY = ("label", "toy.yaml", "--set", "runner=ray", "--set", "labelling.shards=3")


@pytest.fixture(scope="module")
def elsewhere(world: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """The world's data and teacher, without labels, after a labelling on Ray."""
    home = tmp_path_factory.mktemp("ray") / "home"
    for step in ("load_data", "train_teacher"):
        shutil.copytree(world.workspace / "outputs" / step, home / "outputs" / step)
    shutil.copy(world.workspace / "stillhouse.json", home)
    copy = replace(world, home=str(home))
    copy.done(*ON_RAY)
    return copy


def labels_of(world: World) -> pd.DataFrame:
    parts = [pd.read_parquet(file) for file in world.workspace.glob("labels/*/parts/*.parquet")]
    assert parts
    return pd.concat(parts).set_index("key").sort_index()


@pytest.mark.slow
def test_a_cluster_labels_the_same_rows(world: World, elsewhere: World, tmp_path: Path) -> None:
    here = replace(elsewhere, home=str(tmp_path / "home"))
    shutil.copytree(
        elsewhere.workspace, here.workspace, ignore=shutil.ignore_patterns("labels", "label", "label_shard")
    )
    here.done("label", "toy.yaml")
    one, other = labels_of(here), labels_of(elsewhere)
    assert one.index.equals(other.index)
    np.testing.assert_allclose(np.stack(one["logits"]), np.stack(other["logits"]), atol=1e-4, rtol=0)


@pytest.mark.slow
def test_shares_are_tasks_and_tracked_runs_that_point_to_each_other(elsewhere: World) -> None:
    (file,) = elsewhere.workspace.glob("runs/*/run.json")
    record = json.loads(file.read_text(encoding="utf-8"))
    shares = [step for step in record["steps"] if step["step"] == "label_shard"]
    assert sorted(step["title"] for step in shares) == [f"label_shard {n}/3 by teacher 0" for n in range(3)]
    assert {step["state"] for step in shares} == {"done"}
    assert re.search(r"texts, 0 of them labelled by this step", record["steps"][-1]["note"])
    with sqlite3.connect(elsewhere.workspace / "prefect" / "prefect.db") as database:
        tasks = dict(database.execute("select id, tags from task_run where name like 'label_shard%'"))
    with sqlite3.connect(elsewhere.workspace / "mlflow" / "mlflow.db") as database:
        tagged = database.execute("select value from tags where key = 'prefect.task_run_id'").fetchall()
    assert {'["ray"]'} == set(tasks.values())
    assert set(tasks) <= {task for (task,) in tagged}
    assert elsewhere.still_open() == []


@pytest.mark.slow
def test_labels_that_are_there_start_no_cluster(elsewhere: World) -> None:
    printed = elsewhere.done(*ON_RAY)
    assert "276 soft labels, 0 of them new" in printed.replace("\n", " ")
    assert "label_shard" not in printed
    assert "reused  label by teacher 0" in printed


@pytest.mark.slow
def as_if_written_so(output: Path) -> None:
    """Lets an output's manifest name the files that are there: else it is noticed that they changed."""
    manifest = json.loads((output / MANIFEST).read_text(encoding="utf-8"))
    for name, entry in manifest["files"].items():
        entry["sha256"] = hash_file(output / name)
    digest_of = {name: entry["sha256"] for name, entry in manifest["files"].items()}
    manifest["digest"] = hash_of({name: sha for name, sha in digest_of.items() if name not in manifest["measured"]})
    (output / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")


def test_a_share_that_fails_is_one_line_and_leaves_nothing_open(elsewhere: World, tmp_path: Path) -> None:
    world = replace(elsewhere, home=str(tmp_path / "home"))
    unlabelled = shutil.ignore_patterns("labels", "label", "label_shard", "runs", "mlflow", "prefect")
    shutil.copytree(elsewhere.workspace, world.workspace, ignore=unlabelled)
    (weights,) = world.workspace.glob("outputs/train_teacher/*/model/model.safetensors")
    tensors = load_file(weights)
    tensors["classifier.bias"] = np.full_like(tensors["classifier.bias"], np.nan)
    save_file(tensors, weights, metadata={"format": "pt"})
    as_if_written_so(weights.parent.parent)
    result = world.run(*ON_RAY)
    assert result.returncode == 2, result.stdout + result.stderr
    assert "logits that are not finite; train it anew" in result.stderr
    assert result.stderr.count("\n") == 1
    assert world.still_open() == []


def test_a_share_by_hand_and_a_cluster_are_one_too_many(world: World) -> None:
    result = world.run(*ON_RAY, "--shard", "0/2")
    assert result.returncode == 2
    assert "--shard is for machines without a cluster" in result.stderr


def test_a_cluster_elsewhere_needs_a_server_that_it_reaches(world: World) -> None:
    result = world.run(*ON_RAY, RAY_ADDRESS="127.0.0.1:1")
    assert result.returncode == 2
    assert "set PREFECT_API_URL" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "nonsense", "127.0.0.1:99999999"])
def test_a_cluster_that_does_not_answer_is_told_at_once(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address)
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:1/api")
    with pytest.raises(StillhouseError, match="no Ray cluster answers at RAY_ADDRESS"):
        check_cluster()


def test_without_the_packages_it_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.preflight.find_spec", lambda name: None)
    with pytest.raises(StillhouseError, match=r"\.\[ray\]"):
        check_cluster()
