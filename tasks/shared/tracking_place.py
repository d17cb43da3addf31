"""Where runs are tracked and models registered; imports nothing heavy, so that it can be asked before a run."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.error import HTTPError
from urllib.parse import urlsplit, urlunsplit

from tasks.shared.errors import StillhouseError, printable, without_logins
from tasks.shared.health import trouble, why
from tasks.shared.workspace import Workspace

_PATIENCE_SECONDS = 20
_UPLOAD_SECONDS = 600
_TIMEOUT = "MLFLOW_HTTP_REQUEST_TIMEOUT"


def tracking_uri(workspace: Workspace) -> str:
    """MLFLOW_TRACKING_URI where it is set, else a database in the workspace."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{workspace.mlflow / 'mlflow.db'}"


def anything_tracked(workspace: Workspace) -> bool:
    """Whether there may be runs: MLflow would make a database in order to find it empty."""
    return bool(os.environ.get("MLFLOW_TRACKING_URI")) or (workspace.mlflow / "mlflow.db").exists()


def check_tracking_server(workspace: Workspace) -> None:
    """One question: MLflow's client would ask a server that does not answer for minutes.

    Raises:
        StillhouseError: MLFLOW_TRACKING_URI is a server that does not answer.
    """
    parts = urlsplit(tracking_uri(workspace))
    if parts.scheme not in ("http", "https"):
        return
    health = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], path=f"{parts.path.rstrip('/')}/health"))
    error = trouble(health, _PATIENCE_SECONDS)
    if error and not isinstance(error, HTTPError):  # a refusal is an answer: what we may do is told later
        where = without_logins(urlunsplit(parts))
        advice = "start it, or unset MLFLOW_TRACKING_URI"
        raise StillhouseError(f"no MLflow server answers at {where} ({printable(why(error), 300)}); {advice}")


@contextmanager
def uploading() -> Iterator[None]:
    """Lets MLflow wait ten minutes for the answer to each request, or longer where the person has said so.

    A server that passes files on to a store of its own answers once all of a file is there. For any other question so
    long a silence means that the server hangs.
    """
    before = os.environ.get(_TIMEOUT)
    said = int(before) if before and before.isdecimal() else 0
    os.environ[_TIMEOUT] = str(max(said, _UPLOAD_SECONDS))
    try:
        yield
    finally:
        os.environ.pop(_TIMEOUT) if before is None else os.environ.update({_TIMEOUT: before})
