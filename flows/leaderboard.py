"""All finished runs side by side, as MLflow remembers them."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from flows.failures import Failure, failures, tell
from flows.table import fits
from tasks.shared.errors import StillhouseError, brief_path, closest, printable
from tasks.shared.prefect_server import prepare_environment
from tasks.shared.tracking_place import anything_tracked
from tasks.shared.workspace import Workspace, find_workspace

if TYPE_CHECKING:
    from tasks.shared.tracking import Tracked, Tracker

SORTS = {
    "accuracy": ("student_accuracy", False),
    "gain": ("difference", False),
    "retention": ("retention", False),
    "robustness": ("spared", False),
    "size": ("student_bytes", True),
    "latency": ("student_ms_per_text", True),
    "newest": ("began", False),
}
"""What runs can be sorted by: the measure, and whether less is better."""

COLUMNS: Mapping[str, tuple[str, float, str]] = {
    "student %": ("student_accuracy", 100, ".1f"),
    "twin %": ("twin_accuracy", 100, ".1f"),
    "teacher %": ("teacher_accuracy", 100, ".1f"),
    "gain": ("difference", 100, "+.1f"),
    "kept %": ("retention", 100, ".1f"),
    "MB": ("student_bytes", 1e-6, ".1f"),
    "ms a text": ("student_ms_per_text", 1, ".2f"),
}
"""Heading, measure, factor and format."""
LEAST = ("kept %", "teacher %", "twin %", "MB", "ms a text", "gain")
"""What a narrow terminal goes without, in this order."""


def list_runs(sort: str, most: int, as_json: bool) -> None:
    """Prints the runs that came to a verdict, and those that failed."""
    if sort not in SORTS:
        raise StillhouseError(f"--sort {sort}: no such measure{closest(sort, list(SORTS))}")
    workspace = find_workspace()
    if workspace.root.exists() and not workspace.root.is_dir():
        raise StillhouseError(f"{brief_path(workspace.root)} is no folder; set STILLHOUSE_HOME to another")
    prepare_environment(workspace)
    found = sorted_runs(_finished(workspace), sort)[:most]
    failed = failures(workspace)
    if as_json:
        entries = [{"run": run.name, "began": _when(run), "tags": run.tags, "metrics": run.metrics} for run in found]
        click.echo(json.dumps(entries + [_as_entry(failure) for failure in failed], indent=2))
        return
    console = Console(highlight=False)
    if found:
        console.print(_table(found, console.width))
    else:
        console.print(Text("no finished run yet; start one with: stillhouse run quickstart"))
    tell(failed, console, "failed or crashed in this workspace, the latest first")


def _finished(workspace: Workspace) -> "list[Tracked]":
    if not anything_tracked(workspace):
        return []
    from tasks.shared.tracking import finished_runs  # MLflow takes seconds to import

    return finished_runs(workspace)


def _as_entry(failure: Failure) -> dict[str, object]:
    """A failed run in the form of the others: without metrics, and with its state and line as tags."""
    tags = {"stillhouse.run": failure.run, "stillhouse.state": failure.state, "stillhouse.error": failure.why}
    return {"run": failure.run, "began": failure.began, "tags": tags, "metrics": {}}


def leaderboard(tracker: "Tracker", most: int = 50) -> "list[Tracked]":
    """The best runs of a tracker's server."""
    return sorted_runs(tracker.finished(), "accuracy")[:most]


def sorted_runs(runs: "list[Tracked]", sort: str) -> "list[Tracked]":
    """Runs in order; those that lack the measure last."""
    measure, less_is_better = SORTS[sort]

    def place(run: "Tracked") -> tuple[bool, float]:
        value = run.began if measure == "began" else run.metrics.get(measure)
        return (value is None, (value or 0.0) if less_is_better else -(value or 0.0))

    return sorted(runs, key=place)


def as_cells(run: "Tracked") -> dict[str, str]:
    """A run's row by heading."""
    cells = {"run": run.name, "verdict": run.tags.get("stillhouse.verdict", "")}
    for heading, (measure, factor, form) in COLUMNS.items():
        value = run.metrics.get(measure)
        cells[heading] = "" if value is None else f"{value * factor:{form}}"
    return cells


def _table(runs: "list[Tracked]", width: int) -> Table:
    """The table without as many of the columns that matter least as do not fit."""
    lines = [as_cells(run) for run in runs]
    headings = list(lines[0])
    for least in (None, *LEAST):
        headings = [heading for heading in headings if heading != least]
        table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
        for heading in headings:
            table.add_column(heading, justify="left" if heading in ("run", "verdict") else "right", no_wrap=True)
        for line in lines:
            table.add_row(*(Text(printable(line[heading], 200)) for heading in headings))
        if fits(table, width):
            break
    return table


def _when(run: "Tracked") -> str:
    return datetime.fromtimestamp(run.began, UTC).isoformat(timespec="seconds")
