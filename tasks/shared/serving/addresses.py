"""Where the servers of a workspace are, and the key that they want: known to whoever can read the workspace's files."""

import json
import os
import secrets
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from filelock import FileLock, Timeout

from tasks.shared.errors import StillhouseError, brief_path
from tasks.shared.outputs import write_json
from tasks.shared.workspace import Workspace

HEADERS = "PREFECT_CLIENT_CUSTOM_HEADERS"
"""The setting with which Prefect's clients show a key, over HTTP and WebSockets alike."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")
_OWNER_ALONE, _OWNER_ALONE_FOLDER = 0o600, 0o700


@dataclass(frozen=True)
class Addresses:
    """The servers that `stillhouse up` runs for a workspace.

    Attributes:
        prefect: address of the Prefect server, `http://127.0.0.1:4200`.
        mlflow: address of the MLflow server.
    """

    prefect: str
    mlflow: str


def servers_lock(workspace: Workspace) -> Path:
    """The lock that is held for as long as the servers are up."""
    return workspace.locks / "servers.lock"


def running_servers(workspace: Workspace) -> Addresses | None:
    """The servers that `stillhouse up` runs for this workspace now; None without, or while they are starting."""
    lock = servers_lock(workspace)
    if not lock.exists():
        return None
    try:
        FileLock(lock).acquire(timeout=0).lock.release()
    except Timeout:
        with suppress(OSError, ValueError, TypeError):
            return Addresses(**json.loads(_file(workspace).read_text(encoding="utf-8")))
    return None


def tell_addresses(workspace: Workspace, addresses: Addresses | None) -> None:
    """Writes down where the servers are; None for nowhere."""
    if addresses is None:
        _file(workspace).unlink(missing_ok=True)
    else:
        write_json(_file(workspace), asdict(addresses))


def mark_of_servers(workspace: Workspace) -> str:
    """The mark of the processes that `stillhouse up` starts for a workspace: for this very folder, not a copy of it."""
    return f"servers-{_identity(workspace)}"


def mark_of_runs(workspace: Workspace) -> str:
    """The mark of the temporary servers of a workspace's runs."""
    return f"runs-{_identity(workspace)}"


def _identity(workspace: Workspace) -> str:
    found = workspace.root.stat()  # of the folder: files in it may be linked from elsewhere
    return f"{found.st_dev}-{found.st_ino}"


def make_key(workspace: Workspace) -> str:
    """The workspace's key, made at the first call, and made anew where others could have read it.

    Raises:
        StillhouseError: the disk lets everybody read it.
    """
    file = key_file(workspace)
    key = read_key(workspace)
    if key is None:
        key = secrets.token_urlsafe(32)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.parent.chmod(_OWNER_ALONE_FOLDER)  # the servers' database and logs lie beside it
        temporary = file.with_name(f".{file.name}.{os.getpid()}")
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ALONE)
        with os.fdopen(descriptor, "w", encoding="ascii") as stream:
            stream.write(key + "\n")
        temporary.replace(file)
        if read_key(workspace) is None:
            file.unlink()
            why = "its disk keeps no permissions, so everybody could read the servers' key"
            raise StillhouseError(f"{brief_path(file.parent)}: {why}; set STILLHOUSE_HOME to a folder on another disk")
    return key


def key_file(workspace: Workspace) -> Path:
    """The file that holds the key of the workspace's servers, for its owner alone."""
    return workspace.servers / "key"


def use_key(workspace: Workspace) -> None:
    """Gives this process, and what it starts, the key of servers in its environment that are this workspace's.

    PREFECT_API_URL and MLFLOW_TRACKING_URI may name servers of others, which are not told.
    """
    ours = running_servers(workspace)
    key = read_key(workspace)
    if ours is None or key is None:
        return
    if _same(os.environ.get("PREFECT_API_URL", ""), ours.prefect):
        os.environ.update(for_prefect(key))
    if _same(os.environ.get("MLFLOW_TRACKING_URI", ""), ours.mlflow):
        os.environ.update(for_mlflow(key))
        for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
            os.environ.pop(name, None)  # of another server; MLflow would rather show these


def for_prefect(key: str) -> Mapping[str, str]:
    """The environment with which Prefect's clients show a key; other headers that are set stay."""
    headers: dict[str, str] = {}
    with suppress(ValueError, TypeError):
        headers = dict(json.loads(os.environ.get(HEADERS, "{}")))
    return {HEADERS: json.dumps({**headers, "Authorization": f"Bearer {key}"})}


def for_mlflow(key: str) -> Mapping[str, str]:
    """The environment with which MLflow's clients show a key."""
    return {"MLFLOW_TRACKING_TOKEN": key}


def read_key(workspace: Workspace) -> str | None:
    """The key, if there is one that is its owner's alone."""
    file = key_file(workspace)
    try:
        if stat.S_IMODE(file.stat().st_mode) & ~_OWNER_ALONE:
            return None
        return file.read_text(encoding="ascii").strip() or None
    except (OSError, ValueError):
        return None


def _file(workspace: Workspace) -> Path:
    return workspace.servers / "addresses.json"


def _same(address: str, ours: str) -> bool:
    """Whether an address is that of a server on this machine, by whatever name."""
    try:
        found, known = urlsplit(address), urlsplit(ours)
        return found.hostname in LOOPBACK and (found.scheme, found.port) == (known.scheme, known.port)
    except ValueError:
        return False
