"""Whom the server tells what: messages that are JSON, addresses that stay secret, events of what came out of a run."""

import io
import json
from datetime import UTC, datetime
from types import SimpleNamespace
from uuid import uuid4

import pytest
from prefect.server.utilities.user_templates import render_user_template_sync

from flows.deploying.notifications import automations_of, make_notifications, read_address
from flows.outcome import NO_BETTER, REPLACED, Outcome
from tasks.shared.errors import StillhouseError
from tasks.shared.recipe import Recipe
from tasks.shared.registry import CHAMPION
from tasks.shared.registry_version import PREFIX
from tasks.shared.tracking import open_client
from tasks.shared.workspace import open_workspace
from tests.web import server


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ("prefect.flow-run.Failed", 'mine-nightly: run mine-1 failed: no file "a.csv";\nlooked & <found>'),
        (
            "prefect.flow-run.Late",
            "mine-nightly: a run is late, due 2026-11-29 02:00 UTC; its worker may be down or busy",
        ),
        (NO_BETTER, "mine-nightly: run mine-1: NO BETTER: it gains nothing"),
        (REPLACED, "mine-nightly: run mine-1: NO BETTER: it gains nothing"),
    ],
)
def test_a_message_is_json_and_says_which_run_and_why(event: str, message: str) -> None:
    (automation,) = (one for one in automations_of(uuid4()) if event in one.trigger.expect)
    why = 'Flow run encountered an exception: StillhouseError: no file "a.csv";\nlooked & <found>'
    due = datetime(2026, 11, 29, 2, tzinfo=UTC)
    context = {
        "deployment": SimpleNamespace(name="mine-nightly"),
        "flow_run": SimpleNamespace(
            name="mine-1", expected_start_time=due, state=SimpleNamespace(name="Failed", message=why)
        ),
        "event": SimpleNamespace(payload={"text": "NO BETTER: it gains nothing"}),
    }
    assert json.loads(render_user_template_sync(automation.actions[0].payload, context)) == {"text": message}


def test_failed_crashed_and_late_runs_of_ours_and_results_are_told() -> None:
    automations = list(automations_of(uuid4()))
    assert {event for one in automations for event in one.trigger.expect} == {
        *(f"prefect.flow-run.{state}" for state in ("Failed", "Crashed", "Late")),
        *(NO_BETTER, REPLACED),
    }
    assert {one.trigger.match_related["prefect.resource.id"][0] for one in automations} == {"prefect.tag.stillhouse"}


@pytest.mark.parametrize("address", ["hooks.slack.com/s3cret", "ftp://host/s3cret", "http:///s3cret", "http://[s3cret"])
def test_an_address_that_is_none_is_refused_and_not_repeated(address: str) -> None:
    with pytest.raises(StillhouseError, match="--notify: that is no address of a webhook") as refused:
        read_address(address)
    assert "s3cret" not in str(refused.value)


def test_the_address_can_come_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("https://host/s3cret\n"))
    assert read_address("-") == "https://host/s3cret"


@pytest.mark.parametrize(("status", "said"), [(404, "answers 404"), (302, "answers 302"), (None, "is not reached")])
def test_a_webhook_that_takes_no_message_stops_the_deploy(status: int | None, said: str) -> None:
    with server(status or 200) as hook:
        url = f"{hook.url if status else 'http://127.0.0.1:9'}/s3cret"
        with pytest.raises(StillhouseError, match=f"the webhook {said}.*; nothing is deployed") as refused:
            make_notifications(url)
    assert "s3cret" not in str(refused.value)
    assert ["text" in json.loads(body) for body in hook.bodies] == ([True] if status else [])


def test_no_better_and_a_replaced_champion_are_events() -> None:
    workspace = open_workspace()
    recipe = Recipe.model_validate({"name": "toy", "data": {"train": "a.csv", "test": "b.csv"}})
    assert Outcome(workspace, recipe).events("BEATS", "it beats") == {}
    client = open_client(workspace)
    client.create_registered_model("toy-student")
    for _ in range(2):
        client.create_model_version("toy-student", "file:///gone", tags={f"{PREFIX}reason": "more accurate"})
    without = Outcome(workspace, recipe)
    client.set_registered_model_alias("toy-student", CHAMPION, "1")
    assert without.events("BEATS", "it beats") == {}, "a first champion replaces none"
    outcome = Outcome(workspace, recipe)
    assert outcome.events("NO BETTER", "it gains nothing") == {NO_BETTER: "it gains nothing"}
    client.set_registered_model_alias("toy-student", CHAMPION, "2")
    told = {REPLACED: "toy-student: version 2 is champion in place of version 1; more accurate"}
    assert outcome.events("BEATS", "it beats") == told
