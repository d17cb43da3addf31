"""What a server of ours answers, and whom: no page of others, no foreign name, nobody without the key."""

import base64
from collections.abc import Mapping

import pytest
from fastapi import FastAPI, Request, WebSocket
from fastapi.middleware.cors import CORSMiddleware
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from starlette.websockets import WebSocketDisconnect

from tasks.shared.serving.access import AccessControl

KEY = "the-key-of-this-test"
OURS = "http://127.0.0.1:4200"
WITH_KEY = {"Authorization": f"Bearer {KEY}"}
SAME_SITE_OTHER_PORT = "http://127.0.0.1:9999"


def careless_app() -> FastAPI:
    """One that trusts everybody, as Prefect's does; it counts what reaches it."""
    app = FastAPI()
    app.add_middleware(CORSMiddleware, allow_origins=["*"], allow_methods=["*"], allow_headers=["*"])
    app.state.reached = 0

    @app.api_route("/{path:path}", methods=["GET", "POST", "PUT", "DELETE"])
    def anything(path: str, request: Request) -> str:
        app.state.reached += 1
        return f"secret of {path}?{request.url.query}"

    @app.websocket("/{path:path}")
    async def talk(socket: WebSocket, path: str) -> None:
        app.state.reached += 1
        await socket.accept()
        await socket.send_text("secret")
        await socket.close()

    return app


def client(app: FastAPI | None = None, **headers: str) -> TestClient:
    guarded = AccessControl(app or careless_app(), KEY)
    return TestClient(guarded, base_url=OURS, headers=headers, follow_redirects=False)


def signed_in(app: FastAPI) -> TestClient:
    """A browser that has opened the address with the key."""
    browser = client(app)
    answer = browser.get("/", params={"key": KEY})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert browser.get("/").status_code == 200
    app.state.reached = 0
    return browser


def test_whoever_has_the_key_is_answered() -> None:
    basic = base64.b64encode(f"anybody:{KEY}".encode()).decode()
    for headers in (WITH_KEY, {"Authorization": f"Basic {basic}"}):
        assert client(**headers).post("/api/flows").text == '"secret of api/flows?"'


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Basic !!"},
        {"Authorization": b"Basic \xe9"},
        {"Authorization": "Basic bm8tY29sb24="},
        {"Cookie": "stillhouse-4200="},
        {"Cookie": "stillhouse-4200=wrong"},
        {"Cookie": f"stillhouse-5000={KEY}"},
    ],
)
@pytest.mark.parametrize("path", ["/", "/api/admin/version", "/health/../api/flows", "/api/healthy"])
def test_nobody_is_answered_without_the_key(headers: Mapping[str, str], path: str) -> None:
    app = careless_app()
    assert client(app, **headers).get(path).status_code == 401
    assert client(app, **headers).post(path, params={"key": KEY}).status_code == 401
    assert app.state.reached == 0


def test_that_a_server_is_there_needs_no_key_and_tells_nothing_to_foreign_names() -> None:
    assert client().get("/api/health").status_code == 200
    assert client(Host="evil.example:4200").get("/api/health").status_code == 421


@pytest.mark.parametrize(
    "host",
    [
        *(
            "evil.example",
            "evil.example:4200",
            "10.0.0.1.evil.example",
            "127.0.0.1.evil.example:4200",
            "localhost.evil",
        ),
        *(
            "127.0.0.1:4200@evil.example",
            "0.0.0.0:4200",
            "127.0.0.2",
            "[::]:4200",
            "",
            "127.0.0.1:4200:1",
            "127.0.0.1:",
        ),
    ],
)
def test_a_name_that_resolves_to_this_machine_later_gets_nothing(host: str) -> None:
    app = careless_app()
    browser = signed_in(app)
    answer = browser.get("/api/flows", headers={"Host": host, "Origin": f"http://{host}", **WITH_KEY})
    assert (answer.status_code, app.state.reached) == (421, 0)


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=30))
def test_no_host_but_this_machine_gets_through(host: str) -> None:
    allowed = host.split(":")[0].lower() in ("127.0.0.1", "localhost") or host.startswith("[::1]")
    answer = client(Host=host, **WITH_KEY).get("/")
    assert answer.status_code == 421 or allowed


