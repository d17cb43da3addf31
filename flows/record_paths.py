"""Paths in records: relative to the workspace in the file, so that it can be moved, and absolute for whoever reads."""

from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from tasks.shared.workspace import Workspace

_PATHS = frozenset({"path", "scorecard", "labels"})
"""Keys under which a record has paths, one or a list of them; labels may also be an address elsewhere."""
_DATABASE, _SQLITE = "uri", "sqlite:///"
"""MLflow's own database, which lies in the workspace too."""
_NOT_OURS = frozenset({"recipe"})
"""Parts of a record that a person wrote."""
_INSIDE_ROOT = 2
"""How deep the folder of a run lies in a workspace."""

Plain = Any


def to_file(record: Mapping[str, Plain], workspace: Workspace) -> dict[str, Plain]:
    """The record as it is written: what lies in the workspace is named relative to it."""
    return dict(_changed(record, workspace.relative))


def from_file(record: Mapping[str, Plain], workspace: Workspace) -> dict[str, Plain]:
    """The record as it is read: with absolute paths, of where the workspace is now.

    Records of earlier versions have absolute paths of where the workspace was, which their own folder tells.
    """
    own = Path(record["path"])
    before = own.parents[_INSIDE_ROOT - 1] if own.is_absolute() else None

    def here(path: str) -> str:
        if before and Path(path).is_relative_to(before):
            return str(workspace.root / Path(path).relative_to(before))
        return path if Path(path).is_absolute() or "://" in path else str(workspace.root / PurePosixPath(path))

    return dict(_changed(record, here))


def _changed(value: Plain, change: Callable[[str], str], key: str = "") -> Plain:
    if isinstance(value, Mapping):
        return {name: item if name in _NOT_OURS else _changed(item, change, name) for name, item in value.items()}
    if isinstance(value, list):
        return [_changed(item, change, key) for item in value]
    if not isinstance(value, str):
        return value
    if key == _DATABASE and value.startswith(_SQLITE):
        return _SQLITE + change(value.removeprefix(_SQLITE))
    return change(value) if key in _PATHS else value
