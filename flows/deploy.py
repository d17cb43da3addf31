"""`stillhouse deploy`: a Prefect server's limits, its work pool, its zombie automation and its deployments."""

import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zoneinfo import ZoneInfo

import click
import yaml

from flows.deployed import Deployed, changes_of, full_name, read_deployed, said
from flows.deployments import FILE, recipe_parameter
from flows.notify import check_address, make_notifications, put_automation, runs_of_ours
from flows.servers import POOL
from flows.shipped import find_recipe
from tasks.shared.devices import check_device
from tasks.shared.errors import StillhouseError, brief, one_line, without_logins
from tasks.shared.prefect_server import prepare_environment, wait_for_server
from tasks.shared.recipe_file import validate_recipe
from tasks.shared.serving.addresses import running_servers
from tasks.shared.workspace import find_workspace

AUTOMATION = "stillhouse: crash zombie runs"
SILENCE = timedelta(seconds=90)
"""How long a run may give no sign of life: three heartbeats as deployments/prefect.yaml sets them."""

SWEEP = "sweep"
"""The deployment of a sweep, which a recipe without one cannot have."""
_SHOWN = 6
"""How many names a line lists at most."""

Plain = Any
"""Data as YAML gives it."""


def deploy(recipe: str | None, timezone: str | None, notify: str | None) -> None:
    """Checks everything first, then makes or changes what the server is to have; the same again changes nothing.

    Args:
        recipe: the recipe of all deployments; without one, those that the deployment file names.
        timezone: of the schedules; without one, a deployment keeps the one that it has.
        notify: address of a webhook that is told of failures and of what came out; without one, all stays as it is.
    """
    document = _document(recipe)
    if timezone:
        _check_timezone(timezone)
    if notify:
        check_address(notify)
    _point_to_server()
    _check_inputs(document)
    found = read_deployed()
    _set_timezones(document, timezone, found)
    wanted = {full_name(deployment): deployment for deployment in document["deployments"]}
    for name in wanted.keys() & found.keys():
        changes = changes_of(found[name], wanted[name], Path.cwd())
        if changes:
            click.echo(f"replaces {name}, which had another {' and another '.join(changes)}")
    from flows.limits import make_limits

    if notify:
        make_notifications(notify)
    make_limits()
    _make_pool()
    _make_automation()
    _apply(document)
    server = without_logins(os.environ["PREFECT_API_URL"].removesuffix("/api"))
    click.echo(f"deployed to {server}, to run in {Path.cwd()}:")
    for name, deployment in wanted.items():
        times = [said(schedule) for schedule in deployment.get("schedules") or []]
        click.echo(f"  {name:<32} {', '.join(times) or 'when asked'}")
    others = sorted(found.keys() - wanted.keys())
    if others:
        more = f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
        click.echo(f"beside them, as before: {', '.join(others[:_SHOWN])}{more}")
    if notify:
        click.echo("notifies the address that was given, which has got a first message")


def _document(recipe: str | None) -> dict[str, Plain]:
    """The deployment file, with another recipe if asked for; its deployments are named after their recipe."""
    try:
        document: dict[str, Plain] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StillhouseError(f"no {FILE}: deploy from a copy of the repository") from None
    except yaml.YAMLError as error:
        raise StillhouseError(f"{FILE} is not valid YAML: {one_line(error)}") from None
    parameters = recipe_parameter(find_recipe(recipe)) if recipe is not None else None
    if parameters and not parameters["recipe"].get("sweep"):
        document["deployments"] = [one for one in document["deployments"] if one["name"] != SWEEP]
    for deployment in document["deployments"]:
        deployment["parameters"] = parameters or deployment["parameters"]
        named = validate_recipe(deployment["parameters"]["recipe"], f"{FILE.name}, {deployment['name']}").name
        deployment["name"] = f"{named}-{deployment['name']}"
        for schedule in deployment.get("schedules") or []:
            if "timezone" in schedule:
                _check_timezone(schedule["timezone"])
    return document


def _check_inputs(document: Mapping[str, Plain]) -> None:
    """Raises StillhouseError where a run in this folder would be refused at its start, as `plan` does."""
    from flows.commands import check_sweep
    from flows.preflight import check_inputs

    checked: list[Plain] = []
    for deployment in document["deployments"]:
        plain = deployment["parameters"]["recipe"]
        recipe = validate_recipe(plain, deployment["name"])
        if recipe.sweep and deployment["name"].endswith(f"-{SWEEP}"):
            check_sweep(recipe)
        elif plain not in checked:
            checked.append(plain)
            check_device(recipe.device)
            check_inputs(recipe)


def _set_timezones(document: Mapping[str, Plain], wanted: str | None, found: Mapping[str, Deployed]) -> None:
    """Each schedule's timezone: the one that is asked for, else the file's, else the one it has, else UTC."""
    for deployment in document["deployments"]:
        known = found.get(full_name(deployment))
        for schedule in deployment.get("schedules") or []:
            before = known.timezones.get(schedule.get("slug")) if known else None
            schedule["timezone"] = wanted or schedule.get("timezone") or before or "UTC"


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
    from prefect.client.schemas.objects import StateType
    from prefect.events.actions import ChangeFlowRunState
    from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
    from prefect.events.schemas.events import ResourceSpecification

    ends = {f"prefect.flow-run.{state}" for state in ("Completed", "Failed", "Cancelled", "Crashed")}
    silent = EventTrigger(
        after={"prefect.flow-run.heartbeat"},
        expect={"prefect.flow-run.heartbeat", *ends},
        match=ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"}),
        match_related=runs_of_ours(),
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
    put_automation(wanted)


def _apply(document: dict[str, Plain]) -> None:
    with TemporaryDirectory() as folder:
        file = Path(folder) / FILE.name
        file.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
        command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--prefect-file", str(file), "--all"]
        result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - Prefect
    if result.returncode:
        wait_for_server(find_workspace(), None)  # one that has died meanwhile is a line
        click.echo(result.stdout + result.stderr, err=True)
        raise StillhouseError(f"Prefect refused {FILE}; its own words are above")
