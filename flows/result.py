"""A run's result for people: the table, the verdict, where things are, and what to do next."""

import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from flows.shipped import shipped
from flows.table import models_of, rich_table
from tasks.shared.errors import brief_path
from tasks.shared.recipe_file import load_recipe
from tasks.shared.report.render import HTML
from tasks.shared.scorecard import busy


def print_result(record: dict[str, Any]) -> None:
    """Prints what came out of a run, where it is, and what to do next."""
    console = Console(highlight=False)
    if record["verdict"] is None:
        labels = record.get("labelled") or {"rows": 0, "new": 0}
        labelled = f"{labels['rows']:,} soft labels, {labels['new']:,} of them new" if labels["rows"] else "no result"
        outcome = Text(f"run {record['run']} {record['state']}: {record['error'] or labelled}")
        console.print(outcome, soft_wrap=True)
        for name, value in _places(record):
            console.print(Text.assemble((f"{name:<13}", "dim"), brief_path(value)), soft_wrap=True)
        return
    console.print()
    console.print(rich_table(models_of(record), console.width))
    machine = record["machine"]
    what = "mean ± standard deviation over seeds, on test" if len(record["students"]) > 1 else "on test"
    note = f"{what}; times on {machine['processor']}, {machine['cores']} cores"
    console.print(Text(note, style="dim"))
    if note := busy([model.get("waited") for model in models_of(record)]):
        console.print(Text.assemble(("warning ", "yellow"), note))
    console.print()
    console.print(Text(record["verdict"]["sentence"], style="bold"))
    console.print(Text(record["verdict"]["scope"], style="dim"))
    console.print()
    for name, value in _places(record):
        console.print(Text.assemble((f"{name:<13}", "dim"), brief_path(value)), soft_wrap=True)
    console.print()
    console.print("Next:")
    for command, purpose in _next_commands(record):
        console.print(Text.assemble("  ", command, (f"   # {purpose}", "dim")), soft_wrap=True)


def _places(record: dict[str, Any]) -> list[tuple[str, str]]:
    report = Path(record["path"]) / HTML
    return [
        *([("student", _from_here(record["best"]["path"]))] if record["best"] else []),
        *([("soft labels", ", ".join(_from_here(labels) for labels in record["labels"]))] if record["labels"] else []),
        *[("registered", step["note"]) for step in record["steps"] if step["step"] == "register"],
        *([("report", _from_here(str(report)))] if report.exists() else []),
        ("tracked run", f"{record['mlflow']['run']} in {record['mlflow']['uri']}"),
        ("log", _from_here(str(Path(record["path"]) / "log.txt"))),
    ]


def _from_here(path: str) -> str:
    """A path as short as it can be said from the current folder."""
    return os.path.relpath(path) if Path(path).is_relative_to(Path.cwd()) else path


def _next_commands(record: dict[str, Any]) -> list[tuple[str, str]]:
    recipe = shlex.quote(_recipe_again(record))
    return [
        (f'{program("stillhouse")} predict latest "a text of yours"', "use the student"),
        _pages(record["mlflow"]),
        (f"{program('stillhouse')} run {recipe} --set student.hidden_size=128", "change the recipe"),
    ]


def _pages(mlflow: dict[str, Any]) -> tuple[str, str]:
    """Where MLflow's page of the run is, or the command that starts a server for it; and what it is for."""
    if mlflow.get("page"):
        return mlflow["page"], "the tracked run"
    # Not `mlflow ui`, which answers whoever can reach it.
    return f"{program('stillhouse')} up", f"MLflow's pages: choose Model training, experiment {mlflow['experiment']}"


def _recipe_again(record: dict[str, Any]) -> str:
    """What names the recipe of a run: a shipped recipe if it is that, else the copy in the run's folder."""
    for file in shipped():
        if load_recipe(file).model_dump(mode="json") == record["recipe"]:
            return file.stem
    return _from_here(str(Path(record["path"]) / "recipe.yaml"))


def program(name: str) -> str:
    """How to call a program of this environment from here: by its name if that finds it, else by its path."""
    ours = Path(sys.executable).with_name(name)
    found = shutil.which(name)
    if found and Path(found).absolute() == ours:
        return name
    return shlex.quote(_from_here(str(ours)))
