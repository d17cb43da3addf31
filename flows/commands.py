"""What the commands do: run and plan recipes, show runs, list recipes."""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from flows.failures import failures, tell
from flows.interruption import interruptible
from flows.preflight import check_inputs, combinations, parse_share
from flows.records import SWEEP, all_runs, find_run, has_result, is_sweep, lock_run, named_run, new_run_id
from flows.request import Request
from flows.result import print_result
from flows.shipped import find_recipe, shipped
from tasks.shared.devices import check_device
from tasks.shared.errors import StillhouseError, brief, closest
from tasks.shared.outputs import read_json
from tasks.shared.prefect_server import prefect_server, prepare_environment, wait_for_server
from tasks.shared.recipe import Recipe
from tasks.shared.recipe_file import load_recipe
from tasks.shared.recipe_learning import INSIDE
from tasks.shared.resources import STEPS
from tasks.shared.tracking_place import check_tracking_server
from tasks.shared.workspace import check_space, existing_workspace, find_workspace, open_workspace


def run_recipe(request: Request) -> None:
    """Runs a recipe and prints what came out."""

    def load_flow() -> Callable[[Recipe], Path]:
        from flows.distill import distill

        return distill

    _run(request, "", load_flow)


def sweep_recipe(request: Request) -> None:
    """Tries what a recipe's sweep says and prints what came out."""
    check_sweep(_recipe(request))

    def load_flow() -> Callable[[Recipe], Path]:
        from flows.sweep import sweep

        return sweep

    _run(request, "-sweep", load_flow)


def check_sweep(recipe: Recipe) -> None:
    """Raises StillhouseError where a sweep would try what could not be, or has inputs that a run could not use."""
    for tried in _with_other_files(combinations(recipe)):
        check_inputs(tried)


def _with_other_files(recipes: Sequence[Recipe]) -> list[Recipe]:
    """One of all recipes that read the same files, and ask the same of a teacher."""

    def files(recipe: Recipe) -> str:
        student = recipe.student
        read = (
            student.embeddings,
            student.configuration,
            student.embedding_size,
            recipe.data,
            recipe.vectors_of_copies,
        )
        looked = [
            (term.term, term.teacher, term.layers)
            for term in recipe.objective or []
            if term.term in {*INSIDE, "standardised"}
        ]
        heads = student.heads if any(term.term == "relation" for term in recipe.objective or []) else None
        return repr((read, looked, heads, student.tokenizer, student.teacher_layers, student.max_length))

    return list({files(recipe): recipe for recipe in recipes}.values())


def label_recipe(request: Request, shard: str | None) -> None:
    """Runs a recipe as far as the soft labels, or one share of them (`I/N`), and prints what came out."""
    if shard:
        parse_share(_recipe(request), shard)

    def load_flow() -> Callable[[Recipe], Path]:
        from flows.label import label

        return partial(label, shard=shard)

    _run(request, "-label", load_flow)


def import_labels(file: Path, request: Request) -> None:
    """Runs a recipe as far as the soft labels, with a file of labels in place of its teachers."""
    recipe = _recipe(request)
    start = recipe.student.tokenizer
    tokenizer = recipe.teachers[start].model if isinstance(start, int) else start
    instead = [f"teachers={json.dumps([{'labels': str(file)}])}", f"student.tokenizer={json.dumps(tokenizer)}"]
    label_recipe(replace(request, overrides=[*request.overrides, *instead]), None)
    click.echo(
        f"\nIn a recipe:\n  teachers: [{{labels: {file}}}]\n  student: {{tokenizer: {tokenizer}}}   # labels have none"
    )


def _recipe(request: Request) -> Recipe:
    return load_recipe(find_recipe(request.recipe), request.overrides)


def _run(request: Request, ending: str, load_flow: Callable[[], Callable[[Recipe], Path]]) -> None:
    """Runs a flow and prints what came out."""
    _print(run_flow(request, ending, load_flow), request.as_json)


