"""Who may speak to a server of ours: an ASGI app that stands before Prefect's and MLflow's.

Both are made for a network that can be trusted, and a browser is none: any page that it shows can send requests to
loopback, and a name that its owner points to 127.0.0.1 later makes the page's own address one of ours (DNS rebinding).
So each request must name this machine as its host, must not come from a foreign page, and must bring the key.
"""

import base64
import hmac
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import quote, urlencode

from fastapi.requests import HTTPConnection
from fastapi.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

KEY = "key"
"""The parameter of an address that signs a browser in."""
HEALTH = frozenset({"/health", "/api/health"})
"""Paths that tell nothing but that the server is there, and so need no key."""

_LOOPBACK = re.compile(r"(?:127\.0\.0\.1|localhost|\[::1\])(?::(?P<port>\d{1,5}))?", re.IGNORECASE)
_OWN_PAGES = ("same-origin", "none")
_REFUSED = 1008
"""The code with which a WebSocket is closed for a breach of policy (RFC 6455, 7.4.1)."""
_ADDED = {
    b"x-frame-options": b"SAMEORIGIN",
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-resource-policy": b"same-origin",
}
_SIGN_IN = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Stillhouse</title>
<body style="font-family: system-ui, sans-serif; max-width: 34em; margin: 4em auto; line-height: 1.5">
<h1>This server wants a key</h1>
<p>Open the address that <code>stillhouse up</code> printed, or that <code>stillhouse up --check</code> prints in a
terminal. Or paste the key, which is in the file <code>servers/key</code> of the workspace:</p>
SAID<form method="get"><input name="key" type="password" size="48" autofocus> <button>Open</button></form>"""


class AccessControl:
    """Passes on to an ASGI app what may reach it, HTTP and WebSocket alike.

    The key comes as `Authorization: Bearer KEY`, as the password of basic authentication, or in the cookie that
    `http://127.0.0.1:PORT/?key=KEY` sets in a browser. Any port is allowed in the Host header, as the server may be
    reached through a tunnel.
    """

    def __init__(self, app: App, key: str) -> None:
        """Takes the app, and the key that whoever asks must have; an empty one would be everybody's."""
        if not key:
            raise ValueError("a server without a key would be open to everybody")
        self._app = app
        self._key = key

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answers a refusal itself; else the app answers, and loses what it says of foreign pages (CORS)."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        asked = HTTPConnection(scope)
        refusal = self._refusal(asked)
        if refusal is None:
            await self._app(scope, receive, _guarded(send))
        elif scope["type"] == "websocket":
            await receive()  # the request to connect, which is answered with 403
            await send({"type": "websocket.close", "code": _REFUSED})
        else:
            await refusal(scope, receive, _guarded(send))

    def _refusal(self, asked: HTTPConnection) -> Response | None:
        """The answer to a request that must not reach the app; None for one that may."""
        hosts = asked.headers.getlist("host")
        if len(hosts) != 1 or not _LOOPBACK.fullmatch(hosts[0]):
            return PlainTextResponse("this server answers to 127.0.0.1 and localhost alone", 421)
        if _foreign(asked, hosts[0]):
            return PlainTextResponse("this server does not answer pages of others", 403)
        if asked.scope["path"] in HEALTH or self._has_key(asked):
            return self._signing_in(asked)
        return self._signing_in(asked) or _wanting_a_key(asked)

    def _has_key(self, asked: HTTPConnection) -> bool:
        scheme, _, token = asked.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "basic":
            token = _password(token)
        return any(self._is_key(found) for found in (token.strip(), asked.cookies.get(_cookie(asked), "")))

    def _is_key(self, found: str) -> bool:
        return hmac.compare_digest(found.encode(), self._key.encode())

    def _signing_in(self, asked: HTTPConnection) -> Response | None:
        """For an address with the right key in it: a cookie, and the same address without the key."""
        if asked.scope.get("method") != "GET" or not self._is_key(asked.query_params.get(KEY, "")):
            return None
        others = urlencode([(name, value) for name, value in asked.query_params.multi_items() if name != KEY])
        path = "/" + quote(asked.scope["path"].lstrip("/\\"))  # `//elsewhere` would be another host
        answer = RedirectResponse(f"{path}?{others}" if others else path, 303)
        answer.set_cookie(_cookie(asked), self._key, httponly=True, samesite="strict")
        return answer


def _foreign(asked: HTTPConnection, host: str) -> bool:
    """Whether a page of another origin sent a request; one on another port of this machine is another too.

    Browsers name the origin of whatever can change something and of WebSockets, and say of the rest, such as images,
    where it comes from. A link that a person follows may come from anywhere: it brings no cookie from another site.
    """
    origins = asked.headers.getlist("origin")
    if origins:
        return any(origin.lower() not in {f"http://{host.lower()}", f"https://{host.lower()}"} for origin in origins)
    site = asked.headers.get("sec-fetch-site", "none")
    is_link = (asked.headers.get("sec-fetch-mode"), asked.headers.get("sec-fetch-dest")) == ("navigate", "document")
    return site not in _OWN_PAGES and not (is_link and asked.scope.get("method") == "GET")


def _wanting_a_key(asked: HTTPConnection) -> Response:
    if "text/html" in asked.headers.get("accept", ""):
        wrong = "<p><strong>That key is another one's.</strong></p>" if KEY in asked.query_params else ""
        return HTMLResponse(_SIGN_IN.replace("SAID", wrong), 401)
    return PlainTextResponse("this server wants the key of its workspace, the file servers/key", 401)


def _cookie(asked: HTTPConnection) -> str:
    """A name for each port: a browser sends cookies of 127.0.0.1 to all of them, so two servers would share one."""
    host = _LOOPBACK.fullmatch(asked.headers["host"])
    return f"stillhouse-{(host and host['port']) or 80}"


def _password(credentials: str) -> str:
    try:
        return base64.b64decode(credentials, validate=True).decode().partition(":")[2]
    except ValueError:  # neither base64 nor UTF-8
        return ""


def _guarded(send: Send) -> Send:
    """Answers forbid other pages to read or frame them; what the app itself allows others is taken out."""

    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            kept = [
                (name, value)
                for name, value in message.get("headers", [])
                if not name.lower().startswith(b"access-control-") and name.lower() not in _ADDED
            ]
            message["headers"] = [*kept, *_ADDED.items()]
        await send(message)

    return guarded
