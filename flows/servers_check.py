"""`stillhouse up --check`: what listens for this workspace, where, and whether it turns away whom it must."""

import http.client
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

import click
import psutil

from tasks.shared.child import with_mark
from tasks.shared.errors import StillhouseError, brief_path
from tasks.shared.serving.access import KEY
from tasks.shared.serving.addresses import (
    Addresses,
    key_file,
    mark_of_runs,
    mark_of_servers,
    read_key,
    running_servers,
)
from tasks.shared.workspace import Workspace, existing_workspace

_LOOPBACK = ("127.0.0.1", "::1")
_PATIENCE_SECONDS = 10
_SILENT = 0
"""Instead of a status: no answer at all."""
_STRANGER = "stranger.example"
_TRIALS: Mapping[str, tuple[Mapping[str, str], int]] = {
    "no key": ({}, 401),
    "foreign pages": ({"Origin": f"http://{_STRANGER}"}, 403),
    "foreign names": ({"Host": _STRANGER}, 421),
}
"""Headers of requests that must be refused, and how; who comes from elsewhere is refused whatever the key."""
_GUARDED = {True: f"refuses {', '.join(_TRIALS)}", False: "is no web server; pages cannot talk to it"}


@dataclass(frozen=True)
class Listener:
    """Something that accepts connections.

    Attributes:
        name: what people call it.
        address: of the interface.
        port: number.
    """

    name: str
    address: str
    port: int


def check_servers() -> None:
    """Prints a line for each port on which something of this workspace listens.

    Raises:
        StillhouseError: nothing is up, or something can be reached that must not.
    """
    workspace = existing_workspace()
    servers = running_servers(workspace)
    found = list(listeners(workspace, servers))
    if not found:
        raise StillhouseError(f"nothing listens for {workspace.root}; `stillhouse up` starts its servers")
    faults = 0
    for listener in found:
        wrong = _wrong(listener)
        faults += bool(wrong)
        said = f"NOT SURE: {'; '.join(wrong)}" if wrong else _GUARDED[_answers(listener, {}) is not None]
        click.echo(f"{listener.name:<20} {listener.address}:{listener.port:<6} {said}")
    key = read_key(workspace)
    faults += bool(servers and key is None)
    state = "for its owner alone" if key else "GONE, or others can read it: stop `stillhouse up`, and start it again"
    click.echo(f"{'key':<20} {brief_path(key_file(workspace))}, {state}")
    if servers and key and sys.stdout.isatty():  # anywhere else is no place for it
        sign_in = f"?{KEY}={key}"
        click.echo("\nTo open in a browser:")
        click.echo(f"  Prefect   {servers.prefect}/{sign_in}\n  MLflow    {servers.mlflow}/{sign_in}")
    if faults:
        raise StillhouseError("not all is guarded, as told above; stop `stillhouse up`, and start it again")


def listeners(workspace: Workspace, servers: Addresses | None) -> Iterator[Listener]:
    """All ports on which processes that we started for a workspace accept connections.

    Args:
        workspace: whose.
        servers: those that are up, for their names.
    """
    ports = {urlsplit(address).port: name for name, address in _named(servers)}
    for mark, otherwise in (
        (mark_of_servers(workspace), "worker, to its runs"),
        (mark_of_runs(workspace), "Prefect of a run"),
    ):
        places = {place for process in with_mark(mark) for place in _places(process)}
        for address, port in sorted(places):
            yield Listener(ports.get(port, otherwise), address, port)


def _named(servers: Addresses | None) -> list[tuple[str, str]]:
    return [("Prefect server", servers.prefect), ("MLflow server", servers.mlflow)] if servers else []


def _places(process: psutil.Process) -> Iterator[tuple[str, int]]:
    """The address and port of each socket on which a process listens."""
    with suppress(psutil.Error):
        for connection in process.net_connections("inet"):
            if connection.status == psutil.CONN_LISTEN:
                yield connection.laddr.ip, connection.laddr.port


def _wrong(listener: Listener) -> list[str]:
    """What a listener lets others do."""
    found = [] if listener.address in _LOOPBACK else [f"it listens on {listener.address}"]
    if _answers(listener, {}) == _SILENT:
        return [*found, f"it does not answer within {_PATIENCE_SECONDS} s, so nobody knows"]
    for trial, (headers, refusal) in _TRIALS.items():
        if _answers(listener, headers) not in (refusal, None):
            found.append(f"it answers {trial}")
    return found


def _answers(listener: Listener, headers: Mapping[str, str]) -> int | None:
    """The status with which a request is answered; None where something listens that is no web server."""
    connection = http.client.HTTPConnection(listener.address, listener.port, timeout=_PATIENCE_SECONDS)
    try:
        connection.request("GET", "/api/admin/version", headers=headers)
        return connection.getresponse().status
    except TimeoutError:
        return _SILENT
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
