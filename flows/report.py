"""A run's report, built anew from the files of its steps: no server is asked, no model is loaded."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flows.records import has_result, main_steps, named_run, step_folder, what_it_is
from flows.table import models_of
from tasks.shared.errors import StillhouseError, brief_path
from tasks.shared.verified import whole_output
from tasks.shared.workspace import Workspace, existing_workspace

if TYPE_CHECKING:
    from tasks.shared.report.content import Content

_READ = ("load_data", "augment", "judge", "explain", "register")
"""Steps whose outputs a report is made of, beside the scorecards."""


def rebuild_report(run: str | None, output: Path | None) -> None:
    """Writes report.html, report.md and figures/ to the run's folder or another, and says where."""
    from tasks.shared.report.render import HTML, MARKDOWN, name_run, write_report

    workspace = existing_workspace()
    record = named_run(workspace, run)
    folder = output or _own_folder(record, workspace)
    content = content_of(record, workspace)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_report(folder, content)
        name_run(folder, record["run"], record["began"])
    except OSError as error:
        raise StillhouseError(f"cannot write the report to {brief_path(folder)}: {error.strerror}") from None
    for name in (HTML, MARKDOWN):
        click.echo(brief_path(folder / name))


def content_of(record: Mapping[str, Any], workspace: Workspace) -> "Content":
    """What is told of a run, read from the files of its steps.

    Raises:
        StillhouseError: it has no result, or files of it are gone, damaged or of another version.
    """
    from tasks.shared.report.content import gather

    folders = _folders(record, workspace)
    return gather(
        record["recipe"],
        folders["load_data"],
        folders.get("augment"),
        _places(record),
        folders["judge"],
        folders["explain"],
        folders.get("register"),
        [Path(step["path"]) for step in main_steps(record) if step["step"] == "race"],
    )


def _own_folder(record: Mapping[str, Any], workspace: Workspace) -> Path:
    """The run's folder; one that is linked there belongs to another workspace."""
    folder = Path(record["path"])
    if folder.resolve() != workspace.runs.resolve() / folder.name:
        raise StillhouseError(f"{brief_path(folder)} is a link to elsewhere; name a folder with --output")
    return folder


def _folders(record: Mapping[str, Any], workspace: Workspace) -> dict[str, Path]:
    """Where the steps of a run, in its first draw of labels, left what a report is made of."""
    folders = {step: step_folder(record, step) for step in _READ}
    found = {step: folder for step, folder in folders.items() if folder}
    missing = {"load_data", "judge", "explain"} - found.keys()
    if not has_result(record):
        raise StillhouseError(f"run {record['run']} has nothing to report, it {what_it_is(record)}")
    if missing:
        what = "an older Stillhouse made it; run its recipe again"
        raise StillhouseError(f"run {record['run']} has nothing to report, {what}")
    scorecards = [Path(one["scorecard"]) for one in models_of(record)]
    for folder in [*found.values(), *scorecards]:
        whole_output(folder, workspace)
    return found


def _places(record: Mapping[str, Any]) -> list[Any]:
    from tasks.shared.report.content import Place

    return [
        Place(one["title"], one["role"], one["seed"], one["dev_accuracy"], Path(one["scorecard"]), Path(one["path"]))
        for one in models_of(record)
    ]
