"""`stillhouse deploy`: a Prefect server's limits, its work pool, its zombie automation and its deployments."""

import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from zoneinfo import ZoneInfo

import click
import yaml

from flows.deploying.automations import crash_silent_runs, put_automations
from flows.deploying.deployed import Deployed, read_deployed, said
from flows.deploying.notifications import make_notifications, read_address
from flows.deploying.wanted import Wanted, check_inputs_of, follow, read_wanted, same_recipe
from flows.deployments import FILE
from flows.servers import POOL
from tasks.shared.errors import StillhouseError, brief, without_logins
from tasks.shared.health import trouble, why
from tasks.shared.prefect_server import prepare_environment, wait_for_server
from tasks.shared.serving.addresses import running_servers
from tasks.shared.workspace import find_workspace

_SHOWN = 6
"""How many names a line lists at most."""


def deploy(recipe: str | None, timezone: str | None, notify: str | None) -> None:
    """Checks everything first, then makes or changes what the server is to have; the same again changes nothing.

    Args:
        recipe: the recipe of all deployments; without one, those that the deployment file names.
        timezone: of the schedules; without one, a deployment keeps the one that it has.
        notify: address of a webhook that is told of failures and results, or `-`; without one, all stays as it is.
    """
    webhook = read_address(notify) if notify is not None else None
    wanted = read_wanted(recipe)
    for name in [timezone, *(schedule.get("timezone") for one in wanted for schedule in one.schedules)]:
        _check_timezone(name or "UTC")
    _point_to_server()
    check_inputs_of(wanted)
    found = read_deployed()
    renamed = {one.full_name: one.old_name for one in wanted if same_recipe(found.get(one.old_name), one)}
    changes = {
        one.full_name: follow(one, found.get(one.full_name) or found.get(renamed.get(one.full_name, "")), timezone)
        for one in wanted
    }
    from flows.limits import make_limits

    if webhook:
        make_notifications(webhook)
    make_limits()
    _make_pool()
    put_automations([crash_silent_runs()])
    _apply(wanted)
    _delete(found[name] for name in renamed.values())
    for name, changed in changes.items():
        if changed:
            click.echo(f"replaced {name}: {', '.join(changed)}")
    server = without_logins(os.environ["PREFECT_API_URL"].removesuffix("/api"))
    click.echo(f"deployed to {server}, to run in {Path.cwd()}:")
    for one in wanted:
        renaming = f"   (was {one.old_name})" if one.full_name in renamed else ""
        times = ", ".join(said(schedule) for schedule in one.schedules) or "when asked"
        click.echo(f"  {one.full_name:<30} {times}{renaming}")
    others = found.keys() - renamed.values() - {one.full_name for one in wanted}
    if others:
        click.echo(f"beside them, as before: {_listed(sorted(others))}")
    if webhook:
        click.echo("the webhook has got a first message; it is told of all of them, in place of any given before")


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
