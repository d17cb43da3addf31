"""What is registered, for people and for programs."""

import json
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from flows.failures import failures, tell
from tasks.shared.errors import printable
from tasks.shared.prefect_server import prepare_environment
from tasks.shared.registry import Registry
from tasks.shared.registry_version import Version
from tasks.shared.workspace import find_workspace

_LONGEST = 300


def list_models(as_json: bool) -> None:
    """Prints all registered versions by name, the newest first."""
    workspace = find_workspace()
    prepare_environment(workspace)
    registry = Registry(workspace)
    versions = registry.versions()
    if as_json:
        click.echo(json.dumps([_entry(version) for version in versions], indent=2, ensure_ascii=True))
        return
    console = Console(highlight=False)
    if not versions:
        console.print(Text(f"nothing is registered at {printable(registry.place, _LONGEST)} yet; a run registers"))
    for name, found in groupby(versions, key=lambda version: version.name):
        console.print(Text(printable(name, _LONGEST), style="bold"))
        listed = list(found)
        console.print(_table(listed))
        for alias, number in sorted(registry.aliases(name).items()):
            if number not in {version.number for version in listed}:
                foreign = f"{alias} is version {number}, which Stillhouse did not register"
                console.print(Text(printable(foreign, _LONGEST), style="yellow"))
    newest = max((version.created for version in versions), default=datetime.min).isoformat(timespec="seconds")
    tell(failures(workspace, since=newest), console, "failed or crashed since the newest version, the latest first")


def _table(versions: list[Version]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for heading in ("version", "gate %", "verdict", "age", "alias"):
        table.add_column(heading, justify="right" if heading in ("version", "gate %") else "left", no_wrap=True)
    table.add_column("why")
    for version in versions:
        verdict, reason = (printable(version.tags.get(tag, ""), _LONGEST) for tag in ("verdict", "reason"))
        aliases = printable(", ".join(version.aliases), _LONGEST)
        row = (str(version.number), _percent(version), verdict, _age(version.created), aliases, reason)
        table.add_row(*(Text(cell) for cell in row))
    return table


def _percent(version: Version) -> str:
    return "" if version.gate_score is None else f"{version.gate_score * 100:.1f}"


def _age(created: datetime) -> str:
    age = datetime.now(UTC) - created
    for unit, name in ((timedelta(days=1), "d"), (timedelta(hours=1), "h"), (timedelta(minutes=1), "min")):
        if age >= unit:
            return f"{age // unit} {name}"
    return "now"


def _entry(version: Version) -> dict[str, Any]:
    return {
        "name": version.name,
        "version": version.number,
        "address": version.address,
        "aliases": list(version.aliases),
        "created": version.created.isoformat(timespec="seconds"),
        "tags": dict(version.tags),
    }
