"""`stillhouse verify`: is all in the workspace still what was written? Reads every byte, whatever is remembered."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import click
from rich.console import Console

from flows.console import View
from flows.labels import SHORT
from flows.labels_verify import check_files
from tasks.shared.errors import StillhouseError, brief_path
from tasks.shared.label_files import open_files
from tasks.shared.label_store import all_stores
from tasks.shared.outputs import MANIFEST, find_output
from tasks.shared.prefect_server import prepare_environment
from tasks.shared.registry import Registry
from tasks.shared.tracking_place import anything_tracked
from tasks.shared.verified import changed_files
from tasks.shared.workspace import Workspace, existing_workspace

WRONG = 1

Finding = tuple[str, list[str]]
"""What was looked at, and what is wrong with it."""


def verify_workspace() -> None:
    """Prints what is not as it was written, and how much is; exits with 1 where anything is wrong."""
    workspace = existing_workspace()
    counts, wrong = dict[str, int](), 0
    with View(Console(stderr=True)).progress("verify", None, "checked") as advance:
        for kind, findings in (
            ("output", _outputs(workspace)),
            ("label store", _stores(workspace)),
            ("registered version", _versions(workspace)),
        ):
            for name, problems in findings:
                for problem in problems:
                    click.echo(f"wrong  {name}: {problem}")
                wrong += bool(problems)
                counts[kind] = counts.get(kind, 0) + 1
                advance(1)
    counted = [f"{count:,} {kind}{'' if count == 1 else 's'}" for kind, count in counts.items()]
    seen = ", ".join(counted) or "nothing is there yet"
    click.echo(f"{seen}; {f'{wrong:,} of them wrong' if wrong else 'all as they were written'}")
    if wrong:
        sys.exit(WRONG)


def _outputs(workspace: Workspace) -> Iterator[Finding]:
    """Each complete output; what is half-made counts for nothing, and is made anew."""
    for folder in sorted(workspace.outputs.glob("*/*")):
        if folder.name.startswith(".") or not (folder / MANIFEST).is_file():
            continue
        output = find_output(folder)
        changed = _other_sizes(folder) if output is None else changed_files(output, workspace, anew=True)
        what = "changed since it was made; the next run that needs it makes it anew"
        yield (
            workspace.relative(folder),
            [f"{brief_path(name)} {what}" for name in changed],
        )


def _other_sizes(folder: Path) -> list[str]:
    """Files of an output that is not whole: gone, or of another size; its manifest, where that is damaged."""
    try:
        files = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
        found = [name for name, entry in files.items() if not _has_size(folder / name, entry["bytes"])]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return [MANIFEST]
    return found or [MANIFEST]


def _has_size(file: Path, size: int) -> bool:
    return file.is_file() and file.stat().st_size == size


def _stores(workspace: Workspace) -> Iterator[Finding]:
    if not workspace.labels.is_dir():
        return
    refused: list[StillhouseError] = []
    for store in all_stores(open_files(workspace.labels), refused.append):
        yield f"labels {store.name[:SHORT]}", check_files(store).problems
    for error in refused:
        yield "labels", [str(error)]


def _versions(workspace: Workspace) -> Iterator[Finding]:
    if not anything_tracked(workspace):
        return
    prepare_environment(workspace)
    registry = Registry(workspace)
    for version in registry.versions():
        try:
            registry.folder(version)
            yield version.address, []
        except StillhouseError as error:
            yield version.address, [str(error)]
