"""What takes the space in the workspace, and removing what no kept run needs."""

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from flows.records import RECIPE, RECORD, all_runs, going_on, has_result, unreadable
from tasks.shared.errors import StillhouseError, brief_path
from tasks.shared.outputs import locked
from tasks.shared.registry_files import fetch_lock
from tasks.shared.report.words import file_size
from tasks.shared.verified import forget
from tasks.shared.workspace import Workspace, existing_workspace

_KEY = re.compile(r"[0-9a-f]{32,64}|\.[0-9a-f]{32,64}\..+")
"""Names of outputs, label stores and copies of registered models: a hash, or a temporary name made of it."""
_DEEPEST = 3
"""How far below an output's folder a recipe may name something, itself counted."""
Record = Mapping[str, Any]


def disk_usage(as_json: bool) -> None:
    """Prints the bytes of each part of the workspace, the largest first."""
    workspace = existing_workspace()
    groups = [
        workspace.labels,
        workspace.plans,
        workspace.trainings,
        workspace.runs,
        workspace.mlflow,
        workspace.prefect,
        workspace.servers,
    ]
    groups += [workspace.registry, *(folder for folder in workspace.outputs.glob("*") if folder.is_dir())]
    sizes = {str(folder.relative_to(workspace.root)): _size(folder) for folder in groups if folder.is_dir()}
    if as_json:
        told = {"workspace": str(workspace.root), "bytes": sum(sizes.values()), "parts": sizes}
        click.echo(json.dumps(told, indent=2))
        return
    for name, size in sorted(sizes.items(), key=lambda item: -item[1]):
        click.echo(f"{file_size(size):>10}  {brief_path(name)}")
    click.echo(f"{file_size(sum(sizes.values())):>10}  in all, in {workspace.root}")


def collect_garbage(keep: int, delete: bool) -> None:
    """Says, or deletes, what the latest `keep` runs do not need."""
    workspace = existing_workspace()
    with locked(workspace.locks / "gc.lock", lambda owner: click.echo(f"waiting for {owner}")):
        active = going_on(workspace)
        if active:
            raise StillhouseError(f"run {active[0]} is going on; wait for it, then collect garbage")
        damaged = unreadable(workspace)
        if damaged and delete:
            what = f"{brief_path(damaged[0])} does not say what its run needs"
            raise StillhouseError(f"{what}; delete that run's folder, or restore the file, then collect garbage")
        kept = _kept(workspace, keep)
        garbage = _garbage(workspace, kept)
        _refuse_guesses(workspace, kept, garbage)
        freed = 0
        for path in garbage:
            size = _size(path)
            freed += size
            click.echo(f"{file_size(size):>10}  {brief_path(path.relative_to(workspace.root))}")
            if delete:
                _remove(path, workspace)
    done = "deleted" if delete else "would go; --delete deletes"
    click.echo(f"{file_size(freed):>10}  in {len(garbage)} folders {done}")


def _kept(workspace: Workspace, keep: int) -> Sequence[Record]:
    """The latest finished runs, and all that began since."""
    runs = all_runs(workspace)
    finished = [place for place, record in enumerate(runs) if has_result(record)]
    return runs[: finished[keep - 1] + 1] if len(finished) >= keep else runs


def _refuse_guesses(workspace: Workspace, kept: Sequence[Record], garbage: Sequence[Path]) -> None:
    """Raises StillhouseError where no kept run finds what it made: then nothing shows what is still needed."""
    unproven = (workspace.registry, workspace.trainings)
    made = [path for path in garbage if path.parent not in unproven and not path.name.startswith(".")]
    if made and not any(Path(step["path"]).is_dir() for record in kept for step in record["steps"]):
        what = f"none of the {len(kept)} kept runs finds what it made in {workspace.root}"
        raise StillhouseError(
            f"{what}, so nothing shows what is still needed; restore its folder runs, or delete by hand what can go"
        )


def _remove(path: Path, workspace: Workspace) -> None:
    if path.parent != workspace.registry:
        shutil.rmtree(path)
        forget(path.name, workspace)
        return
    # `predict` is no run that blocks this, and may be fetching.
    with locked(fetch_lock(workspace, path.name), lambda owner: click.echo(f"waiting for {owner}")):
        shutil.rmtree(path, ignore_errors=True)


def _garbage(workspace: Workspace, kept: Sequence[Record]) -> list[Path]:
    """Outputs, labels and run folders that the kept runs do not need.

    What is half-made is never needed; an unfinished run's finished steps are. Nor are copies of registered models: the
    registry has them.
    """
    needed = {Path(path).resolve() for record in kept for path in _paths(record)}
    return sorted([*(path for path in _ours(workspace) if path not in needed), *_trainings(workspace, kept)])


def _trainings(workspace: Workspace, kept: Sequence[Record]) -> list[Path]:
    """Checkpoints that no kept run goes on from: their output is there, or all of these runs came to their end."""
    found = [path for path in workspace.trainings.glob("*") if _KEY.fullmatch(path.name) and _is_ours(path)]
    unfinished = any(record["state"] != "done" for record in kept)
    made = {path.name for path in workspace.outputs.glob("*/*")}
    return [path for path in found if not unfinished or path.name in made]


def _paths(record: Record) -> Iterator[str]:
    """What a run made or read: its own folder, its steps' outputs, label stores, and outputs that its recipe names."""
    yield record["path"]
    yield from record["labels"]
    yield from (step["path"] for step in record["steps"])
    for text in _texts(record["recipe"]):
        if os.sep in text:  # a model, say, that is used as it is; what it lies in is needed too
            yield from (str(place) for place in [Path(text), *Path(text).parents][:_DEEPEST])


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(item)


def _ours(workspace: Workspace) -> Iterator[Path]:
    """The folders that Stillhouse made here, finished or not; what a person put or linked there stays."""
    keys = [*workspace.outputs.glob("*/*"), *workspace.labels.glob("*"), *workspace.registry.glob("*")]
    found = [path for path in keys if _KEY.fullmatch(path.name)]
    found += [path for path in workspace.runs.glob("*") if any((path / name).is_file() for name in (RECORD, RECIPE))]
    yield from (path for path in found if _is_ours(path))


def _is_ours(path: Path) -> bool:
    """Whether it is a folder that was made here, not linked; the root is resolved already."""
    return path.is_dir() and path.resolve() == path


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
