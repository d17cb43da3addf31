"""What `stillhouse labels` shows, and what its commands have in common."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tasks.shared.errors import StillhouseError, brief, printable
from tasks.shared.label_files import Files, open_files
from tasks.shared.label_store import LabelStore, all_stores, store_names
from tasks.shared.workspace import existing_workspace

NOTHING = "no soft labels yet; stillhouse label RECIPE makes them"
SHORT = 12
"""Signs of a name that are shown, and are enough to tell it."""


def list_labels(url: str | None, as_json: bool) -> None:
    """Prints a line a labeller."""
    entries = list(_entries(url))
    if as_json:
        click.echo(json.dumps(entries, indent=2))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("name", "teacher", "classes", "tokens", "precision", "texts", "parts"):
        table.add_column(heading, justify="left" if heading in ("name", "teacher", "precision") else "right")
    for entry in entries:
        stored = "" if entry["stored"] == "float32" else f", {entry['stored']}"
        cells = [
            entry["name"][:SHORT],
            entry["teacher"][:SHORT],
            str(len(entry["classes"])),
            str(entry["max_length"] or "-"),
            f"{entry['precision']} {entry['engine']}{stored}",
            f"{entry['texts']:,}",
            f"{entry['parts']:,}",
        ]
        table.add_row(*(Text(printable(cell, 40)) for cell in cells))
    Console(highlight=False).print(table if table.row_count else NOTHING)


def _entries(url: str | None) -> Iterator[dict[str, Any]]:
    """What is known of each labeller, and how much it has labelled."""
    for store in all_stores(label_files(url), _warn):
        try:
            parts = store.parts()
        except StillhouseError as error:
            _warn(error)
            continue
        texts = sum(part.rows for part in parts)
        yield {"name": store.name, **asdict(store.labeller), "texts": texts, "parts": len(parts)}


def label_files(url: str | None) -> Files:
    """The files of a URL, or of the workspace's label store."""
    return open_files(url) if url else open_files(existing_workspace().labels)


def _warn(error: StillhouseError) -> None:
    """One damaged store must not hide the others."""
    click.echo(f"stillhouse: warning: {error}", err=True)


def find_stores(
    files: Files, names: Sequence[str], refused: Callable[[StillhouseError], None] = _warn
) -> list[LabelStore]:
    """The stores that some names, or beginnings of names, mean; all for none.

    Args:
        files: where they are.
        names: of stores.
        refused: told of each that is damaged.

    Raises:
        StillhouseError: a name means none or several.
    """
    if not names:
        return list(all_stores(files, refused))
    there, found = store_names(files), []
    for name in names:
        fitting = [folder for folder in there if folder.startswith(name)]
        if len(fitting) != 1:
            what = "no soft labels" if not fitting else f"{len(fitting)} stores of soft labels"
            raise StillhouseError(f"{what} at {files.place} have a name that begins with {brief(name)}; see labels ls")
        found += fitting
    return list(all_stores(files, refused, found))
