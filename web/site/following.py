"""What becomes of uploads: as a page, and live as server-sent events, which bring the parts of it that have changed."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from hashlib import sha256
from typing import Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from pydantic import Field
from starlette.exceptions import HTTPException

from inktally.document import Value
from inktally.errors import InktallyError, NotFound
from inktally.intake.status import Status, status_of
from inktally.text import shown
from web.site import grants
from web.site.pages import Site, TheSite, TheVisitor, page, rendered, told
from web.site.translations import translations
from web.site.visitors import Visitor
from web.site.wording import STATES

LOOK_SECONDS, SELDOM_SECONDS = 0.7, 10.0
HEARTBEAT_SECONDS, LONGEST_SECONDS = 15.0, 30 * 60.0
STREAMS_AT_ONCE, STREAMS_OF_ONE = 500, 40

router = APIRouter(include_in_schema=False)


class Card(Value):
    """How one upload fares. `status` is None while nothing has come."""

    number: int
    link: str
    status: Status | None
    trouble: dict[str, str] = Field(default={})

    @property
    def digest(self) -> str:
        """Changes with what is shown, but not with every second that passes."""
        state = f"{self.status.state} {sorted(self.status.seconds)}" if self.status else ""
        return sha256(state.encode()).hexdigest()[:6]

    @property
    def is_final(self) -> bool:
        return self.status is not None and self.status.is_final


@router.get("/uploads/{token}")
def state_page(request: Request, token: str, site: TheSite, visitor: TheVisitor) -> Response:
    cards = _cards(site, token, visitor)
    done = all(card.is_final for card in cards)
    return page(request, "state.html", cards=cards, token=token, done=done, **_notice(site, visitor))


async def _place(request: Request, token: str, site: TheSite, visitor: TheVisitor) -> AsyncIterator[None]:
    """A place among those who look on, from before the answer begins until after it has ended."""
    grants.opened(site, token)
    state = request.app.state
    if state.streams.total() >= STREAMS_AT_ONCE or state.streams[visitor.client] >= STREAMS_OF_ONE:
        raise HTTPException(503, headers={"Retry-After": "10"})
    state.streams[visitor.client] += 1
    try:
        yield
    finally:
        state.streams[visitor.client] -= 1
        state.streams += Counter()  # forgets whoever has none left


@router.get("/uploads/{token}/events", dependencies=[Depends(_place, scope="request")])
async def events(request: Request, token: str, site: TheSite, visitor: TheVisitor) -> Response:
    seen = request.headers.get("last-event-id", "") or request.query_params.get("seen", "")
    stream = _Stream(request, site, visitor, token, seen.split("."))
    return StreamingResponse(stream.run(), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


class _Stream:
    """One browser that looks on. The id of its last event says what it has seen, so that it may come back."""

    def __init__(self, request: Request, site: Site, visitor: Visitor, token: str, seen: list[str]) -> None:
        self._state = request.app.state
        self._site = site
        self._visitor = visitor
        self._token = token
        self._seen = seen

    async def run(self) -> AsyncIterator[str]:
        yield "retry: 2000\n\n"
        async for event in self._events():
            yield event

    async def _events(self) -> AsyncIterator[str]:
        begun = told = changed = time.monotonic()
        while not self._state.stopping.is_set() and time.monotonic() - begun < LONGEST_SECONDS:
            try:
                news, done = await run_in_threadpool(self._news)
            except InktallyError:  # the store is away
                news, done = "", False
            if news:
                changed = time.monotonic()
            if news or time.monotonic() - told > HEARTBEAT_SECONDS:
                told = time.monotonic()
                yield news or ": still here\n\n"
            if done:
                yield "event: end\ndata: done\n\n"
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(self._state.stopping.wait(), pause(time.monotonic() - changed))

    def _news(self) -> tuple[str, bool]:
        """What is new, and whether nothing more will be."""
        cards, visitor = _cards(self._site, self._token, self._visitor), self._visitor
        notice = _notice(self._site, visitor)
        digests = [*(card.digest for card in cards), str(int(notice["waits"]))]
        old = self._seen if len(self._seen) == len(digests) else [""] * len(digests)
        changed = [card for card, before in zip(cards, old, strict=False) if card.digest != before]
        parts = {
            f"upload-{card.number}": rendered("card.html", visitor, card=card, token=self._token) for card in changed
        }
        if digests[-1] != old[-1]:
            parts["notice"] = rendered("notice.html", visitor, **notice)
        done = all(card.is_final for card in cards) and not notice["waits"]
        if digests == self._seen:
            return "", done
        self._seen = digests
        said = [_said(card, visitor) for card in changed]
        data = json.dumps({"parts": parts, "say": " ".join(said), "done": done})
        return f"id: {'.'.join(digests)}\ndata: {data}\n\n", done


def pause(quiet: float) -> float:
    """Seconds until the next look, when nothing has changed for so many: what may never come is looked for seldom."""
    return min(max(LOOK_SECONDS, quiet / 20), SELDOM_SECONDS)


def _said(card: Card, visitor: Visitor) -> str:
    """For those who listen."""
    say = translations(visitor.language).gettext
    if card.status is None:
        return ""
    return f"{shown(card.status.name)}: {say(STATES[card.status.state])}."


def _cards(site: Site, token: str, visitor: Visitor) -> list[Card]:
    ids = grants.opened(site, token)
    return [_card(site, token, number, upload, visitor) for number, upload in enumerate(ids, 1)]


def _card(site: Site, token: str, number: int, upload: str, visitor: Visitor) -> Card:
    link = f"/uploads/{token}/{number}"
    try:
        found = status_of(site.store, upload, site.settings)
    except NotFound:
        return Card(number=number, link=link, status=None)
    if found.problem is None:
        return Card(number=number, link=link, status=found)
    trouble = told(found.problem.kind, found.problem.message, visitor.language)
    if found.advice:
        trouble["advice"] = translations(visitor.language).gettext(found.advice)
    return Card(number=number, link=link, status=found, trouble=trouble)


def _notice(site: Site, visitor: Visitor) -> dict[str, Any]:
    """Whether mails wait for the visitor to confirm the address, and who has written to it."""
    ask = visitor.ask
    waits = ask is not None and not site.mailing.optin.is_confirmed(ask)
    verifying = waits and ask is not None and site.mailing.optin.is_verifying(ask)
    return {"address": ask.address if ask else "", "waits": waits, "verifying": verifying}
