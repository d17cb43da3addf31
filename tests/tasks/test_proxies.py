"""Where a proxy is set, servers on this machine are asked without it, by every library that asks one."""

import os
from collections.abc import Iterator
from unittest.mock import patch

import httpx
import pytest
import requests

from tasks.shared.health import trouble
from tasks.shared.prefect_server import prepare_environment
from tasks.shared.serving.environment import environment_of_steps
from tasks.shared.workspace import open_workspace
from tests.web import server

PROXIES = ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")


@pytest.fixture(autouse=True)
def _no_proxies_of_this_machine() -> Iterator[None]:
    with patch.dict(os.environ):
        for name in (*PROXIES, "no_proxy", "NO_PROXY"):
            os.environ.pop(name, None)
        yield


@pytest.mark.parametrize("exempt", [{}, {"no_proxy": "intranet"}, {"NO_PROXY": "localhost"}, {"no_proxy": "*"}])
def test_a_proxy_is_never_asked_for_a_server_on_this_machine(exempt: dict[str, str]) -> None:
    with server(503) as proxy, server(200) as ours:
        os.environ |= {"http_proxy": proxy.url, **exempt}
        prepare_environment(open_workspace())
        for name in ("127.0.0.1", "localhost"):
            url = ours.url.replace("127.0.0.1", name)
            assert trouble(url, 10) is None
            assert [httpx.get(url).status_code, requests.get(url, timeout=10).status_code] == [200, 200]
    assert (len(ours.asked), proxy.asked) == (6, [])


def test_the_rest_of_the_world_is_still_asked_through_the_proxy_and_what_was_exempt_stays() -> None:
    with server(200) as proxy:
        os.environ |= {"HTTP_PROXY": proxy.url, "NO_PROXY": "intranet, 10.0.0.0/8"}
        prepare_environment(open_workspace())
        assert requests.get("http://example.test/", timeout=10).status_code == 200
    assert proxy.asked == ["http://example.test/"]
    passed_on = environment_of_steps()
    assert passed_on["no_proxy"] == passed_on["NO_PROXY"] == "intranet,10.0.0.0/8,127.0.0.1,localhost,::1"


def test_without_a_proxy_nothing_is_set() -> None:
    prepare_environment(open_workspace())
    assert "NO_PROXY" not in os.environ
