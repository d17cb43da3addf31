"""The result table: all models of a run side by side."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from tasks.shared.report.words import file_size

Models = Sequence[dict[str, Any]]
MODELS = ("teachers", "students", "twins", "baselines")
"""Where a run's record has them."""

RAREST = "rarest F1 %"
"""A column that is there only where classes are so unequal that accuracy says little of the rarest."""
COLUMNS = ("", "accuracy %", "macro-F1 %", RAREST, "params", "weights", "ms per text", "texts per s")


def models_of(record: Mapping[str, Any]) -> Models:
    """All models in a run's record."""
    return [model for name in MODELS for model in record.get(name, [])]


def lines_of(models: Models) -> list[list[str]]:
    """The headings, then a row a teacher and one for all seeds of each other role."""
    by_role: dict[str, list[dict[str, Any]]] = {}
    for model in models:
        by_role.setdefault(model["role"], []).append(model)
    teachers = by_role.pop("teacher", [])
    named = [(teacher["title"] if len(teachers) > 1 else "teacher", [teacher]) for teacher in teachers]
    lines = [list(COLUMNS), *(_row(name, some) for name, some in [*named, *by_role.items()])]
    if all(model.get("rarest_f1") is None for model in models):
        for line in lines:
            del line[COLUMNS.index(RAREST)]
    return lines


def rich_table(models: Models, width: int) -> Table:
    """The table for a terminal of so many columns: on its side where it does not fit upright."""
    lines = lines_of(models)
    table = _upright(lines)
    return table if fits(table, width) else _on_its_side(lines)


def fits(table: Table, width: int) -> bool:
    """Whether a terminal of so many columns shows all of a table."""
    return Console(width=10_000).measure(table).maximum <= width


def _upright(lines: list[list[str]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    head, *body = lines
    for number, name in enumerate(head):
        # Headings over two lines, so that the table fits into 80 columns.
        heading = "\n".join(name.rsplit(" ", 1))
        table.add_column(heading, justify="left" if number == 0 else "right", no_wrap=True)
    for line in body:
        table.add_row(*line)
    return table


def _on_its_side(lines: list[list[str]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("", no_wrap=True)
    for name, *_ in lines[1:]:
        table.add_column(name.replace(" x ", "\nx "), justify="right", no_wrap=True)
    for heading, *cells in list(zip(*lines, strict=True))[1:]:
        table.add_row(heading, *cells)
    return table


def markdown(models: Models) -> str:
    """The table as Markdown."""
    head, *body = lines_of(models)
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, ["---", *["---:"] * (len(head) - 1)], *body])


def _row(name: str, models: Models) -> list[str]:
    first = models[0]
    return [
        name if len(models) == 1 else f"{name} x {len(models)}",
        _mean(models, "accuracy"),
        _mean(models, "macro_f1"),
        _mean(models, "rarest_f1"),
        _short(first["parameters"]),
        file_size(first["bytes"]),
        f"{statistics.median(model['ms_per_text'] for model in models):.2f}",
        f"{statistics.median(model['texts_per_second'] for model in models):,.0f}",
    ]


def _mean(models: Models, name: str) -> str:
    values = [100 * model[name] for model in models if model.get(name) is not None]  # older runs lack some
    if not values:
        return "no labels"
    spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.1f}{spread}"


def _short(count: int) -> str:
    return f"{count / 1e6:.1f} M" if count >= 1e5 else f"{count / 1e3:.1f} k"
