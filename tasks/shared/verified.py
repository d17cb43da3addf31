"""Are the bytes of an output still those that were written?

A model whose weights were overwritten by others of the same size loads like any other, and answers. So files are hashed
before they are used. What was hashed is remembered with what the system says of the file (size, inode, times), and is
not read again until one of those is another.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from tasks.shared.errors import StillhouseError, brief_path
from tasks.shared.outputs import MANIFEST, Output, find_output, hash_file, write_json
from tasks.shared.workspace import Workspace

_DEEPEST = 3
"""How far below an output's folder a model may lie, itself counted."""

Known = Mapping[str, list[object]]


def changed_files(output: Output, workspace: Workspace, anew: bool = False) -> list[str]:
    """Names of an output's files that hold other bytes than were written, are gone, or came later.

    Args:
        output: a complete one.
        workspace: remembers what was hashed.
        anew: reads every file, whatever is remembered.
    """
    file = _memory(output.path.name, workspace)
    known = {} if anew else _read(file)
    seen = {name: [sha, *_state(output.path / name)] for name, sha in output.files.items()}
    changed = []
    for name, entry in seen.items():
        if known.get(name) != entry and (len(entry) == 1 or hash_file(output.path / name) != entry[0]):
            changed.append(name)
    changed += [name for name in _there(output.path) if name not in output.files]
    if not changed and known != seen:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json(file, seen)
    return changed


def whole_output(folder: Path, workspace: Workspace) -> Output:
    """The output in a folder, for whoever reads it outside of a run, which would make it anew.

    Raises:
        StillhouseError: it is gone, or its files hold other bytes than were written.
    """
    output = find_output(folder)
    if output is None:
        raise StillhouseError(f"{brief_path(folder)} is gone or incomplete; run its recipe again")
    changed = changed_files(output, workspace)
    if changed:
        what = f"{brief_path(folder)}: {', '.join(changed[:3])} changed since it was made"
        raise StillhouseError(f"{what}, so it is not used; run its recipe again, which makes it anew")
    return output


def check_model(folder: Path, workspace: Workspace) -> None:
    """Checks a model that is about to be used, if it lies in an output of a workspace; of others nothing is known.

    Raises:
        StillhouseError: its files hold other bytes than were written.
    """
    for parent in [folder, *folder.parents][:_DEEPEST]:
        if (parent / MANIFEST).is_file():
            whole_output(parent, workspace)
            return


def forget(name: str, workspace: Workspace) -> None:
    """Forgets an output that is removed."""
    _memory(name, workspace).unlink(missing_ok=True)


def _memory(name: str, workspace: Workspace) -> Path:
    return workspace.verified / f"{name}.json"


def _read(file: Path) -> Known:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError):
        return {}


def _there(folder: Path) -> list[str]:
    """Names of an output's files, without what systems leave in folders under names with a dot."""
    found = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return sorted(name for path in found if (name := path.relative_to(folder).as_posix()) != MANIFEST)


def _state(path: Path) -> list[int]:
    """What changes with a file: its times are of nanoseconds, and the second cannot be set; empty where it is gone."""
    try:
        found = path.stat()
    except OSError:
        return []
    return [found.st_size, found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns]
