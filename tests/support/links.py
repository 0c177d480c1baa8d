"""Real servers of pictures by link, on addresses of this machine."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PUBLIC = "127.0.0.2"  # allowed, in these tests
PRIVATE = "127.0.0.1"
PICTURE = b"\x89PNG and so on"
TLS = ssl.create_default_context()

Answer = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Server:
    """A real HTTP server, and the requests that it got."""

    port: int
    answers: dict[str, Answer]
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def at(self, path: str, host: str = "pictures.example") -> str:
        return f"http://{host}:{self.port}{path}"


@contextmanager
def serving(address: str, tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.requests.append((self.path, dict(self.headers)))
            server.answers.get(self.path, send_picture)(self)

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer((address, 0), Handler) as listening:
        if tls:
            listening.socket = tls.wrap_socket(listening.socket, server_side=True)
        server = Server(listening.server_port, {})
        threading.Thread(target=listening.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        listening.shutdown()


def send_picture(request: BaseHTTPRequestHandler) -> None:
    send(request, 200, {"Content-Type": "text/html"}, PICTURE)


def send(request: BaseHTTPRequestHandler, status: int, headers: dict[str, str], body: bytes = b"") -> None:
    request.send_response(status)
    for name, value in headers.items():
        request.send_header(name, value)
    request.end_headers()
    request.wfile.write(body)
