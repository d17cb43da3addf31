"""A run's result for people: the table, the verdict, what belongs beside it, where things are, and what to do next."""

import os
import shlex
import shutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from flows.records import RECIPE
from flows.report import content_of
from flows.shipped import shipped
from flows.table import models_of, rich_table
from tasks.shared.errors import StillhouseError, brief_path, printable
from tasks.shared.recipe_file import GIVEN, load_recipe
from tasks.shared.report.advice import advise, standing
from tasks.shared.report.closing import closing, verdicts
from tasks.shared.report.content import Content
from tasks.shared.report.render import HTML
from tasks.shared.scorecard import busy
from tasks.shared.workspace import Workspace

_NAMES = 13
"""Columns of what a line is about."""
_LONGEST = 1000


def print_result(record: dict[str, Any], workspace: Workspace) -> None:
    """Prints what came out of a run, where it is, and what to do next."""
    console = Console(highlight=False)
    if record["verdict"] is None or record["state"] != "done":
        labels = record.get("labelled") or {"rows": 0, "new": 0}
        labelled = f"{labels['rows']:,} soft labels, {labels['new']:,} of them new" if labels["rows"] else "no result"
        outcome = f"run {record['run']} {record['state']}: {record['error'] or labelled}"
        console.print(Text(printable(outcome, _LONGEST)), soft_wrap=True)
        _print_places(console, record)
        if record["state"] not in ("done", "running"):
            again = f"{program('stillhouse')} run {shlex.quote(_recipe_again(record))}"
            console.print(Text.assemble((f"{'go on with':<{_NAMES}}", "dim"), again), soft_wrap=True)
        return
    console.print()
    console.print(rich_table(models_of(record), console.width))
    machine = record["machine"]
    what = "mean ± standard deviation over seeds, on test" if len(record["students"]) > 1 else "on test"
    times = f"{what}; times on {machine['processor']}, {machine['cores']} cores"
    console.print(Text(printable(times, _LONGEST), style="dim"))
    console.print(Text("twin: the same network, trained on the gold labels alone", style="dim"))
    if note := busy([model.get("waited") for model in models_of(record)]):
        console.print(Text.assemble(("warning ", "yellow"), note))
    console.print()
    try:
        content = content_of(record, workspace)
    except StillhouseError as error:  # an older Stillhouse made it, or files are gone
        content, missing = None, str(error)
    for verdict, scope in verdicts(record["verdict"], content.result["draws"] if content else None):
        console.print(Text(printable(verdict, _LONGEST), style="bold"))
        console.print(Text(printable(scope, _LONGEST), style="dim"))
    console.print()
    if content is None:
        _print_beside(console, [("left out", Text(f"what else is known of it: {printable(missing, _LONGEST)}"))])
    else:
        facts = (
            (fact.name, Text(printable(fact.text, _LONGEST), "yellow" if fact.warns else ""))
            for fact in closing(content)
        )
        _print_beside(console, facts)
    _print_places(console, record)
    console.print()
    console.print("Next:")
    for command, purpose in _next_commands(record, content):
        console.print(Text(f"  # {purpose}", "dim"), soft_wrap=True)  # a line of its own is no comment
        if command:
            console.print(Text(f"  {command}"), soft_wrap=True)


def _print_beside(console: Console, lines: Iterable[tuple[str, Text]]) -> None:
    """Lines of words, each beside its name, wrapped within the terminal."""
    table = Table.grid(padding=0)
    table.add_column(min_width=_NAMES, style="dim")
    table.add_column(overflow="fold")
    for name, text in lines:
        table.add_row(f"{printable(name, _LONGEST)} ", text)
    console.print(table)


def _print_places(console: Console, record: dict[str, Any]) -> None:
    _print_beside(console, [("registered", Text(_registered(one))) for one in record.get("registered", [])])
    for name, value in _places(record):
        console.print(Text.assemble((f"{name:<{_NAMES}}", "dim"), brief_path(value)), soft_wrap=True)


def _registered(one: dict[str, Any]) -> str:
    alias = "champion" if one["champion"] else f"not champion: {printable(one['reason'], _LONGEST)}"
    return f"{one['name']} version {one['version']}, {alias}"


def _places(record: dict[str, Any]) -> list[tuple[str, str]]:
    report = Path(record["path"]) / HTML
    return [
        *([("student", _from_here(record["best"]["path"]))] if record["best"] else []),
        *([("soft labels", ", ".join(_from_here(labels) for labels in record["labels"]))] if record["labels"] else []),
        *([("report", _from_here(str(report)))] if report.exists() else []),
        ("tracked run", f"{record['mlflow']['run']} in {record['mlflow']['uri']}"),
        ("log", _from_here(str(Path(record["path"]) / "log.txt"))),
    ]


def _from_here(path: str) -> str:
    """A path as short as it can be said from the current folder."""
    return os.path.relpath(path) if Path(path).is_relative_to(Path.cwd()) else path


def _next_commands(record: dict[str, Any], content: Content | None) -> Iterator[tuple[str, str]]:
    """Commands, one of them as it follows from the result, and what each is for."""
    yield f'{program("stillhouse")} predict {_student_to_use(record)} "a text of yours"', "use the student"
    for advice in advise(standing(content)) if content else []:
        command = advice.command and f"{program('stillhouse')} {advice.command}"
        if advice.change:
            again = f"{program('stillhouse')} run {shlex.quote(_recipe_again(record))}"
            command = f"{again} --set {shlex.quote(advice.change)}"
        yield command, printable(advice.why, _LONGEST)
    yield _pages(record["mlflow"])


def _student_to_use(record: dict[str, Any]) -> str:
    champions = [one["name"] for one in record.get("registered", []) if one["role"] == "student" and one["champion"]]
    return f"models:/{champions[0]}@champion" if champions else "latest"


def _pages(mlflow: dict[str, Any]) -> tuple[str, str]:
    """Where MLflow's page of the run is, or the command that starts a server for it; and what it is for."""
    if mlflow.get("page"):
        return mlflow["page"], "the tracked run"
    # Not `mlflow ui`, which answers whoever can reach it.
    name = printable(mlflow.get("experiment", ""), _LONGEST)
    return f"{program('stillhouse')} up", f"MLflow's pages: choose Model training, experiment {name}"


def _recipe_again(record: dict[str, Any]) -> str:
    """What names the recipe of a run: a shipped one, else the file in its folder that leaves out what it was not told.

    So what a change decides is derived anew, where the recipe that was carried out says it already.
    """
    for file in shipped():
        if load_recipe(file).model_dump(mode="json") == record.get("given"):
            return file.stem
    given = Path(record["path"]) / GIVEN
    return _from_here(str(given if given.exists() else given.with_name(RECIPE)))


def program(name: str) -> str:
    """How to call a program of this environment from here: by its name if that finds it, else by its path."""
    ours = Path(sys.executable).with_name(name)
    found = shutil.which(name)
    if found and Path(found).absolute() == ours:
        return name
    return shlex.quote(_from_here(str(ours)))
