"""Tracking, against a real MLflow with its database in a temporary folder."""

import json
import os

import pytest
from mlflow.tracking import MlflowClient

from tasks.shared.errors import StillhouseError
from tasks.shared.tracking import Tracker
from tasks.shared.tracking_place import tracking_uri
from tasks.shared.workspace import Workspace


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """Making the database takes seconds, so all tests share one."""
    return Workspace(tmp_path_factory.mktemp("tracking") / "home")


@pytest.fixture
def tracker(workspace):
    return Tracker(workspace, "toy")


@pytest.fixture
def client(tracker):
    return MlflowClient(tracker.uri)


def test_without_a_setting_the_database_is_in_the_workspace(workspace, monkeypatch):
    assert tracking_uri(workspace) == f"sqlite:///{workspace.root}/mlflow/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://example.org")
    assert tracking_uri(workspace) == "http://example.org"


@pytest.mark.parametrize("setting", [None, ""])
def test_artifacts_stay_in_the_workspace(workspace, client, monkeypatch, setting):
    if setting is not None:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", setting)
    made = Tracker(workspace, f"artifacts {setting}")
    place = client.get_experiment(made.experiment).artifact_location
    assert place == (workspace.mlflow / "artifacts").as_uri()


def test_an_experiment_is_made_once(workspace, tracker, client):
    assert Tracker(workspace, "toy").experiment == tracker.experiment
    assert Tracker(workspace, "other").experiment != tracker.experiment
    assert client.get_experiment(tracker.experiment).name == "toy"


def test_a_run_for_the_flow_and_a_child_for_a_step(tracker, client):
    parent = tracker.start("flow", {"prefect.flow_run_id": "f"})
    children = [tracker.start(name, {"stillhouse.step": name}, parent) for name in ("label", "report")]
    found = client.search_runs([tracker.experiment], f"tags.`mlflow.parentRunId` = '{parent}'")
    assert {run.info.run_id for run in found} == set(children)
    assert {run.info.run_name for run in found} == {"label", "report"}
    assert client.get_run(parent).data.tags["prefect.flow_run_id"] == "f"
    assert "mlflow.parentRunId" not in client.get_run(parent).data.tags


@pytest.mark.parametrize("status", ["FINISHED", "FAILED", "KILLED"])
def test_a_run_ends_as_it_ended(tracker, client, status):
    run = tracker.start("ends", {})
    assert client.get_run(run).info.status == "RUNNING"
    tracker.finish(run, status)
    assert client.get_run(run).info.status == status
    assert client.get_run(run).info.end_time


def test_params_are_flat(tracker, client):
    run = tracker.start("params", {})
    tracker.params(
        run,
        {
            "name": "toy",
            "seeds": [0, 1],
            "data": {"train": "a.csv", "classes": None, "options": {"deep": True}},
            "teachers": [{"epochs": 3}, {"epochs": 0}],
            "empty": [],
            "sources": {"train": ["abc"]},
        },
    )
    assert client.get_run(run).data.params == {
        "name": "toy",
        "seeds": "[0, 1]",
        "data.train": "a.csv",
        "data.classes": "None",
        "data.options.deep": "True",
        "teachers.0.epochs": "3",
        "teachers.1.epochs": "0",
        "empty": "[]",
        "sources.train": "['abc']",
    }


def test_many_and_long_params_do_not_end_a_run(tracker, client):
    run = tracker.start("many", {})
    tracker.params(run, {"scores": ["0" * 64] * 201, **{f"option{number}": number for number in range(250)}})
    found = client.get_run(run).data.params
    assert len(found) == 251
    assert found["scores"].startswith("['000")


def test_metrics_are_series_by_step(tracker, client):
    run = tracker.start("metrics", {})
    points = [(step, 1 / step) for step in range(1, 1203, 3)]
    tracker.metrics(run, "loss", points)
    tracker.metrics(run, "accuracy", [(0, 0.5)])
    history = client.get_metric_history(run, "loss")
    assert sorted((point.step, point.value) for point in history) == points
    assert client.get_run(run).data.metrics["accuracy"] == 0.5


def test_what_was_consumed_has_its_digest(tracker, client, tmp_path):
    run = tracker.start("inputs", {})
    tracker.inputs(run, {"gold": ("a" * 64, tmp_path / "gold.parquet"), "soft labels": ("b" * 64, tmp_path)}, "train")
    found = {entry.dataset.name: entry for entry in client.get_run(run).inputs.dataset_inputs}
    assert {name: entry.dataset.digest for name, entry in found.items()} == {"gold": "a" * 32, "soft labels": "b" * 32}
    assert json.loads(found["gold"].dataset.source) == {"uri": (tmp_path / "gold.parquet").as_uri()}
    assert [(tag.key, tag.value) for tag in found["gold"].tags] == [("mlflow.data.context", "train")]


def test_a_run_shows_the_models_that_came_out_of_it(tracker, client):
    run = tracker.start("models", {})
    tracker.model(run, "student-seed-0", "student", {"stillhouse.digest": "d" * 64})
    [output] = client.get_run(run).outputs.model_outputs
    found = client.get_logged_model(output.model_id)
    assert (found.name, found.model_type, found.source_run_id) == ("student-seed-0", "student", run)
    assert found.status == "READY"
    assert found.tags["stillhouse.digest"] == "d" * 64


def test_tags_and_artifacts(tracker, client, workspace, tmp_path):
    run = tracker.start("artifacts", {"first": "1"})
    tracker.tag(run, {"second": "你好"})
    assert client.get_run(run).data.tags.items() >= {"first": "1", "second": "你好"}.items()
    (tmp_path / "model").mkdir()
    for name in ("model/config.json", "quality.json"):
        (tmp_path / name).write_text("{}")
    tracker.artifact(run, tmp_path / "quality.json")
    tracker.artifact(run, tmp_path / "model")
    assert {file.path for file in client.list_artifacts(run)} == {"quality.json", "model"}
    assert [file.path for file in client.list_artifacts(run, "model")] == ["model/config.json"]
    assert list((workspace.mlflow / "artifacts").rglob("quality.json"))


def test_uploads_alone_have_minutes(tracker, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    run, found = tracker.start("uploads", {}), []

    def noted(*_):
        found.append(os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"])

    for name in ("log_artifact", "log_artifacts", "set_terminated"):
        monkeypatch.setattr(MlflowClient, name, noted)
    (tmp_path / "quality.json").write_text("{}")
    tracker.artifact(run, tmp_path / "quality.json")
    tracker.artifact(run, tmp_path)
    tracker.finish(run, "FINISHED")
    assert found == ["600", "600", "20"]


def test_what_mlflow_refuses_is_one_line(tmp_path, monkeypatch):
    home = Workspace(tmp_path / "home")
    home.mlflow.mkdir(parents=True)
    (home.mlflow / "mlflow.db").write_bytes(b"no database" * 1000)
    with pytest.raises(StillhouseError, match="move workspace/mlflow away"):
        Tracker(home, "toy")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", str(tmp_path / "a folder"))
    with pytest.raises(StillhouseError, match="a folder refuses"):
        Tracker(home, "toy")
