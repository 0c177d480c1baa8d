"""The Prefect server, which obeys nobody without its secret: `make up` runs it, and `make prefect` runs it alone.

Whoever may start a flow run chooses the command that the worker runs. So the server has a random secret, in a file that
only its owner can read, and no page of another address may read its answers. A request without the secret gets 401,
whatever host name it was sent to.
"""

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from deployments.up.checks import http_answers
from deployments.up.home import Home
from deployments.up.supervisor import PROJECT, Service

PROGRAM = Path(sys.executable).with_name("prefect")


def sign_in(home: Home) -> str:
    """What the server asks for, `user:password`, as Prefect takes it: the content of secrets/prefect."""
    return home.secret("prefect", user="inktally")


def service(port: int, secret: str, environment: Mapping[str, str], then: Callable[[], None] = lambda: None) -> Service:
    """`environment` says where it keeps what it knows; nothing: in files of its home, and in its memory."""
    return Service(
        name="prefect",
        command=_command(port),
        environment={**_guarded(port, secret), **environment},
        is_up=lambda: http_answers(f"http://127.0.0.1:{port}/api/health"),
        then=then,
    )


def _command(port: int) -> list[str | Path]:
    return [PROGRAM, "server", "start", "--host", "127.0.0.1", "--port", str(port)]


def _guarded(port: int, secret: str) -> dict[str, str]:
    """Settings, never arguments: those everybody on the machine can see."""
    own = (f"http://127.0.0.1:{port}", f"http://localhost:{port}")
    return {"PREFECT_SERVER_API_AUTH_STRING": secret, "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": ",".join(own)}


def client_environment(port: int, secret: str) -> dict[str, str]:
    """With which Prefect's command, workers and flows reach the server.

    It is of their version, and asks for a secret instead of tokens against forged requests: they need not ask for that.
    """
    return {
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_API_AUTH_STRING": secret,
        "PREFECT_CLIENT_CSRF_SUPPORT_ENABLED": "false",
        "PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED": "false",
    }


def main() -> None:
    """Become a Prefect server that keeps its data where Prefect's settings say, as `prefect server start` does."""
    parser = argparse.ArgumentParser(prog="python -m deployments.up.prefect", description=main.__doc__)
    usual = PROJECT / "inktally-prefect"
    parser.add_argument("folder", nargs="?", type=Path, default=usual, help="of its secret; default: inktally-prefect")
    home = Home(parser.parse_args().folder)
    port, secret = home.port("prefect"), sign_in(home)
    told = client_environment(port, secret)
    environment = home.write_environment(told)
    ui = f"Prefect's UI: http://127.0.0.1:{port}; it asks for the line in {home.folder}/secrets/prefect"
    sys.stdout.writelines(f"{line}\n" for line in (*home.notices, ui, f"In other terminals: . {environment}"))
    sys.stdout.flush()
    command = [str(word) for word in _command(port)]
    os.execve(PROGRAM, command, {**os.environ, **told, **_guarded(port, secret)})  # noqa: S606 - it is our own


if __name__ == "__main__":
    main()