def run_flow(request: Request, ending: str, load_flow: Callable[[], Callable[[Recipe], Path]]) -> dict[str, Any]:
    """Runs a flow and gives its run's record.

    Args:
        request: the recipe, and how to carry it out.
        ending: of the run's id, which tells such runs from others.
        load_flow: imports the flow, while the servers start.
    """
    recipe = _recipe(request)
    forced = _checked_steps(request.force)
    check_device(recipe.device)
    check_inputs(recipe)
    workspace = open_workspace()
    prepare_environment(workspace)
    check_space(workspace)
    check_tracking_server(workspace)
    run = new_run_id(recipe.name + ending)
    if not request.quiet:
        where = f"{recipe.name}: everything goes to {workspace.root}"
        click.echo(f"{where}; starting takes some seconds, the first time ten", err=request.as_json)
    with interruptible() as interruption, lock_run(workspace, run), prefect_server(workspace) as server:
        from flows.console import View, quiet_libraries
        from flows.flow_run import Session, session
        from tasks.shared.tracking import open_client

        flow = load_flow()
        quiet_libraries()
        open_client(workspace)  # makes MLflow's database at the first start, while the server makes its own
        wait_for_server(workspace, server)
        view = View(Console(highlight=False, stderr=request.as_json), request.quiet)
        session.set(Session(run, view, forced, server is not None, interruption))
        folder = flow(recipe)
    return find_run(workspace, folder.name)


def _print(record: dict[str, Any], as_json: bool) -> None:
    """Prints what came out of a run, of whatever flow, for people or for programs."""
    if as_json:
        tried = {"sweep": read_json(Path(record["path"]) / SWEEP)} if is_sweep(record) else {}
        click.echo(json.dumps(record | tried, indent=2))
    elif is_sweep(record):
        from flows.sweep_result import print_sweep

        print_sweep(record)
    else:
        print_result(record, find_workspace())


def plan_recipe(request: Request) -> None:
    """Prints each step with what a run would do."""
    from flows.pipeline import distil
    from flows.plan import Planner

    recipe = _recipe(request)
    check_device(recipe.device)
    for found in check_inputs(recipe):
        click.echo(found, err=request.as_json)
    workspace = find_workspace()
    prepare_environment(workspace)
    if workspace.root.exists():
        open_workspace()
    planner = Planner(workspace, _checked_steps(request.force), all_runs(workspace))
    distil(recipe, planner)
    if request.as_json:
        click.echo(json.dumps(planner.to_dict(), indent=2))
    else:
        planner.print(Console(highlight=False))


def show_run(run: str | None, as_json: bool) -> None:
    """Prints a run's record, or its result; of one that failed or crashed, why, with exit code 1."""
    workspace = existing_workspace()
    record = named_run(workspace, run, lambda one: has_result(one) or is_sweep(one))
    found = failures(workspace)
    failed = next((failure for failure in found if failure.run == record["run"]), None)
    _print(record | {"state": failed.state, "error": failed.why} if failed else record, as_json)
    if as_json:
        return
    if failed:
        sys.exit(1)
    if run is None:  # whoever asks for the latest result should know of later runs that gave none
        later = [failure for failure in found if failure.began > record["began"]]
        tell(later, Console(stderr=True, highlight=False), "failed or crashed since")


def list_recipes(name: str | None) -> None:
    """Prints the shipped recipes' names and first lines, or one of them whole."""
    if name is not None:
        click.echo(find_recipe(name).read_text(encoding="utf-8"), nl=False)
        return
    for file in shipped():
        summary = file.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ")
        click.echo(f"{file.stem:<12}{summary}")


def _checked_steps(names: Sequence[str]) -> frozenset[str]:
    for name in names:
        if name not in STEPS:
            raise StillhouseError(f"--force {brief(name)}: no such step{closest(name, list(STEPS))}")
    return frozenset(names)
