"""Whether something answers."""

import base64
import json
import socket
from http import HTTPStatus
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

SECONDS = 5
DIRECT = build_opener(ProxyHandler({}))  # the loopback is never behind a proxy


def port_answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=SECONDS):
            return True
    except OSError:
        return False


def http_answers(url: str) -> bool:
    """Whether it answers at all, and without an error of its own."""
    try:
        with DIRECT.open(url, timeout=SECONDS):
            return True
    except HTTPError as error:
        return error.code < HTTPStatus.INTERNAL_SERVER_ERROR
    except OSError:
        return False


def posted(url: str, body: object, sign_in: str) -> Any:
    """The answer, decoded; None when there is none. `sign_in` is `user:password`."""
    headers = {"Content-Type": "application/json", **basic(sign_in)}
    request = Request(url, json.dumps(body).encode(), headers)  # noqa: S310
    try:
        with DIRECT.open(request, timeout=SECONDS) as answer:
            return json.load(answer)
    except (OSError, ValueError):
        return None


def basic(sign_in: str) -> dict[str, str]:
    """The header that signs in as `user:password` (RFC 7617)."""
    return {"Authorization": f"Basic {base64.b64encode(sign_in.encode()).decode()}"}
