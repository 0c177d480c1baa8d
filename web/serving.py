"""What every process of the web serves, and how: whether it is up, and its metrics."""

from __future__ import annotations

from contextlib import suppress

import uvicorn
from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse

from web.meters import Meters

LARGEST_HEAD = 16_384  # bytes of all headers together


def add_meters(app: FastAPI, meters: Meters) -> None:
    @app.get("/healthz")
    async def health() -> Response:
        return JSONResponse({"status": "up"})

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(meters.shown(), media_type=meters.content_type)


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
