"""What every process of the web serves, and how: whether it is up, and its metrics."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import FrameType

import uvicorn
from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse

from inktally.errors import BadSettings, MissingTool
from inktally.settings import Settings, read_settings
from web.meters import Meters

LARGEST_HEAD = 16_384  # bytes of all headers together
GRACE_SECONDS = 8  # Docker kills after 10


def add_meters(app: FastAPI, meters: Meters) -> None:
    @app.get("/healthz")
    async def health() -> Response:
        return JSONResponse({"status": "up"})

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(meters.shown(), media_type=meters.content_type)


def run_command(parser: argparse.ArgumentParser, argv: Sequence[str] | None, serve: Callable[[Settings], None]) -> int:
    """Serve as a command does: it logs to stderr, and a wrong setting or a missing package ends it with one line."""
    parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        serve(read_settings())
    except (BadSettings, MissingTool) as error:
        parser.exit(error.exit_code, f"{parser.prog}: error: {error}\n")
    return 0


class _Server(uvicorn.Server):
    """Says at once that it is to end. uvicorn itself waits for all answers first, and streams have no end."""

    def __init__(self, config: uvicorn.Config, on_stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_stop = on_stop

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._on_stop()
        super().handle_exit(sig, frame)


def run_server(app: FastAPI, host: str, port: int, on_stop: Callable[[], None] = lambda: None) -> None:
    """Until a signal ends it. What has not been answered a while after that is cut short."""
    with suppress(KeyboardInterrupt):
        _Server(server_config(app, host, port), on_stop).run()


def server_config(app: FastAPI, host: str, port: int) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http="h11",
        h11_max_incomplete_event_size=LARGEST_HEAD,
        log_config=None,
        access_log=False,  # a query may hold the secret
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
