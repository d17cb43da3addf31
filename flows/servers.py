"""`stillhouse up`: a Prefect server, an MLflow server and a worker on loopback, with their state in the workspace."""

import json
import logging
import os
import shlex
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import FrameType

import click
from filelock import FileLock, Timeout

import tasks
from flows.result import program
from tasks.shared.child import Child, end_marked, marked, start_child, stop_child
from tasks.shared.errors import StillhouseError
from tasks.shared.health import trouble
from tasks.shared.prefect_server import prepare_environment
from tasks.shared.serving.access import KEY
from tasks.shared.serving.addresses import (
    Addresses,
    for_mlflow,
    for_prefect,
    key_file,
    make_key,
    mark_of_servers,
    running_servers,
    servers_lock,
    tell_addresses,
)
from tasks.shared.serving.apps import KEY_FILE, MLFLOW_APP
from tasks.shared.serving.environment import bare_environment, environment_of_steps
from tasks.shared.workspace import Workspace, open_workspace

POOL = "stillhouse"
HOST = "127.0.0.1"
_PATIENCE_SECONDS = 180
_LOOK_SECONDS = 0.2
_TAIL_LINES = 15
# An access log would hold the key of each browser that signs in. And uvicorn looks for an app in the current folder
# first, which is a person's and may have a `tasks` too.
_UVICORN = ("--no-access-log", "--app-dir", str(Path(tasks.__file__).parents[1]))

_PREFECT = {
    # In memory, which is the default, leases of the limits' slots would not be seen by the next server.
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
    # How often whoever waits for a slot asks again: steps here take seconds to minutes.
    "PREFECT_SERVER_TASKS_TAG_CONCURRENCY_SLOT_WAIT_SECONDS": "3",
    "PREFECT_SERVER_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS": "10",
    # From here on a run counts as late, and somebody may be told: the worker looks every 3 s, on a busy machine later.
    "PREFECT_SERVER_SERVICES_LATE_RUNS_AFTER_SECONDS": "60",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    "PREFECT_WORKER_QUERY_SECONDS": "3",
    "PREFECT_WORKER_ENABLE_CANCELLATION": "true",
}


@dataclass(frozen=True)
class Process:
    """A running server or worker, by the name that people call it."""

    name: str
    child: Child


def up(prefect_port: int, mlflow_port: int) -> None:
    """Starts servers and worker, says where they are, and ends them when it is told to end or one of them dies."""
    workspace = open_workspace()
    with _only_one(workspace), _told_to_stop() as stopping:
        for name in ("PREFECT_API_URL", "PREFECT_API_KEY", "PREFECT_PROFILE", "MLFLOW_TRACKING_URI"):
            os.environ.pop(name, None)  # those of other servers
        prepare_environment(workspace)
        left = end_marked(mark_of_servers(workspace))
        if left:
            click.echo(f"ended {left} processes that a killed `stillhouse up` had left")
        servers = _Servers(workspace, _free_port(prefect_port, "prefect"), _free_port(mlflow_port, "mlflow"))
        try:
            servers.start(stopping)
            if not stopping():
                servers.say_where()
            while not stopping():
                servers.check()
                time.sleep(_LOOK_SECONDS)
            click.echo("stopping ...")
        finally:
            servers.stop()
    click.echo("stopped")


