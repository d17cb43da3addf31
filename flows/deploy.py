"""`stillhouse deploy`: a Prefect server's limits, its work pool, its zombie automation and its deployments."""

import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zoneinfo import ZoneInfo

import click
import yaml

from flows.deploying.deployed import Deployed, read_deployed, said
from flows.deploying.wanted import Wanted, check_inputs_of, follow, read_wanted, same_recipe
from flows.deployments import FILE
from flows.servers import POOL
from tasks.shared.errors import StillhouseError, brief, without_logins
from tasks.shared.health import trouble, why
from tasks.shared.prefect_server import prepare_environment, wait_for_server
from tasks.shared.serving.addresses import running_servers
from tasks.shared.workspace import find_workspace

AUTOMATION = "stillhouse: crash zombie runs"
SILENCE = timedelta(seconds=90)
"""How long a run may give no sign of life: three heartbeats as deployments/prefect.yaml sets them."""

_SHOWN = 6
"""How many names a line lists at most."""

Plain = Any
"""Data as YAML gives it."""


def deploy(recipe: str | None, timezone: str | None) -> None:
    """Checks everything first, then makes or changes what the server is to have; the same again changes nothing.

    Args:
        recipe: the recipe of all deployments; without one, those that the deployment file names.
        timezone: of the schedules; without one, a deployment keeps the one that it has.
    """
    wanted = read_wanted(recipe)
    for name in [timezone, *(schedule.get("timezone") for one in wanted for schedule in one.schedules)]:
        _check_timezone(name or "UTC")
    _point_to_server()
    check_inputs_of(wanted)
    found = read_deployed()
    renamed = {one.full_name: one.old_name for one in wanted if same_recipe(found.get(one.old_name), one)}
    for one in wanted:
        follow(one, found.get(one.full_name) or found.get(renamed.get(one.full_name, "")), timezone)
    from flows.limits import make_limits

    make_limits()
    _make_pool()
    _make_automation()
    _apply(wanted)
    _delete(found[name] for name in renamed.values())
    server = without_logins(os.environ["PREFECT_API_URL"].removesuffix("/api"))
    click.echo(f"deployed to {server}, to run in {Path.cwd()}:")
    for one in wanted:
        renaming = f"   (was {one.old_name})" if one.full_name in renamed else ""
        times = ", ".join(said(schedule) for schedule in one.schedules) or "when asked"
        click.echo(f"  {one.full_name:<30} {times}{renaming}")
    others = found.keys() - renamed.values() - {one.full_name for one in wanted}
    if others:
        click.echo(f"beside them, as before: {_listed(sorted(others))}")


def _delete(deployments: Iterable[Deployed]) -> None:
    """Deletes what is deployed under another name now, and would run twice; runs that ended stay."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        for deployment in deployments:
            client.delete_deployment(deployment.id)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _check_timezone(name: str) -> None:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # not found is a KeyError
        raise StillhouseError(f"no timezone {brief(name)}; names look like Europe/Paris or UTC") from None


def _point_to_server() -> None:
    """Points Prefect to the server of PREFECT_API_URL, else to that of `stillhouse up`."""
    workspace = find_workspace()
    if not os.environ.get("PREFECT_API_URL"):
        servers = running_servers(workspace)
        if servers is None:
            hint = "start one with `stillhouse up` in another terminal, or set PREFECT_API_URL"
            raise StillhouseError(f"no Prefect server is up for {workspace.root}; {hint}")
        prepare_environment(workspace)  # before a server is named: Prefect's home is then the workspace's
        os.environ["PREFECT_API_URL"] = f"{servers.prefect}/api"
    prepare_environment(workspace)
    wait_for_server(workspace, None)


def _make_pool() -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectNotFound
    from prefect.workers.process import ProcessWorker

    with get_client(sync_client=True) as client:
        try:
            client.read_work_pool(POOL)
        except ObjectNotFound:
            template = ProcessWorker.get_default_base_job_template()
            client.create_work_pool(WorkPoolCreate(name=POOL, type=ProcessWorker.type, base_job_template=template))


def _make_automation() -> None:
    """A run that has given a sign of life and then neither another nor an end is set to Crashed.

    Without it, a run whose machine died stays Running for ever. Only runs with our tag are watched, as those of other
    people may send their heartbeats less often.
    """
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.objects import StateType
    from prefect.events.actions import ChangeFlowRunState
    from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
    from prefect.events.schemas.events import ResourceSpecification

    ends = {f"prefect.flow-run.{state}" for state in ("Completed", "Failed", "Cancelled", "Crashed")}
    silent = EventTrigger(
        after={"prefect.flow-run.heartbeat"},
        expect={"prefect.flow-run.heartbeat", *ends},
        match=ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"}),
        match_related=ResourceSpecification(
            {"prefect.resource.role": "tag", "prefect.resource.id": "prefect.tag.stillhouse"}
        ),
        for_each={"prefect.resource.id"},
        posture=Posture.Proactive,
        threshold=1,
        within=SILENCE,
    )
    crash = ChangeFlowRunState(
        state=StateType.CRASHED, message=f"no sign of life for {SILENCE.seconds} seconds: its process or machine died"
    )
    wanted = AutomationCore(
        name=AUTOMATION,
        description="Sets runs that were killed, or whose machine died, to Crashed. Made by `stillhouse deploy`.",
        trigger=silent,
        actions=[crash],
    )
    with get_client(sync_client=True) as client:
        found = client.read_automations_by_name(AUTOMATION)
        if found:
            client.update_automation(found[0].id, wanted)
        else:
            client.create_automation(wanted)


def _apply(wanted: Sequence[Wanted]) -> None:
    document = {"deployments": [one.document for one in wanted]}
    with TemporaryDirectory() as folder:
        file = Path(folder) / FILE.name
        file.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
        command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--prefect-file", str(file), "--all"]
        result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - Prefect
    if result.returncode:
        url = os.environ["PREFECT_API_URL"]
        gone = trouble(f"{url}/health", 10)
        if gone:
            where = without_logins(url.removesuffix("/api"))
            raise StillhouseError(f"the Prefect server at {where} is gone ({why(gone)}); deploy again once it is up")
        click.echo(result.stdout + result.stderr, err=True)
        raise StillhouseError(f"Prefect refused {FILE}; its own words are above")
