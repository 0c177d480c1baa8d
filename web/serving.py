"""What every process of the web serves, and how: whether it is up, and its metrics."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress

import uvicorn
from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse

from inktally.errors import BadSettings
from inktally.settings import Settings, read_settings
from web.meters import Meters

LARGEST_HEAD = 16_384  # bytes of all headers together


def add_meters(app: FastAPI, meters: Meters) -> None:
    @app.get("/healthz")
    async def health() -> Response:
        return JSONResponse({"status": "up"})

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(meters.shown(), media_type=meters.content_type)


def run_command(parser: argparse.ArgumentParser, argv: Sequence[str] | None, serve: Callable[[Settings], None]) -> int:
    """Serve as a command does: it logs to stderr, and settings that cannot work are told as wrong usage."""
    parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        serve(read_settings())
    except BadSettings as error:
        parser.exit(error.exit_code, f"{parser.prog}: error: {error}\n")
    return 0


def run_server(app: FastAPI, host: str, port: int) -> None:
    """Until a signal ends it."""
    with suppress(KeyboardInterrupt):
        uvicorn.Server(server_config(app, host, port)).run()


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
    )
