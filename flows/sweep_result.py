"""A sweep's result for people: the table, where things are, and what to do next."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from flows.pareto import COLUMNS, NOTE, PICTURE, cells, in_order
from flows.records import BEST, SWEEP
from flows.result import program
from flows.searching import TABLE
from tasks.shared.errors import brief_path
from tasks.shared.outputs import read_json

_SHOWN = 20


def print_sweep(record: dict[str, Any]) -> None:
    """Prints what came out of a sweep, where it is, and what to do next."""
    folder, console = Path(record["path"]), Console(highlight=False)
    found = read_json(folder / SWEEP)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in COLUMNS[:-1]:
        table.add_column("\n".join(name.rsplit(" ", 1)), justify="right", no_wrap=True)
    table.add_column(COLUMNS[-1], overflow="fold")
    trials = in_order(found["trials"])
    for trial in trials[:_SHOWN]:
        ahead = trial["trial"] in found["front"]
        table.add_row(*cells(trial, trial["trial"] == found["best"], ahead), style="bold" if ahead else "dim")
    console.print()
    console.print(table)
    if len(trials) > _SHOWN:
        console.print(Text(f"and {len(trials) - _SHOWN} more in {TABLE}", style="dim"))
    console.print(Text(NOTE, style="dim"))
    console.print()
    for name, file in (("picture", PICTURE), ("table", TABLE), ("all trials", SWEEP), ("log", "log.txt")):
        console.print(Text.assemble((f"{name:<13}", "dim"), brief_path(folder / file)), soft_wrap=True)
    console.print()
    console.print("Next:")
    again = f"  {program('stillhouse')} run {brief_path(folder / BEST)}"
    what = "   # the best, for all seeds, with twins and a verdict"
    console.print(Text.assemble(again, (what, "dim")), soft_wrap=True)
