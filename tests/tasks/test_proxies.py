"""Where a proxy is set, servers on this machine are asked without it, by every library that asks one."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from unittest.mock import patch

import httpx
import pytest
import requests

from tasks.shared.health import trouble
from tasks.shared.prefect_server import prepare_environment
from tasks.shared.serving.environment import environment_of_steps
from tasks.shared.workspace import open_workspace

PROXIES = ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")


@contextmanager
def server(status: int) -> Iterator[tuple[int, list[str]]]:
    """A server that answers everything with one status: its port, and what it was asked."""
    asked = list[str]()

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as made:
        threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True).start()
        yield made.server_address[1], asked
        made.shutdown()


@pytest.fixture(autouse=True)
def _no_proxies_of_this_machine() -> Iterator[None]:
    with patch.dict(os.environ):
        for name in (*PROXIES, "no_proxy", "NO_PROXY"):
            os.environ.pop(name, None)
        yield


@pytest.mark.parametrize("exempt", [{}, {"no_proxy": "intranet"}, {"NO_PROXY": "localhost"}, {"no_proxy": "*"}])
def test_a_proxy_is_never_asked_for_a_server_on_this_machine(exempt: dict[str, str]) -> None:
    with server(503) as (proxy, asked_of_proxy), server(200) as (ours, asked_of_us):
        os.environ |= {"http_proxy": f"http://127.0.0.1:{proxy}", **exempt}
        prepare_environment(open_workspace())
        for name in ("127.0.0.1", "localhost"):
            url = f"http://{name}:{ours}/health"
            assert trouble(url, 10) is None
            assert [httpx.get(url).status_code, requests.get(url, timeout=10).status_code] == [200, 200]
    assert (len(asked_of_us), asked_of_proxy) == (6, [])


def test_the_rest_of_the_world_is_still_asked_through_the_proxy_and_what_was_exempt_stays() -> None:
    with server(200) as (proxy, asked):
        os.environ |= {"HTTP_PROXY": f"http://127.0.0.1:{proxy}", "NO_PROXY": "intranet, 10.0.0.0/8"}
        prepare_environment(open_workspace())
        assert requests.get("http://example.test/", timeout=10).status_code == 200
    assert asked == ["http://example.test/"]
    passed_on = environment_of_steps()
    assert passed_on["no_proxy"] == passed_on["NO_PROXY"] == "intranet,10.0.0.0/8,127.0.0.1,localhost,::1"


def test_without_a_proxy_nothing_is_set() -> None:
    prepare_environment(open_workspace())
    assert "NO_PROXY" not in os.environ
