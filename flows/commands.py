"""What the commands do: run and plan recipes, show runs, list recipes."""

import json
import os
import shlex
import shutil
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import resources
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from flows.preflight import check_inputs
from flows.records import find_run, latest_run, lock_run, new_run_id
from tasks.shared.devices import check_device
from tasks.shared.errors import StillhouseError, brief, brief_path, closest
from tasks.shared.prefect_server import prefect_server, prepare_environment, wait_for_server
from tasks.shared.recipe_file import load_recipe
from tasks.shared.resources import STEPS
from tasks.shared.tracking_place import check_tracking_server
from tasks.shared.workspace import existing_workspace, find_workspace, open_workspace


def run_recipe(name: str, overrides: Sequence[str], force: Sequence[str], only_label: bool = False) -> None:
    """Runs a recipe, whole or as far as the soft labels, and prints what came out."""
    recipe = load_recipe(find_recipe(name), overrides)
    forced = _checked_steps(force)
    check_device(recipe.device)
    check_inputs(recipe)
    workspace = open_workspace()
    prepare_environment(workspace)
    check_tracking_server(workspace)
    run = new_run_id(f"{recipe.name}-label" if only_label else recipe.name)
    click.echo(f"{recipe.name}: everything goes to {workspace.root}; starting takes some seconds, the first time ten")
    with _stopping_on_sigterm(), lock_run(workspace, run), prefect_server(workspace) as own_server:
        from flows.console import View, quiet_libraries
        from flows.distill import distill
        from flows.flow_run import Session, session
        from flows.label import label
        from tasks.shared.tracking import open_client

        quiet_libraries()
        open_client(workspace)  # makes MLflow's database at the first start, while the server makes its own
        wait_for_server(workspace.prefect / "server.log" if own_server else None)
        session.set(Session(run, View(), forced, own_server))
        folder = (label if only_label else distill)(recipe)
    _print_result(json.loads((folder / "run.json").read_text(encoding="utf-8")))


@contextmanager
def _stopping_on_sigterm() -> Iterator[None]:
    """Ends a run that is told to end as Ctrl-C does: it says so, and closes what it had open."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def plan_recipe(name: str, overrides: Sequence[str], force: Sequence[str]) -> None:
    """Prints each step with what a run would do."""
    from flows.pipeline import distil
    from flows.plan import Planner

    recipe = load_recipe(find_recipe(name), overrides)
    check_device(recipe.device)
    check_inputs(recipe)
    workspace = find_workspace()
    if workspace.root.exists():
        open_workspace()
    planner = Planner(workspace, _checked_steps(force))
    distil(recipe, planner)
    planner.print(Console(highlight=False))


def show_run(run: str | None, as_json: bool) -> None:
    """Prints a run's record, or its result."""
    workspace = existing_workspace()
    record = find_run(workspace, run) if run else latest_run(workspace)
    if as_json:
        click.echo(json.dumps(record, indent=2))
    else:
        _print_result(record)


def list_recipes(name: str | None) -> None:
    """Prints the shipped recipes' names and first lines, or one of them whole."""
    if name is not None:
        click.echo(find_recipe(name).read_text(encoding="utf-8"), nl=False)
        return
    for file in _shipped():
        summary = file.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ")
        click.echo(f"{file.stem:<12}{summary}")


def _shipped() -> list[Path]:
    folder = Path(str(resources.files("flows") / "recipes"))
    return sorted(folder.glob("*.yaml"))


def find_recipe(name: str) -> Path:
    """The file of a recipe, by a shipped recipe's name or a path; raises StillhouseError if there is none."""
    shipped = {file.stem: file for file in _shipped()}
    if name in shipped:
        return shipped[name]
    path = Path(name)
    with suppress(OSError, ValueError):  # a name that no file can have
        if path.is_file():
            return path
    if path.suffix in (".yaml", ".yml") or len(path.parts) > 1:
        raise StillhouseError(f"no recipe file {brief_path(path.absolute())}")
    raise StillhouseError(f"no recipe {brief(name)}{closest(name, list(shipped))}; a path ends in .yaml")


def _checked_steps(names: Sequence[str]) -> frozenset[str]:
    for name in names:
        if name not in STEPS:
            raise StillhouseError(f"--force {brief(name)}: no such step{closest(name, list(STEPS))}")
    return frozenset(names)


def _print_result(record: dict[str, Any]) -> None:
    from flows.table import rich_table

    console = Console(highlight=False)
    if record["verdict"] is None:
        labelled = "; ".join(step["note"] for step in record["steps"] if step["step"] == "label")
        console.print(Text(f"run {record['run']} {record['state']}: {record['error'] or labelled or 'no result'}"))
        for name, value in _places(record):
            console.print(Text.assemble((f"{name:<13}", "dim"), brief_path(value)), soft_wrap=True)
        return
    console.print()
    console.print(rich_table(record["teachers"], record["students"], record["twins"], console.width))
    machine = record["machine"]
    what = "mean ± standard deviation over seeds, on test" if len(record["students"]) > 1 else "on test"
    note = f"{what}; times on {machine['processor']}, {machine['cores']} cores"
    console.print(Text(note, style="dim"))
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
    return [
        *([("student", _from_here(record["best"]["path"]))] if record["best"] else []),
        *([("soft labels", ", ".join(_from_here(labels) for labels in record["labels"]))] if record["labels"] else []),
        ("tracked run", record["mlflow"]["run"]),
        ("log", _from_here(str(Path(record["path"]) / "log.txt"))),
    ]


def _from_here(path: str) -> str:
    """A path as short as it can be said from the current folder."""
    return os.path.relpath(path) if Path(path).is_relative_to(Path.cwd()) else path


def _next_commands(record: dict[str, Any]) -> list[tuple[str, str]]:
    recipe = shlex.quote(_recipe_again(record))
    runs = f"tracked runs: experiment {record['mlflow']['experiment']}, Training runs"
    return [
        (f'{program("stillhouse")} predict latest "a text of yours"', "use the student"),
        (_pages(record["mlflow"]["uri"]), runs),
        (f"{program('stillhouse')} run {recipe} --set student.hidden_size=128", "change the recipe"),
    ]


def _pages(uri: str) -> str:
    """Where MLflow's pages are: on the server, or what starts one."""
    return uri if uri.startswith("http") else f"{program('mlflow')} ui --backend-store-uri {shlex.quote(uri)}"


def _recipe_again(record: dict[str, Any]) -> str:
    """What names the recipe of a run: a shipped recipe if it is that, else the copy in the run's folder."""
    for file in _shipped():
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
