"""The one door to Prefect: uploads become an event, and an automation makes a run of it (prefect.yaml, `triggers`).

Events go to the API by POST, not by `emit_event`: that one hands them to a background thread and tells nobody whether
they arrived. An accepted event is in the memory of Prefect's server, not on a disk; the sweep covers the rest.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import NAMESPACE_URL, uuid5

import httpx
from prefect.client.orchestration import PrefectClient, get_client
from prefect.events import Event
from prefect.events.schemas.events import Resource
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from inktally.document import sha256_of
from inktally.errors import BadEvent, BadSettings, RunsDown
from inktally.intake.events import Arrival

EVENT = "s3.object.created"
IDS = uuid5(NAMESPACE_URL, f"inktally:{EVENT}")
OWN_STORE = "inktally.store"  # the resource of an event whose uploads name no store: the worker's own
NEVER_WORKS = frozenset({400, 409, 413, 422})


class PrefectRuns:
    """Announces uploads to Prefect's events API."""

    def __init__(self, client: PrefectClient) -> None:
        self._client = client

    async def announce(self, arrivals: Sequence[Arrival]) -> None:
        event = event_of(arrivals)
        try:
            await self._client.request("POST", "/events", json=[event.model_dump(mode="json")])
        except httpx.HTTPStatusError as error:
            if error.response.status_code in NEVER_WORKS:
                raise BadEvent(f"Prefect refuses the event: {error.response.text[:500]}") from error
            raise RunsDown(f"Prefect answers {error.response.status_code}.") from error
        except (httpx.HTTPError, OSError) as error:
            raise RunsDown(f"Prefect cannot be reached: {type(error).__name__} {error}") from error

    async def is_reachable(self) -> bool:
        return await self._client.api_healthcheck() is None


def event_of(arrivals: Sequence[Arrival]) -> Event:
    """One event for uploads of one store; the same uploads always give the same id."""
    store = arrivals[0].upload.store or OWN_STORE
    return Event(
        event=EVENT,
        resource=Resource({"prefect.resource.id": store, "prefect.resource.name": store.removeprefix("s3://")}),
        payload={"uploads": [each.upload.model_dump(exclude_defaults=True) for each in arrivals]},
        id=uuid5(IDS, sha256_of(*sorted(each.id for each in arrivals))),
    )


def check_api() -> None:
    """Raises `BadSettings` where no Prefect API is configured: a temporary one would run nothing."""
    if not PREFECT_API_URL.value():
        raise BadSettings("PREFECT_API_URL is not set; it names the Prefect server that runs `ocr-flow/on-upload`.")


@asynccontextmanager
async def prefect_runs() -> AsyncIterator[PrefectRuns]:
    """Within the block there is a client of the API, which need not be up yet. Raises `BadSettings`."""
    check_api()
    with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):  # whoever announces has retries of its own
        async with get_client(httpx_settings={"timeout": httpx.Timeout(10.0)}) as client:
            yield PrefectRuns(client)
