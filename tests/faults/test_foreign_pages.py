"""A page of somebody else, in a real browser that is signed in to our servers, tries what browsers let it try."""

import json
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, RemoteDisconnected
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from websockets.sync.client import connect

from flows.servers_check import Listener, listeners
from tasks.shared.serving.addresses import Addresses
from tasks.shared.workspace import Workspace
from tests.faults.conftest import inside
from tests.faults.servers import addresses, api, key, mlflow, until, up
from tests.flows.conftest import World, make_world

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.drill,
    pytest.mark.timeout(600),
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium; Debian's package is called chromium"),
]
QUIET = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
QUIET += [
    "--disable-background-networking",
    "--disable-component-update",
    "--host-resolver-rules=MAP *.example 127.0.0.1",
]
FOREIGN, REBOUND = "foreign.example", "rebound.example"

PAGE = Path(__file__).with_name("foreign_page.html").read_text(encoding="utf-8")


@dataclass
class Foreign:
    """Serves the page, and takes what it could read; also stands for a server that trusts everybody."""

    targets: list[dict[str, Any]] = field(default_factory=list)
    told: list[dict[str, Any]] = field(default_factory=list)
    careless: list[str] = field(default_factory=list)


@contextmanager
def serving(foreign: Foreign) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def _answer(self, body: bytes, kind: str = "text/html") -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            if self.path.startswith("/careless"):
                self.send_header("Access-Control-Allow-Origin", self.headers.get("Origin", "*"))
                self.send_header("Access-Control-Allow-Credentials", "true")
                self.send_header("Access-Control-Allow-Headers", "content-type")
                self.send_header("Access-Control-Allow-Methods", "GET, POST, PUT, DELETE")
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            page = PAGE.replace("TARGETS", json.dumps(foreign.targets))
            self._answer(b"secret" if self.path.startswith("/careless") else page.encode())

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.path == "/told":
                foreign.told.append(json.loads(body))
            foreign.careless.append(self.command)
            self._answer(b"done")

        do_PUT = do_DELETE = do_OPTIONS = do_POST  # noqa: N815 - the library's names

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()


