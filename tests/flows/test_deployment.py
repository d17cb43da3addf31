"""The deployment file: its generated parts are what the code says, its flows are there, its form is the recipe."""

import importlib
import os
import re
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch
from uuid import uuid4

import pytest
import yaml
from filelock import FileLock
from prefect import Flow
from prefect.utilities.callables import parameter_schema

from flows.deploy import deploy
from flows.deploying.automations import SILENCE
from flows.deploying.deployed import Deployed, said
from flows.deploying.wanted import Wanted, follow, read_wanted, same_recipe
from flows.deployments import FILE, with_generated_parts
from flows.servers import POOL, up
from flows.shipped import find_recipe
from tasks.shared.errors import StillhouseError
from tasks.shared.recipe import Recipe
from tasks.shared.recipe_file import load_recipe
from tasks.shared.workspace import open_workspace
from tests.web import server

DEPLOYMENTS = {
    deployment["name"]: deployment for deployment in yaml.safe_load(FILE.read_text(encoding="utf-8"))["deployments"]
}


@pytest.fixture(autouse=True)
def _own_environment() -> Iterator[None]:
    """Commands set what Prefect and MLflow read in the environment of their process."""
    with patch.dict(os.environ):
        yield


def flow_of(name: str) -> Flow[..., Any]:
    module, _, attribute = DEPLOYMENTS[name]["entrypoint"].rpartition(".")
    return getattr(importlib.import_module(module), attribute)


def test_the_generated_parts_are_up_to_date() -> None:
    text = FILE.read_text(encoding="utf-8")
    assert with_generated_parts(text) == text, "run `make docs`"


def test_generated_parts_follow_and_what_is_written_by_hand_stays() -> None:
    text = FILE.read_text(encoding="utf-8")
    old = text.replace("hidden_size: 64", "hidden_size: 65").replace("flows.label.label", "flows.gone.gone")
    assert old != text
    assert with_generated_parts(old) == text
    by_hand = text.replace('"0 2 * * *"', '"30 3 * * 1"')
    assert with_generated_parts(by_hand) == by_hand != text


def test_what_is_deployed() -> None:
    assert {name: deployment["entrypoint"] for name, deployment in DEPLOYMENTS.items()} == {
        "quickstart-nightly": "flows.distill.distill",
        "quickstart-hourly": "flows.label.label",
        "quickstart-on-demand": "flows.distill.distill",
        "sweep-sweep": "flows.sweep.sweep",
    }
    schedules = {name: deployment.get("schedules", []) for name, deployment in DEPLOYMENTS.items()}
    assert schedules == {
        "quickstart-nightly": [{"slug": "nightly", "cron": "0 2 * * *"}],
        "quickstart-hourly": [{"slug": "hourly", "cron": "15 * * * *"}],
        "quickstart-on-demand": [],
        "sweep-sweep": [],
    }
    waiting = {"limit": 1, "collision_strategy": "ENQUEUE"}
    assert [DEPLOYMENTS[name].get("concurrency_limit") for name in schedules] == [waiting, waiting, None, None]


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_a_deployment_runs_a_flow_that_is_there_with_a_shipped_recipe(name: str) -> None:
    assert isinstance(flow_of(name), Flow)
    assert Recipe.model_validate(DEPLOYMENTS[name]["parameters"]["recipe"]) == load_recipe(
        find_recipe("sweep" if name == "sweep-sweep" else "quickstart")
    )
    assert DEPLOYMENTS[name]["work_pool"]["name"] == POOL
    # Runs are watched by this tag, and crashed when three heartbeats are missing.
    assert DEPLOYMENTS[name]["tags"] == ["stillhouse"]
    heartbeat = int(DEPLOYMENTS[name]["work_pool"]["job_variables"]["env"]["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"])
    assert SILENCE.total_seconds() == 3 * heartbeat


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_the_form_is_the_recipe_described_field_by_field(name: str) -> None:
    schema = parameter_schema(flow_of(name)).model_dump()
    assert list(schema["properties"]) == ["recipe", *(["shard"] if name == "quickstart-hourly" else [])]
    assert schema["required"] == ["recipe"]
    assert schema["definitions"]["Recipe"]["required"] == ["data"]
    assert list(undescribed(schema["definitions"]["Recipe"], schema["definitions"])) == []


def undescribed(section: dict[str, Any], definitions: dict[str, Any], path: str = "recipe") -> Iterator[str]:
    """Fields that a person would have to guess, sections and lists of sections included."""
    for name, field in section["properties"].items():
        nested = [value["$ref"] for value in (field, field.get("items", {})) if "$ref" in value]
        if not nested and not field.get("description"):
            yield f"{path}.{name}"
        for reference in nested:
            yield from undescribed(definitions[reference.rpartition("/")[2]], definitions, f"{path}.{name}")


def test_deploying_needs_a_server() -> None:
    with pytest.raises(StillhouseError, match="start one with `stillhouse up`"):
        deploy(None, None, None)


@pytest.mark.parametrize(
    ("recipe", "timezone", "complaint"),
    [
        ("mine.yaml", None, "mine.yaml: unknown key 'sedes'; did you mean 'seeds'"),
        ("gone.yaml", None, "no recipe file"),
        (None, "Mars/Olympus", "no timezone 'Mars/Olympus'"),
    ],
)
def test_a_mistake_is_found_before_anything_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recipe: str | None, timezone: str | None, complaint: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text("data: {train: a.csv, test: b.csv}\nsedes: [1]\n", encoding="utf-8")
    with pytest.raises(StillhouseError, match=complaint):
        deploy(recipe, timezone, None)


