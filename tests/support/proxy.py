"""A proxy between a client and a server, which sees each request, meddles with it, or keeps its answer back."""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum, auto
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import psutil

RESET_ON_CLOSE = struct.pack("ii", 1, 0)
HOP_BY_HOP = {"connection", "transfer-encoding", "content-length"}


class Fate(Enum):
    """What becomes of a request that breaks."""

    RESET = auto()
    """The connection breaks before the server has seen it."""
    LOST = auto()
    """The server has done it, and the connection breaks before the answer has come."""


Meddle = Callable[[BaseHTTPRequestHandler], Fate | HTTPStatus | None]
"""Looks at a request and may change it; None: it is served, a status: it gets this answer and is never served."""
Witness = Callable[[BaseHTTPRequestHandler, int], None]
"""Hears of each request that the server has answered, and with which status, before the client does."""


@contextmanager
def proxied(server: str, meddle: Meddle = lambda _: None, witness: Witness = lambda *_: None) -> Iterator[str]:
    """The address of a proxy of the server at an address. The host that was signed goes on, for the sake of S3."""
    address = urlsplit(server).netloc

    class Proxy(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            fate = meddle(self)
            if isinstance(fate, HTTPStatus):
                self._answer(fate, [("Content-Length", "0")], b"")
                return
            try:
                answer = None if fate is Fate.RESET else self._forwarded(body)
            except (OSError, HTTPException):  # the server has gone
                answer = None
            if answer is not None:
                witness(self, answer[0])
            if answer is None or fate is Fate.LOST:
                self._reset()
            else:
                self._answer(*answer)

        def _forwarded(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
            upstream = HTTPConnection(address, timeout=30)
            try:
                upstream.request(self.command, self.path, body=body, headers=dict(self.headers))
                answer = upstream.getresponse()
                content = answer.read()
            finally:
                upstream.close()
            length = answer.headers["Content-Length"] if self.command == "HEAD" else str(len(content))
            kept = [(name, value) for name, value in answer.getheaders() if name.lower() not in HOP_BY_HOP]
            return answer.status, [*kept, ("Content-Length", length or "0")], content

        def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
            self.send_response_only(status)
            for name, value in headers:
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def _reset(self) -> None:
            self.close_connection = True
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            os.close(self.connection.detach())

        do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = do_HEAD = forward  # noqa: N815 - the names that http.server calls

    proxy = _Server(("127.0.0.1", 0), Proxy)
    thread = threading.Thread(target=proxy.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{proxy.server_port}"
    finally:
        proxy.shutdown()
        proxy.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that have gone, or are reset, are what this is for."""


def owner_of(port: int) -> int | None:
    """The process on this machine whose connection comes from a port, if it is not this one."""
    for each in psutil.net_connections("tcp4"):
        if each.laddr and each.laddr.port == port and each.pid not in {None, os.getpid()}:
            return each.pid
    return None
