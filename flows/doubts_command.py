"""Carries `stillhouse doubts` out, and prints what came out."""

import csv
import json
import shutil
from collections.abc import Callable, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import click

from flows.commands import run_flow
from flows.records import RECIPE, has_result, named_run
from flows.request import Request
from tasks.doubt import DOUBTS
from tasks.shared.errors import StillhouseError, brief_path, printable
from tasks.shared.outputs import read_json, replacing
from tasks.shared.recipe import Recipe
from tasks.shared.workspace import existing_workspace

_SHOWN, _LONGEST = 5, 60


def doubt_run(run: str | None, folds: int, output: Path | None, quiet: bool, as_json: bool) -> None:
    """Looks for doubtful labels of a run's data, and prints the surest ones."""
    if output is not None and not output.absolute().parent.is_dir():  # before teachers are trained for it
        raise StillhouseError(f"cannot write {brief_path(output)}: there is no such folder")
    record = named_run(existing_workspace(), run, has_result)
    recipe = Path(record["path"]) / RECIPE

    def load_flow() -> Callable[[Recipe], Path]:
        from flows.doubts import doubts

        return partial(doubts, folds=folds)

    found = run_flow(Request(str(recipe), [], quiet=quiet, as_json=as_json), "-doubts", load_flow)
    step = next(step for step in found["steps"] if step["step"] == "doubt")
    table = Path(step["path"]) / DOUBTS
    if output is not None:
        table = _copied(table, output)
    counts = read_json(Path(step["path"]) / "manifest.json")["facts"]["counts"]
    if as_json:
        click.echo(json.dumps(found | {"doubts": {"file": str(table), "counts": counts}}, indent=2))
    else:
        _print(table, counts)


def _copied(table: Path, output: Path) -> Path:
    try:
        with replacing(output) as temporary:
            shutil.copyfile(table, temporary)
    except OSError as error:
        raise StillhouseError(f"cannot write {brief_path(output)}: {error.strerror}") from None
    return output


def _print(table: Path, counts: Mapping[str, Any]) -> None:
    said = ", ".join(f"{found:,} of {rows:,} in {part}" for part, (found, rows) in counts.items())
    click.echo(f"\nlabels in doubt: {said}")
    with table.open(encoding="utf-8", newline="") as file:
        for row in islice(csv.DictReader(file), _SHOWN):
            text = printable(row["text"], _LONGEST)
            click.echo(f"  {row['part']:<5} {printable(row['label'], 30)} -> {printable(row['suggested'], 30)}? {text}")
    click.echo(f"the table, the surest first: {brief_path(table)}")