def test_a_missing_file_is_found_before_anything_is_sent(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "mine.yaml").write_text("data: {train: gone.csv, test: gone.csv}\n", encoding="utf-8")
    with server() as prefect:
        monkeypatch.setenv("PREFECT_API_URL", f"{prefect.url}/api")
        with pytest.raises(StillhouseError, match=re.escape(f"no file gone.csv; looked for {folder / 'gone.csv'}")):
            deploy("mine.yaml", None, None)
    assert prefect.asked == ["/api/health"]


@pytest.fixture
def nightly(folder: Path) -> Wanted:
    """The first of the deployments of a recipe."""
    (folder / "mine.yaml").write_text("{name: mine, data: {train: a.csv, test: b.csv}}\n", encoding="utf-8")
    return read_wanted("mine.yaml")[0]


def on_the_server(wanted: Wanted, **differently: Any) -> Deployed:
    """What the server tells of a deployment as it was made: paused, in another timezone."""
    plain = wanted.document["parameters"]["recipe"]
    schedule = {"cron": "0 2 * * *", "timezone": "Europe/Paris", "active": False}
    return replace(Deployed(uuid4(), plain, str(Path.cwd()), {"nightly": schedule}, True), **differently)


def test_deployments_are_named_after_their_recipe(nightly: Wanted) -> None:
    names = [one.full_name for one in read_wanted("mine.yaml")]
    assert names == ["distill/mine-nightly", "label/mine-hourly", "distill/mine-on-demand"]  # it has no sweep
    assert [one.full_name for one in read_wanted(None)] == [
        "distill/quickstart-nightly",
        "label/quickstart-hourly",
        "distill/quickstart-on-demand",
        "sweep/sweep-sweep",
    ]


def test_deployed_again_a_deployment_keeps_timezone_and_pauses(nightly: Wanted) -> None:
    assert follow(nightly, on_the_server(nightly), None) == []
    kept = {"slug": "nightly", "cron": "0 2 * * *", "timezone": "Europe/Paris", "active": False}
    assert (nightly.schedules, nightly.document["paused"]) == ([kept], True)


def test_what_a_deployment_loses_is_told(nightly: Wanted) -> None:
    other = {"name": "mine", "data": {"train": "a.csv", "test": "c.csv"}, "seeds": [1]}
    assert follow(nightly, on_the_server(nightly, recipe=other, folder="/elsewhere"), "Asia/Tokyo") == [
        "another recipe (data, seeds)",
        "another folder (it was /elsewhere)",
        "another schedule (it was 0 2 * * * (Europe/Paris), paused)",
    ]


def test_an_interval_is_the_same_however_a_number_is_written() -> None:
    assert said({"interval": 3600}) == said({"interval": 3600.0, "active": True}) == "interval 3600 (UTC)"
    assert said({"rrule": "FREQ=DAILY", "active": False}) == "rrule FREQ=DAILY (UTC), paused"


@pytest.mark.parametrize(
    "content",
    [
        "",
        "deployments:",
        "deployments: [nightly]",
        "deployments: [{name: a, entrypoint: a.py:f, parameters: {recipe: {}}, schedules: 5}]",
        "deployments: [{name: a, entrypoint: a.py:f, parameters: {recipe: {}}, schedules: [{timezone: 5}]}]",
        "deployments: [{entrypoint: a.py:f, parameters: {recipe: {}}}]",
        "deployments: [{name: a, entrypoint: a.py:f, parameters: }]",
        "deployments: [{name: a, entrypoint: a.py:f, parameters: {recipe: {}}, schedules: ['0 2 * * *']}]",
    ],
)
def test_a_deployment_file_that_lacks_what_is_relied_on_is_one_line(
    content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "prefect.yaml").write_text(content, encoding="utf-8")
    monkeypatch.setattr("flows.deploying.wanted.FILE", tmp_path / "prefect.yaml")
    with pytest.raises(
        StillhouseError, match=r"prefect\.yaml: each of its deployments needs a name, an entrypoint and"
    ):
        read_wanted(None)
    (tmp_path / "prefect.yaml").write_bytes(b"\xff")
    with pytest.raises(StillhouseError, match=r"prefect\.yaml cannot be read: "):
        read_wanted(None)


def test_a_deployment_of_an_earlier_name_is_the_same_where_its_recipe_is(nightly: Wanted) -> None:
    assert nightly.old_name == "distill/nightly"
    assert same_recipe(on_the_server(nightly), nightly)
    assert not same_recipe(on_the_server(nightly, recipe={"name": "another"}), nightly)
    assert not same_recipe(None, nightly)


def test_a_taken_port_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(StillhouseError, match=f"port {port} is taken; choose another with --mlflow-port"):
            up(0, port)


def test_a_workspace_has_its_servers_once() -> None:
    lock = FileLock(open_workspace().locks / "servers.lock")
    Path(lock.lock_file).parent.mkdir()
    with lock, pytest.raises(StillhouseError, match="are up already"):
        up(0, 0)
