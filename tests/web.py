"""Small real web servers for tests: they answer everything alike, and remember what they were asked."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Server:
    """One that is running.

    Attributes:
        url: its address, without a slash at its end.
        status: with which it answers from now on.
        body: what it answers.
        asked: the path of each request, the oldest first.
        bodies: what came with them.
    """

    url: str
    status: int
    body: bytes = b"{}"
    asked: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)


@contextmanager
def server(status: int = 200) -> Iterator[Server]:
    """A server on loopback, gone afterwards."""

    class Answer(BaseHTTPRequestHandler):
        def answer(self) -> None:
            made.bodies.append(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
            made.asked.append(self.path)
            self.send_response(made.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(made.body)))
            self.end_headers()
            self.wfile.write(made.body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815 - the names that the library wants

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as listening:
        made = Server(f"http://127.0.0.1:{listening.server_address[1]}", status)
        threading.Thread(target=listening.serve_forever, args=(0.01,), daemon=True).start()
        yield made
        listening.shutdown()
