"""Paths in records: relative to the workspace in the file, so that it can be moved, and absolute for whoever reads.

What a record says is not trusted: a run's folder is where its record lies, and its steps' outputs lie in the workspace.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tasks.shared.errors import StillhouseError, brief
from tasks.shared.workspace import Workspace

_INSIDE = frozenset({"path", "scorecard"})
"""Keys under which a record names what lies in the workspace."""
_PATHS = _INSIDE | {"labels"}
"""Keys under which a record has paths, one or a list of them; labels may also lie elsewhere."""
_DATABASE, _SQLITE = "uri", "sqlite:///"
"""MLflow's own database, which lies in the workspace too."""
_NOT_OURS = frozenset({"recipe", "given"})
"""Parts of a record that a person wrote."""
_INSIDE_ROOT = 2
"""How deep the folder of a run lies in a workspace."""

Plain = Any


def to_file(record: Mapping[str, Plain], workspace: Workspace) -> dict[str, Plain]:
    """The record as it is written: what lies in the workspace is named relative to it."""
    return dict(_changed(record, lambda path, key: workspace.relative(path)))


def from_file(record: Mapping[str, Plain], folder: Path, workspace: Workspace) -> dict[str, Plain]:
    """The record as it is read from a run's folder: with absolute paths, of where the workspace is now.

    Records of earlier versions have absolute paths of where the workspace was, which their own folder tells.

    Raises:
        StillhouseError: it names something outside the workspace as its own.
    """
    own = Path(record["path"])
    before = own.parents[_INSIDE_ROOT - 1] if own.is_absolute() else None

    def here(path: str, key: str) -> str:
        if before and Path(path).is_relative_to(before):
            path = Path(path).relative_to(before).as_posix()
        elif "://" in path and key not in _INSIDE:
            return path
        inside = os.path.normpath(workspace.root / path)  # links that a person made are followed, `..` is not
        if key in _INSIDE and not Path(inside).is_relative_to(workspace.root):
            raise StillhouseError(f"names {brief(path)}, which is not in the workspace")
        return inside

    return {**_changed({**record, "path": "."}, here), "path": str(folder)}


def _changed(value: Plain, change: Callable[[str, str], str], key: str = "") -> Plain:
    if isinstance(value, Mapping):
        return {name: item if name in _NOT_OURS else _changed(item, change, name) for name, item in value.items()}
    if isinstance(value, list):
        return [_changed(item, change, key) for item in value]
    if not isinstance(value, str):
        return value
    if key == _DATABASE and value.startswith(_SQLITE):
        return _SQLITE + change(value.removeprefix(_SQLITE), key)
    return change(value, key) if key in _PATHS else value
