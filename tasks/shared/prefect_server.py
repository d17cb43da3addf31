"""A temporary Prefect server with its home in the workspace, for runs without PREFECT_API_URL.

Prefect can start one by itself, but that one outlives a killed run. This one ends with its parent, because the pipe
between them closes, and it starts while the parent still imports its libraries. Through the same pipe comes the key
that it wants of whoever asks it; it is made for this run and written nowhere.
`python -m tasks.shared.prefect_server SOCKET LOCK` is the server's own process.
"""

import asyncio
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tasks.shared.child import marked
from tasks.shared.errors import StillhouseError
from tasks.shared.health import trouble, why
from tasks.shared.outputs import locked
from tasks.shared.serving.addresses import HEADERS, for_prefect, mark_of_runs, use_key
from tasks.shared.serving.environment import bare_environment
from tasks.shared.serving.proxies import ask_loopback_directly
from tasks.shared.workspace import Workspace

_PATIENCE_SECONDS = 120

# What a server of one run has no use for. Each writes to the database now and then, and a task that meets such a
# write is told to come back in two seconds.
_UNUSED_SERVICES = ("SCHEDULER", "LATE_RUNS", "FOREMAN", "TRIGGERS", "EVENT_PERSISTER", "PAUSE_EXPIRATIONS")

_SETTINGS = {
    "DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",  # PatientClient asks again, and says so
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_CLI_PROMPT": "false",
    "TOKENIZERS_PARALLELISM": "true",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "KINETO_LOG_LEVEL": "9",  # torch's profiler tells on standard error that it starts
}


def prepare_environment(workspace: Workspace) -> None:
    """Settings that Prefect and MLflow read when they are imported; call it before.

    Without PREFECT_API_URL Prefect's home moves to the workspace, so that nobody's profile or cloud is used. Where the
    servers of `stillhouse up` are named, their key is set. No proxy is asked for servers on this machine.
    """
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    if not os.environ.get("PREFECT_API_URL"):
        os.environ["PREFECT_HOME"] = str(workspace.prefect)
        os.environ["PREFECT_API_KEY"] = ""
    use_key(workspace)
    ask_loopback_directly()


@contextmanager
def prefect_server(workspace: Workspace) -> "Iterator[subprocess.Popen[bytes] | None]":
    """Starts the temporary server unless PREFECT_API_URL names one; ends it afterwards. Gives its process.

    Enter it early: it returns at once, and `wait_for_server` waits until the server answers.
    """
    if os.environ.get("PREFECT_API_URL"):
        yield None
        return
    workspace.prefect.mkdir(parents=True, exist_ok=True)
    lock = workspace.locks / "prefect.lock"
    key = secrets.token_urlsafe(32)
    before = os.environ.get(HEADERS)
    with socket.socket() as listening, (workspace.prefect / "server.log").open("ab") as log:
        listening.bind(("127.0.0.1", 0))
        os.environ["PREFECT_API_URL"] = f"http://127.0.0.1:{listening.getsockname()[1]}/api"
        os.environ["PREFECT_LOGGING_TO_API_ENABLED"] = "false"  # the run has a log file, and this server no pages
        server = subprocess.Popen(  # noqa: S603 - this very module
            [sys.executable, "-P", "-m", "tasks.shared.prefect_server", str(listening.fileno()), str(lock)],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            pass_fds=[listening.fileno()],
            env=marked(_server_environment(workspace), mark_of_runs(workspace)),
            start_new_session=True,  # Ctrl-C ends the run, which still has to tell the server
        )
    os.environ.update(for_prefect(key))
    try:
        _say(server, key)
        yield server
    finally:
        _send_what_is_left()
        del os.environ["PREFECT_API_URL"]
        os.environ.pop(HEADERS)
        os.environ.update({HEADERS: before} if before is not None else {})
        _stop(server)


def _say(server: "subprocess.Popen[bytes]", key: str) -> None:
    """Tells the server its key; one that has died by now is noticed by whoever waits for it."""
    if server.stdin:
        with suppress(BrokenPipeError):
            server.stdin.write(f"{key}\n".encode())
            server.stdin.flush()


def wait_for_server(workspace: Workspace, server: "subprocess.Popen[bytes] | None") -> None:
    """Waits until the server of PREFECT_API_URL answers.

    Args:
        workspace: where a temporary server has its log.
        server: our temporary one, which may still be starting; None for somebody else's, which answers or does not.

    Raises:
        StillhouseError: it does not.
    """
    url = os.environ["PREFECT_API_URL"]
    log = workspace.prefect / "server.log" if server else None
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while error := trouble(f"{url}/health", _PATIENCE_SECONDS if log else 20):
        if server is None or server.poll() is not None or time.monotonic() > deadline:
            hint = f"; its log is {log}" if log else "; start it, or unset PREFECT_API_URL"
            raise StillhouseError(f"no Prefect server answers at PREFECT_API_URL {url} ({why(error)}){hint}")
        time.sleep(0.1)


def _server_environment(workspace: Workspace) -> dict[str, str]:
    database = workspace.prefect / "prefect.db"
    return {
        **bare_environment(),
        "PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{database}",
        "PREFECT_API_DATABASE_MIGRATE_ON_START": "false",  # _serve does
        # A run needs no kinds of block; of two servers that write them into a new database at once, one may die.
        "PREFECT_API_BLOCKS_REGISTER_ON_START": "false",
        "PREFECT_UI_ENABLED": "0",
        "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
        # In memory, which is the default, leases of the limits' slots would not be seen by the next server.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "100",
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
        **{f"PREFECT_SERVER_SERVICES_{name}_ENABLED": "false" for name in _UNUSED_SERVICES},
    }


def _send_what_is_left() -> None:
    """Logs and events leave in the background; once the server is gone they would be sent in vain for a minute."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    APILogWorker.drain_all(timeout=5)
    EventsWorker.drain_all(timeout=5)


def _stop(server: "subprocess.Popen[bytes]") -> None:
    server.terminate()
    try:
        server.wait(timeout=5)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(5)
    os._exit(1)


def _serve(descriptor: int, lock: str) -> None:
    import uvicorn
    from prefect.server.api.server import create_app
    from prefect.server.database import provide_database_interface

    from tasks.shared.serving.access import AccessControl

    key = sys.stdin.buffer.readline().decode().strip()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with locked(Path(lock), lambda owner: None):  # two runs that start together must not both make the tables
        asyncio.run(provide_database_interface().create_db())
    uvicorn.run(AccessControl(create_app(), key), fd=descriptor, log_level="error", access_log=False, lifespan="on")


if __name__ == "__main__":
    _serve(int(sys.argv[1]), sys.argv[2])
