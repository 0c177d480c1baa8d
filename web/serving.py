"""What every process of the web serves, and how: whether it is up, and its metrics."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse

from web.meters import Meters

LARGEST_HEAD = 16_384  # bytes of all headers together
GRACE_SECONDS = 8  # Docker kills after 10


def add_health(app: FastAPI) -> None:
    @app.get("/healthz", include_in_schema=False)
    async def health() -> Response:
        return JSONResponse({"status": "up"})


def metered(meters: Meters, lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]]) -> FastAPI:
    """An application that tells whether it is up, and its metrics."""
    app = FastAPI(lifespan=lifespan, openapi_url=None)
    add_health(app)

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(meters.shown(), media_type=meters.content_type)

    return app


@asynccontextmanager
async def meanwhile(*work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Have work done in the background until the block ends; then it is cancelled."""
    tasks = [asyncio.create_task(each) for each in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


class _PromptServer(uvicorn.Server):
    """Reports a stop at once: uvicorn itself waits for all answers first, and streams have no end."""

    def __init__(self, config: uvicorn.Config, on_stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_stop = on_stop

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._on_stop()
        super().handle_exit(sig, frame)


def run_server(app: FastAPI, host: str, port: int, on_stop: Callable[[], None] = lambda: None) -> None:
    """Until a signal ends it. What has not been answered a while after that is cut short."""
    with suppress(KeyboardInterrupt):
        _PromptServer(server_config(app, host, port), on_stop).run()


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
