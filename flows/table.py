"""The result table: teacher, student and twin side by side."""

import statistics
from collections.abc import Sequence
from typing import Any

from rich.table import Table

Models = Sequence[dict[str, Any]]

COLUMNS = ("", "accuracy %", "macro-F1 %", "params", "without embeddings", "weights", "ms per text", "texts per s")


def rows(teachers: Models, students: Models, twins: Models) -> list[list[str]]:
    """A row a teacher and one for all students and all twins, a column as in COLUMNS."""
    several = len(teachers) > 1
    named = [(teacher.get("title", "teacher") if several else "teacher", [teacher]) for teacher in teachers]
    named += [("student", list(students)), ("twin", list(twins))]
    return [_row(name, models) for name, models in named if models]


NARROW = 80
"""Columns of a terminal below which the table stands on its side."""


def rich_table(teachers: Models, students: Models, twins: Models, width: int) -> Table:
    """The table for a terminal of so many columns."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    if width < NARROW:
        for number, line in enumerate(zip(COLUMNS, *rows(teachers, students, twins), strict=True)):
            if number == 0:
                for name in line:
                    table.add_column(name, justify="right" if name else "left", no_wrap=True)
            else:
                table.add_row(*line)
        return table
    for number, name in enumerate(COLUMNS):
        # Headings over two lines, so that the table fits into 80 columns.
        heading = "\n".join(name.replace("embeddings", "embed.").rsplit(" ", 1))
        table.add_column(heading, justify="left" if number == 0 else "right", no_wrap=True)
    for row in rows(teachers, students, twins):
        table.add_row(*row)
    return table


def markdown(teachers: Models, students: Models, twins: Models) -> str:
    """The table as Markdown."""
    lines = [COLUMNS, ["---", *["---:"] * (len(COLUMNS) - 1)], *rows(teachers, students, twins)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _row(name: str, models: Models) -> list[str]:
    first = models[0]
    return [
        name if len(models) == 1 else f"{name} x {len(models)}",
        _mean(models, "accuracy"),
        _mean(models, "macro_f1"),
        _short(first["parameters"]),
        _short(first["parameters_without_embeddings"]),
        f"{first['bytes'] / 1e6:.1f} MB",
        f"{statistics.median(model['ms_per_text'] for model in models):.2f}",
        f"{statistics.median(model['texts_per_second'] for model in models):,.0f}",
    ]


def _mean(models: Models, name: str) -> str:
    values = [model[name] * 100 for model in models]
    spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.1f}{spread}"


def _short(count: int) -> str:
    return f"{count / 1e6:.1f} M" if count >= 1e5 else f"{count / 1e3:.1f} k"
