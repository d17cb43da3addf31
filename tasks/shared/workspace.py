"""The workspace: the one folder that holds every output, and what its parts are called."""

import errno
import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from tasks.shared.errors import StillhouseError, brief, brief_path, one_line

MARKER = "stillhouse.json"
_HARDLY_ANY = 2**20
"""Free bytes of a disk that counts as full."""
_REFUSED = re.compile("[?]|%[0-9A-Fa-f]{2}|[\ud800-\udfff]")
"""What SQLAlchemy or MLflow read as something else in a path: a query, an escaped character, bytes that are not UTF-8.
Any other character works, as tests/tasks/test_workspace.py tries."""
_seen: set[Path] = set()
"""Roots that this process has opened, so that it can be told when one goes."""
FORMAT = 1
"""Version of the workspace's layout; a newer one is refused."""


@dataclass(frozen=True)
class Workspace:
    """Places inside the workspace; nothing is made by asking for one.

    Attributes:
        root: the absolute folder.
    """

    root: Path

    def relative(self, path: Path | str) -> str:
        """A path as the workspace's own files name it: relative to the workspace if it lies in it, else as it is."""
        place = Path(path)
        return place.relative_to(self.root).as_posix() if place.is_relative_to(self.root) else str(path)

    @property
    def outputs(self) -> Path:
        """Steps' outputs: a folder a step, in it a folder a key."""
        return self.root / "outputs"

    @property
    def labels(self) -> Path:
        """The label store: a folder a teacher."""
        return self.root / "labels"

    @property
    def plans(self) -> Path:
        """Labelling plans that were begun and are not carried out to the end."""
        return self.root / "plans"

    @property
    def trainings(self) -> Path:
        """Checkpoints of trainings that are not carried out to the end: a folder a step's key."""
        return self.root / "trainings"

    @property
    def runs(self) -> Path:
        """A folder a run: recipe, log and result."""
        return self.root / "runs"

    @property
    def verified(self) -> Path:
        """What is remembered of files that were hashed and found as they were written."""
        return self.root / "verified"

    @property
    def precision(self) -> Path:
        """What is remembered of how fast machines multiply in which precision."""
        return self.root / "precision.json"

    @property
    def locks(self) -> Path:
        """Lock files; an unlocked one means nothing."""
        return self.root / "locks"

    @property
    def prefect(self) -> Path:
        """Home of the temporary Prefect server."""
        return self.root / "prefect"

    @property
    def servers(self) -> Path:
        """State and logs of the servers that `stillhouse up` starts."""
        return self.root / "servers"

    @property
    def mlflow(self) -> Path:
        """MLflow's database and artifacts."""
        return self.root / "mlflow"

    @property
    def registry(self) -> Path:
        """Copies of registered models that were fetched from a server."""
        return self.root / "registry"


def find_workspace() -> Workspace:
    """The workspace that STILLHOUSE_HOME names, else ./workspace; it need not exist.

    Raises:
        StillhouseError: there can be no folder of that name, or no database in it.
    """
    name = os.environ.get("STILLHOUSE_HOME") or "workspace"
    try:
        root = Path(name).expanduser().resolve()
        root.exists()
    except (OSError, RuntimeError, ValueError) as error:  # a name too long, ~ of nobody, links in a circle
        raise StillhouseError(f"STILLHOUSE_HOME: {brief_path(name)} can be no folder: {one_line(error)}") from None
    refused = _REFUSED.search(str(root))
    if refused:
        what = f"{brief_path(root)} holds {brief(refused.group())}, which addresses of databases and files cannot hold"
        raise StillhouseError(f"STILLHOUSE_HOME: {what}; name another folder")
    return Workspace(root)


def existing_workspace() -> Workspace:
    """The workspace, for commands that look at what is there.

    Raises:
        StillhouseError: there is none, it is another folder, or a newer Stillhouse made it.
    """
    workspace = find_workspace()
    marker = workspace.root / MARKER
    if not marker.is_file():
        raise StillhouseError(
            f"no workspace at {workspace.root} yet; stillhouse run makes it, STILLHOUSE_HOME names another"
        )
    _check(marker)
    _seen.add(workspace.root)
    return workspace


def open_workspace() -> Workspace:
    """Makes the workspace if need be.

    Raises:
        StillhouseError: it cannot be written, or a newer Stillhouse made it.
    """
    workspace = find_workspace()
    marker = workspace.root / MARKER
    try:
        if marker.exists():
            _check(marker)
        else:
            _make(workspace.root, marker)
    except OSError as error:
        raise StillhouseError(
            f"cannot write the workspace {workspace.root}: {error.strerror}; set STILLHOUSE_HOME to another folder"
        ) from None
    _seen.add(workspace.root)
    return workspace


def is_gone(workspace: Workspace) -> bool:
    """Whether a workspace that this process has opened is there no more."""
    return workspace.root in _seen and not (workspace.root / MARKER).exists()


def check_space(workspace: Workspace) -> None:
    """Raises OSError (ENOSPC) where the disk of the workspace is as good as full."""
    if shutil.disk_usage(workspace.root).free < _HARDLY_ANY:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(workspace.root))


def _check(marker: Path) -> None:
    try:
        found = json.loads(marker.read_text(encoding="utf-8"))["format"]
    except (ValueError, KeyError, TypeError):
        raise StillhouseError(f"{marker} is damaged; restore it or set STILLHOUSE_HOME to another folder") from None
    if not isinstance(found, int) or found > FORMAT:
        known = f"this Stillhouse knows {FORMAT}"
        raise StillhouseError(f"workspace {marker.parent} has format {found}, {known}: update it")


def _make(root: Path, marker: Path) -> None:
    # Another process may be making it too: its marker, under a temporary name or already its own, is no other file.
    if root.is_dir() and any(marker.name not in path.name for path in root.iterdir()):
        raise StillhouseError(f"{root} holds other files; set STILLHOUSE_HOME to a new or empty folder")
    root.mkdir(parents=True, exist_ok=True)
    temporary = marker.with_name(f".{marker.name}.{os.getpid()}")
    temporary.write_text(json.dumps({"format": FORMAT}) + "\n", encoding="utf-8")
    temporary.replace(marker)
