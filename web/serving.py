"""What every process of the web serves, under which host names, and within which limits."""

import asyncio
import logging
import resource
from collections.abc import AsyncIterator, Callable, Collection, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from inktally.settings import Settings
from web.callers import host_of, is_address
from web.connections import Connections
from web.meters import Meters

logger = logging.getLogger(__name__)

LARGEST_HEAD = 16_384  # bytes of all headers together
GRACE_SECONDS = 8  # Docker kills after 10
BACKLOG = 512  # connections that the system keeps until we take them, all at once if need be
FILES, OTHER_FILES = 4096, 200  # that a process wants to have open; those of them that are no connections


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


class KnownHosts:
    """Refuses requests to host names that are none of ours (421).

    A page of another site may give its own host name our address; then the browser lets it read our answers (DNS
    rebinding). Its requests bear that name, so an address in figures, or no name at all, tells nothing bad.
    """

    def __init__(self, app: ASGIApp, names: Collection[str]) -> None:
        self._app = app
        self._names = frozenset(names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._is_known(Headers(scope=scope).get("host", "")):
            logger.warning(
                "a request to an unknown host was refused (INKTALLY_HOSTS): %r", Headers(scope=scope)["host"]
            )
            refused = PlainTextResponse("This host name is not one of INKTALLY_HOSTS.\n", 421)
            return await refused(scope, receive, send)
        return await self._app(scope, receive, send)

    def _is_known(self, told: str) -> bool:
        host = host_of(f"//{told}").removesuffix(".")
        return not told or host in self._names or is_address(host)


def hosts_of(settings: Settings) -> set[str]:
    """The names that our servers have."""
    named = [settings.web_host, settings.site_host, host_of(settings.site_url), *settings.hosts.split(",")]
    return {"localhost", *(name.strip().lower() for name in named)} - {""}


def run_server(
    app: ASGIApp, settings: Settings, host: str, port: int, on_stop: Callable[[], None] = lambda: None
) -> None:
    """Until a signal ends it. What has not been answered a while after that is cut short."""
    _allow_files()
    with suppress(KeyboardInterrupt):
        _PromptServer(server_config(app, settings, host, port), on_stop).run()


def _allow_files() -> None:
    """As many as we need, where the system has given us fewer and lets us have more."""
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if most == resource.RLIM_INFINITY else min(FILES, most)
    if now != resource.RLIM_INFINITY and now < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def _connections(settings: Settings) -> Connections:
    """Fewer than the settings say where the process may not open so many files."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    room = files - BACKLOG - OTHER_FILES
    most = settings.connections
    if files != resource.RLIM_INFINITY and room < most:
        most = max(room, files // 4)
        logger.warning("only %d connections are accepted at once, since only %d files may be open", most, files)
    return Connections(most, min(most, settings.connections_per_client))


def server_config(app: ASGIApp, settings: Settings, host: str, port: int) -> uvicorn.Config:
    return uvicorn.Config(
        KnownHosts(app, hosts_of(settings)),
        host=host,
        port=port,
        http=_connections(settings).protocol,
        ws="none",
        backlog=BACKLOG,
        h11_max_incomplete_event_size=LARGEST_HEAD,
        log_config=None,
        access_log=False,  # a query may hold the secret
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
