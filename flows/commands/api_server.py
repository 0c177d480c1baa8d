"""A Prefect API server for as long as a command runs, where none is configured.

It starts beside everything else: the parent hands down a listening socket, so that requests wait in its queue until
the server is there. It ends when the parent does, however that ends. Only the parent knows its secret: whoever else is
on the machine, or sends requests from a page in a browser, is refused.
"""

import atexit
import fcntl
import os
import secrets
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

QUIET = {
    "PREFECT_UI_ENABLED": "0",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_LEVEL": "CRITICAL",
    "PREFECT__SERVER_EPHEMERAL": "1",  # as Prefect's own temporary server: no scheduler, no other services
}


@contextmanager
def api_server() -> Iterator[None]:
    """Within the block Prefect has an API: the configured one, else one of our own."""
    from prefect.settings import (
        PREFECT_API_AUTH_STRING,
        PREFECT_API_URL,
        PREFECT_CLIENT_CSRF_SUPPORT_ENABLED,
        PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED,
        temporary_settings,
    )

    if PREFECT_API_URL.value():
        yield
        return
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listening:
        address, secret = f"http://127.0.0.1:{listening.getsockname()[1]}", f"inktally:{secrets.token_hex(20)}"
        guarded = {"PREFECT_SERVER_API_AUTH_STRING": secret, "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": address}
        server = subprocess.Popen(
            [sys.executable, "-m", "flows.commands.api_server", str(listening.fileno())],
            pass_fds=[listening.fileno()],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **QUIET, **guarded},
            start_new_session=True,  # Ctrl-C is for the parent, who still has things to tell the server
        )
    atexit.register(_stop, server)  # runs after Prefect's threads have sent their last logs and events
    told = {
        PREFECT_API_URL: f"{address}/api",
        PREFECT_API_AUTH_STRING: secret,
        PREFECT_CLIENT_CSRF_SUPPORT_ENABLED: False,  # nobody without the secret gets that far
        PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED: False,
    }
    with temporary_settings(told):
        yield


def _stop(server: subprocess.Popen[bytes]) -> None:
    server.kill()
    server.wait()


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(0)


def main() -> None:
    """Serve on the listening socket whose file descriptor is the argument, until our input ends."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import uvicorn

    class ApiServer(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            with _alone():
                await super().startup(sockets)

    config = uvicorn.Config(_known_by_address, factory=True, log_level="critical", lifespan="on")
    ApiServer(config).run(sockets=[socket.socket(fileno=int(sys.argv[1]))])


def _known_by_address() -> Any:
    """Prefect's application, for those who know it by its address: a page that gives itself a name for it does not."""
    from prefect.server.api.server import create_app
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    return TrustedHostMiddleware(create_app(), allowed_hosts=["127.0.0.1"])


@contextmanager
def _alone() -> Iterator[None]:
    """Of several commands that begin at once on a new machine, one at a time makes the database."""
    from prefect.settings import PREFECT_HOME

    home: Path = PREFECT_HOME.value()
    with ExitStack() as stack:
        with suppress(OSError):  # a home that may not be written to is not ours to complain of
            lock = stack.enter_context((home / ".inktally-server").open("a"))
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    main()