class Browser:
    """A headless Chromium, spoken to by its DevTools protocol."""

    def __init__(self, profile: Path) -> None:
        options = [*QUIET, f"--user-data-dir={profile}", "--remote-debugging-port=0", "about:blank"]
        self._process = subprocess.Popen([CHROMIUM, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        port = profile / "DevToolsActivePort"
        until(lambda: port.exists() and len(port.read_text().split()) == 2, 60, "Chromium listens")
        with urlopen(f"http://127.0.0.1:{port.read_text().split()[0]}/json") as answer:
            page = next(target for target in json.load(answer) if target["type"] == "page")
        self._socket = connect(page["webSocketDebuggerUrl"], max_size=None, ping_interval=None)
        self._asked = 0
        self._ask("Page.enable")

    def _ask(self, method: str, **params: object) -> dict[str, Any]:
        self._asked += 1
        self._socket.send(json.dumps({"id": self._asked, "method": method, "params": params}))
        while True:
            answer = json.loads(self._socket.recv(timeout=60))
            if answer.get("id") == self._asked:
                return answer["result"]

    def open(self, url: str) -> None:
        """Opens a page as a person does who types its address."""
        self._ask("Page.navigate", url=url)
        while json.loads(self._socket.recv(timeout=60)).get("method") != "Page.loadEventFired":
            pass

    def says(self, script: str) -> Any:
        """What a script of the open page comes to."""
        result = self._ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        return result["result"].get("value")

    def close(self) -> None:
        self._socket.close()
        self._process.kill()
        self._process.wait()


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    found = Browser(tmp_path / "profile")
    yield found
    found.close()


@dataclass(frozen=True)
class State:
    """What a page of somebody else could have changed."""

    flow_runs: int
    deployments: list[str]
    experiments: list[str]


def state_of(world: World) -> State:
    with api(world) as client, mlflow(world) as tracked:
        return State(
            len(client.read_flow_runs()),
            sorted(deployment.name for deployment in client.read_deployments()),
            sorted(experiment.name for experiment in tracked.search_experiments()),
        )


def targets_at(listener: Listener, deployment: str) -> list[dict[str, Any]]:
    """What to try on a port, by each name that leads there."""
    return [
        {
            "origin": f"http://{host}:{listener.port}",
            "readable": ["/", "/api/admin/version", "/api/2.0/mlflow/experiments/search?max_results=5", "/version"],
            "writable": [
                f"/api/deployments/{deployment}/create_flow_run",
                "/api/2.0/mlflow/experiments/create",
                "/ajax-api/2.0/mlflow/experiments/create",
                "/api/flow_runs/filter",
            ],
            "body": '{"name": "taken=over"}',
            "sockets": ["/api/events/in", "/api/events/out", "/api/logs/out"],
        }
        for host in ("127.0.0.1", "localhost", REBOUND)
    ]


def test_a_foreign_page_reads_changes_and_starts_nothing(tmp_path: Path, browser: Browser) -> None:
    world = make_world(tmp_path)
    foreign = Foreign()
    with up(world), serving(foreign) as port:
        world.done("deploy", "toy.yaml")
        run = world.start("run", "toy.yaml")  # with a temporary server of its own
        try:
            inside(run, world, "train_teacher")
            signs_in(browser, world)
            found = list(listeners(Workspace(world.workspace), Addresses(**addresses(world))))
            assert {"Prefect server", "MLflow server", "Prefect of a run"} <= {listener.name for listener in found}
            assert {listener.address for listener in found} == {"127.0.0.1"}
            with api(world) as client:
                deployment = str(client.read_deployment_by_name("distill/toy-on-demand").id)
            before = state_of(world)
            foreign.targets = [target for listener in found for target in targets_at(listener, deployment)]
            for page in (f"http://{FOREIGN}:{port}/", f"http://127.0.0.1:{port}/"):
                told = attack(browser, foreign, page)
                assert told["sent"] >= 40 * len(foreign.targets)
                assert told["read"] == []
            for listener in found:
                rebound(listener, deployment, key(world))
            assert state_of(world) == before
            checked = world.done("up", "--check")
            assert checked.count("refuses no key, foreign pages, foreign names") == 3
            assert "NOT SURE" not in checked
            assert key(world) not in checked
        finally:
            os.kill(run.pid, signal.SIGCONT)
            run.kill()
            run.communicate()
    could_have_succeeded(browser, foreign)


def signs_in(browser: Browser, world: World) -> None:
    """The pages open by one address each, and work: they ask their own server, and get what they ask for."""
    for server, question in (("prefect", "/api/admin/version"), ("mlflow", "/ajax-api/2.0/mlflow/experiments/search")):
        browser.open(f"{addresses(world)[server]}/?key={key(world)}")
        asked = f"fetch({question!r} + '?max_results=5').then(answer => answer.status)"
        assert browser.says(asked) == 200
        assert "key" not in browser.says("location.href")
        assert key(world) not in browser.says("document.cookie")
    logs = (world.workspace / "servers").glob("*.log")
    assert not [log for log in logs if key(world) in log.read_text(encoding="utf-8")]


def attack(browser: Browser, foreign: Foreign, page: str) -> dict[str, Any]:
    """Opens the page, waits until it has tried all, and gives how much that was and what it could read."""
    foreign.told.clear()
    browser.open(page)
    until(lambda: bool(foreign.told), 120, f"{page} has tried all")
    return foreign.told[0]


def rebound(listener: Listener, deployment: str, secret: str) -> None:
    """A page whose own name has come to mean this machine: its requests are of one origin, but not of ours."""
    host = f"{REBOUND}:{listener.port}"
    for method, path in (("GET", "/api/admin/version"), ("POST", f"/api/deployments/{deployment}/create_flow_run")):
        for headers in ({}, {"Cookie": f"stillhouse-{listener.port}={secret}"}):
            connection = HTTPConnection("127.0.0.1", listener.port, timeout=20)
            sent = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin", **headers}
            try:
                connection.request(method, path, body="{}", headers=sent)
                assert connection.getresponse().status == 421
            except RemoteDisconnected:
                assert "worker" in listener.name  # it is no web server
            connection.close()


def could_have_succeeded(browser: Browser, foreign: Foreign) -> None:
    """The same page against a server that trusts everybody: what it tries does work in this browser."""
    with serving(foreign) as careless, serving(foreign) as port:
        tried = {"readable": ["/careless"], "writable": ["/careless"], "body": "a=b", "sockets": []}
        foreign.targets = [{"origin": f"http://127.0.0.1:{careless}", **tried}]
        foreign.careless.clear()
        read = attack(browser, foreign, f"http://{FOREIGN}:{port}/")["read"]
    assert {line.split(" ")[0] for line in read} >= {"read", "post", "put", "delete", "script"}
    assert {"POST", "PUT", "DELETE"} <= set(foreign.careless)