@pytest.mark.parametrize("host", ["localhost:9000", "LOCALHOST:4200", "[::1]:4200", "127.0.0.1"])
def test_a_tunnel_and_other_names_of_this_machine_work(host: str) -> None:
    headers = {"Host": host, "Origin": f"http://{host}".lower(), **WITH_KEY}
    assert client(**headers).post("/api/flows").status_code == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", SAME_SITE_OTHER_PORT, "https://localhost:4200", ""])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS"])
def test_a_foreign_page_reads_and_changes_nothing_though_the_browser_is_signed_in(origin: str, method: str) -> None:
    app = careless_app()
    preflight = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    answer = signed_in(app).request(method, "/api/flows", headers={"Origin": origin, **preflight})
    assert (answer.status_code, app.state.reached) == (403, 0)
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_images_and_scripts_of_a_foreign_page_get_nothing_but_links_are_followed() -> None:
    app = careless_app()
    browser = signed_in(app)
    for site in ("cross-site", "same-site"):
        for mode, destination in (("no-cors", "image"), ("no-cors", "script"), ("navigate", "iframe")):
            sent = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": destination}
            assert browser.get("/api/flows", headers=sent).status_code == 403
        link = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
        assert browser.get("/runs", headers=link).status_code == 200
        assert browser.post("/runs", headers=link).status_code == 403
    assert browser.get("/api/flows", headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200


def test_answers_forbid_others_to_read_or_frame_them() -> None:
    answer = client(**WITH_KEY, Origin=OURS).get("/")
    assert answer.status_code == 200
    assert answer.headers["x-frame-options"] == "SAMEORIGIN"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert "access-control-allow-origin" not in answer.headers


def test_a_websocket_wants_the_same() -> None:
    app = careless_app()
    browser = signed_in(app)
    events = f"{OURS.replace('http', 'ws')}/api/events/out"
    with browser.websocket_connect(events, headers={"Origin": OURS}) as socket:
        assert socket.receive_text() == "secret"
    app.state.reached = 0
    for headers in ({"Origin": "http://evil.example"}, {"Origin": SAME_SITE_OTHER_PORT}, {"Host": "evil.example"}):
        with pytest.raises(WebSocketDisconnect), browser.websocket_connect(events, headers=headers):
            pass
    with pytest.raises(WebSocketDisconnect), client(app).websocket_connect(events):
        pass
    assert app.state.reached == 0


def test_signing_in_sets_a_cookie_that_pages_cannot_read_and_takes_the_key_out_of_the_address() -> None:
    answer = client().get("/runs/x", params={"key": KEY, "tab": "logs"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/runs/x?tab=logs")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "set-cookie" not in client().get("/", params={"key": "wrong"}).headers


@pytest.mark.parametrize("path", ["//evil.example/", "/\\evil.example", "///evil.example"])
def test_signing_in_leads_nowhere_else(path: str) -> None:
    answer = client().get(f"{OURS}{path}", params={"key": KEY})
    assert answer.headers["location"].startswith("/evil.example")


def test_a_person_without_the_key_is_told_where_it_is() -> None:
    page = client().get("/", headers={"Accept": "text/html"})
    assert (page.status_code, "stillhouse up --check" in page.text, 'name="key"' in page.text) == (401, True, True)
    assert "another one's" not in page.text
    assert "another one's" in client().get("/", params={"key": "wrong"}, headers={"Accept": "text/html"}).text
    assert "servers/key" in client().get("/api/flows").text


def test_a_server_without_a_key_does_not_start() -> None:
    with pytest.raises(ValueError, match="open to everybody"):
        AccessControl(careless_app(), "")