class _Servers:
    def __init__(self, workspace: Workspace, prefect_port: int, mlflow_port: int) -> None:
        self._workspace = workspace
        self._ports = {"prefect": str(prefect_port), "mlflow": str(mlflow_port)}
        self._addresses = Addresses(f"http://{HOST}:{prefect_port}", f"http://{HOST}:{mlflow_port}")
        self._key = make_key(workspace)
        self._processes: list[Process] = []

    def start(self, stopping: Callable[[], bool]) -> None:
        """Starts all three and waits until each answers, or until it is told to stop."""
        click.echo(f"starting the servers of {self._workspace.root}; the first time takes half a minute")
        tell_addresses(self._workspace, None)  # those of servers that were killed
        began = datetime.now().astimezone()
        serve = ["uvicorn", "--factory", "tasks.shared.serving.apps:prefect", "--log-level", "warning", *_UVICORN]
        prefect = [sys.executable, "-P", "-m", *serve, "--host", HOST, "--port", self._ports["prefect"]]
        self._add("Prefect server", prefect, bare_environment())
        self._add("MLflow server", self._mlflow_command(), bare_environment())
        self._wait(stopping, lambda: not trouble(f"{self._addresses.prefect}/api/health", 10))
        worker = ["worker", "start", "--pool", POOL, "--type", "process", "--name", f"worker of {socket.gethostname()}"]
        keys = {"MLFLOW_TRACKING_URI": self._addresses.mlflow, **for_prefect(self._key), **for_mlflow(self._key)}
        self._add("worker", [sys.executable, "-m", "prefect", *worker], environment_of_steps() | keys)
        self._wait(stopping, lambda: not trouble(f"{self._addresses.mlflow}/health", 10))
        self._wait(stopping, lambda: self._worker_polls(began))
        tell_addresses(self._workspace, self._addresses)

    def _mlflow_command(self) -> Sequence[str]:
        from tasks.shared.tracking import open_client

        logging.getLogger("mlflow").setLevel(logging.WARNING)
        open_client(self._workspace)  # the same database as without a server, made as it is made there
        root = (self._workspace.mlflow / "artifacts").as_uri()
        # A root that is a folder, not the server's own mlflow-artifacts:, is one that runs without a server can use.
        places = ["--default-artifact-root", root, "--artifacts-destination", root]
        store = ["--backend-store-uri", f"sqlite:///{self._workspace.mlflow / 'mlflow.db'}", *places]
        listen = ["--host", HOST, "--port", self._ports["mlflow"], "--workers", "1"]
        guarded = ["--app-name", MLFLOW_APP, "--uvicorn-opts", shlex.join(_UVICORN)]
        return [sys.executable, "-P", "-m", "mlflow", "server", *store, *listen, *guarded]

    def _add(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        home = self._workspace.servers / "prefect"
        settings = {
            **environment,
            **_PREFECT,
            "PREFECT_HOME": str(home),
            "PREFECT_API_URL": f"{self._addresses.prefect}/api",
            "PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{home / 'prefect.db'}",
            "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": self._addresses.prefect,
            "STILLHOUSE_HOME": str(self._workspace.root),
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # its jobs are for evaluating chat models
            KEY_FILE: str(key_file(self._workspace)),
        }
        home.mkdir(parents=True, exist_ok=True)
        log = self._workspace.servers / f"{name.lower().replace(' ', '-')}.log"
        child = start_child(command, log, marked(settings, mark_of_servers(self._workspace)), Path.cwd())
        self._processes.append(Process(name, child))

    def _wait(self, stopping: Callable[[], bool], ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not stopping() and not ready():
            self.check()
            if time.monotonic() > deadline:
                raise StillhouseError(f"the servers do not answer; their logs are in {self._workspace.servers}")
            time.sleep(_LOOK_SECONDS)

    def _worker_polls(self, since: datetime) -> bool:
        """Whether a worker has reported since then; one of last time may still be in the list."""
        try:
            url = f"{self._addresses.prefect}/api/work_pools/{POOL}/workers/filter"
            headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._key}"}
            request = urllib.request.Request(url, b"{}", headers)  # noqa: S310 - our own
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - our own server
                workers = json.load(answer)
        except (urllib.error.URLError, OSError):
            return False
        return any(datetime.fromisoformat(worker["last_heartbeat_time"]) > since for worker in workers)

    def check(self) -> None:
        """Raises if a child has ended by itself."""
        for process in self._processes:
            code = process.child.guard.poll()
            if code is not None:
                log = process.child.log
                lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-_TAIL_LINES:]
                click.echo("\n".join(["", f"the end of {log}:", *lines]), err=True)
                raise StillhouseError(f"the {process.name} has ended (exit code {code}), so all are stopped")

    def say_where(self) -> None:
        """Prints what to open and what to set."""
        prefect, mlflow = self._addresses.prefect, self._addresses.mlflow
        at_terminal = sys.stdout.isatty()  # a log is no place for the key
        sign_in = f"?{KEY}={self._key}" if at_terminal else ""
        check = f"{program('stillhouse')} up --check"
        hint = "" if at_terminal else f"\n  key       {check} prints addresses that sign a browser in"
        click.echo(f"""
  Prefect   {prefect}/{sign_in}
  MLflow    {mlflow}/{sign_in}
  worker    runs what is deployed, from the folder it was deployed in
  logs      {self._workspace.servers}{hint}

In another terminal:
  {program("stillhouse")} deploy     # make deploy RECIPE=...: nightly, hourly and on demand
  export PREFECT_API_URL={prefect}/api     # so that `stillhouse run` shows up there
  export MLFLOW_TRACKING_URI={mlflow}

Ctrl-C stops all three.""")

    def stop(self) -> None:
        """Ends the worker, then the servers that it reports to."""
        tell_addresses(self._workspace, None)
        for process in reversed(self._processes):
            stop_child(process.child)


@contextmanager
def _only_one(workspace: Workspace) -> Iterator[None]:
    lock = servers_lock(workspace)
    lock.parent.mkdir(parents=True, exist_ok=True)
    held = FileLock(lock)
    try:
        held.acquire(timeout=0)
    except Timeout:
        known = running_servers(workspace)
        where = f": Prefect {known.prefect}, MLflow {known.mlflow}" if known else ""
        raise StillhouseError(f"servers of {workspace.root} are up already{where}; stop those first") from None
    try:
        yield
    finally:
        held.release()


@contextmanager
def _told_to_stop() -> Iterator[Callable[[], bool]]:
    """Whether a signal has asked for the end; a second one changes nothing, as ending takes its few seconds."""
    told: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        told.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield lambda: bool(told)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _free_port(port: int, server: str) -> int:
    """The port itself if it is free, any free one for 0."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # one that was just given back counts as free
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError):
            raise StillhouseError(
                f"port {port} is taken; choose another with --{server}-port, 0 for any that is free"
            ) from None
        return int(probe.getsockname()[1])
