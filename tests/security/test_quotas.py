"""Nobody uses up what others may ask for, and nobody learns from an answer what others have sent."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx import Response

from inktally import keys
from inktally.delivery import Outcome
from inktally.errors import QuotaUsedUp
from inktally.intake import status
from inktally.mail import quotas
from inktally.mail.optin import OptIn
from inktally.mail.quotas import Client, Quotas
from inktally.settings import Settings
from inktally.steps import markers
from inktally.stores.files import FilesStore
from tests.support.mailbox import parsed
from tests.support.memory_store import MemoryStore
from tests.support.waiting import eventually, wait_until
from web.app import create_app
from web.site.grants import opened

LIMIT = 2
PNG = b"\x89PNG\r\n\x1a\n and more"


class Later(datetime):
    """The clock of quotas, some days later."""

    days = 0

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        return datetime.now(tz) + timedelta(days=cls.days)


def settings_in(folder: Path, **others: Any) -> Settings:
    given = {"store": str(folder / "store"), "scratch": folder, "cache": folder, "mail_folder": str(folder / "mail")}
    given |= {"site_secret": "s" * 40, "site_behind_proxy": True, "site_uploads_per_client": LIMIT}
    return Settings(_env_file=None, **(given | others))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_in(tmp_path)


@pytest.fixture
def site(settings: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(settings)) as client:
        yield client


def ask(site: TestClient, address: str, **others: object) -> Response:
    """Leave to send one picture, as a browser with this network address gets it."""
    headers = {"x-forwarded-for": address}
    found = re.search(r'name="form" value="([^"]+)"', site.get("/", headers=headers).text)
    assert found is not None
    return site.post("/uploads/grants", json={"form": found[1], "names": ["a.png"], **others}, headers=headers)


def taken(site: TestClient, addresses: Iterator[str] | list[str]) -> int:
    return sum(ask(site, address).status_code == 200 for address in addresses)


@pytest.mark.parametrize(
    ("addresses", "most"),
    [
        ([f"2001:db8:0:0::{number:x}" for number in range(1, 4 * LIMIT)], LIMIT),
        ([f"2001:db8:0:{number:x}::1" for number in range(1, 8 * LIMIT)], 4 * LIMIT),
        ([f"2001:db8:0:{number:x}00::1" for number in range(1, 24 * LIMIT)], 16 * LIMIT),
        ([f"203.0.113.{number}" for number in range(1, 8 * LIMIT)], 8 * LIMIT - 1),
    ],
    ids=["one /64", "one /56", "one /48", "IPv4 hosts"],
)
def test_the_networks_of_one_customer_count_together(site: TestClient, addresses: list[str], most: int) -> None:
    assert taken(site, addresses) == most
    assert taken(site, ["2001:db8:1::1", "198.51.100.1"]) == 2, "others have lost nothing"


def test_who_has_used_up_the_own_quota_takes_nothing_from_the_neighbours() -> None:
    store = MemoryStore()
    eve, anna = Client("eve", {"street": 4}), Client("anna", {"street": 4})
    for number in range(20):
        try:
            Quotas(store).take_as("uploads", eve, LIMIT)
        except QuotaUsedUp:
            assert number >= LIMIT
    for _ in range(LIMIT):
        Quotas(store).take_as("uploads", anna, LIMIT)


def test_a_picture_is_taken_when_the_days_mails_are_spent_and_its_mail_is_sent_the_next_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_in(tmp_path, site_mails_per_day=1)
    with TestClient(create_app(settings)) as site:
        answers = [ask(site, f"203.0.113.{number}", email=f"person{number}@example.org") for number in (1, 2, 3)]
        assert [answer.status_code for answer in answers] == [200, 200, 200]
        for answer in answers:
            assert site.put(answer.json()["files"][0]["url"], content=PNG).status_code == 201
        assert recipients(settings) == ["person1@example.org"]
    assert len(list(FilesStore(Path(settings.store)).list(keys.UNSENT))) == 2, "a restart forgets nothing"
    for days in (1, 2):
        monkeypatch.setattr(quotas, "datetime", type("Later", (Later,), {"days": days}))
        with TestClient(create_app(settings)):  # the page's own loop looks when it starts, and every few minutes
            wait_until(lambda: len(recipients(settings)) > days)  # noqa: B023 - used at once
    assert recipients(settings) == [f"person{number}@example.org" for number in (1, 2, 3)]
    assert not list(FilesStore(Path(settings.store)).list(keys.UNSENT))


def recipients(settings: Settings) -> list[str]:
    return sorted(parsed(path.read_bytes())["To"] for path in Path(settings.mail_folder).glob("*.eml"))


def test_a_mail_service_that_is_away_spends_no_budget(site: TestClient, settings: Settings) -> None:
    Path(settings.mail_folder).write_text("in the folder's place")
    for number in range(3):
        assert ask(site, f"203.0.113.{number}", email=f"person{number}@example.org").status_code == 200
    people: OptIn = site.app.state.site.mailing.optin  # type: ignore[attr-defined]
    people.mail_waiting()
    eventually(lambda: not Quotas(people.store).has_taken("mails", "all"), 20)  # a try under way has taken from it


def finished(settings: Settings, upload_id: str, *, cached: bool) -> None:
    store = FilesStore(Path(settings.store))
    delivery = status.delivery_of(store, upload_id)
    status.take_up(store, delivery, settings)
    seconds = {"look": 0.1, "publish": 0.2} | ({} if cached else {"recognise": 2.5, "count": 0.5})
    markers.mark_answered(store, delivery, Outcome(upload="a.png", cached=cached, words=3, seconds=seconds))


def test_the_page_and_the_api_answer_the_same_whether_or_not_the_bytes_were_known(tmp_path: Path) -> None:
    key = {"x-api-key": "a key that is long enough"}
    settings = settings_in(tmp_path, site_behind_proxy=False, api_keys=key["x-api-key"], api_wait_seconds=0)
    reports, pages = [], []
    with TestClient(create_app(settings)) as site:
        for cached in (False, True):
            upload_id = site.post("/api/ocr", content=PNG, headers={**key, "content-type": "image/png"}).json()["id"]
            finished(settings, upload_id, cached=cached)
            reports.append(site.get(f"/api/uploads/{upload_id}", headers=key).json())
            leave = ask(site, "").json()
            site.put(leave["files"][0]["url"], content=PNG)
            finished(settings, *opened(site.app.state.site, leave["page"].rpartition("/")[2]), cached=cached)  # type: ignore[attr-defined]
            pages.append(site.get(leave["page"]).text)
    new, known = reports
    assert new.keys() == known.keys()
    assert new["seconds"].keys() == known["seconds"].keys() == {"waiting", "look", "publish", "total"}
    assert "known" not in str(known).lower()
    assert [re.sub(r"[\d.]+ s\b|[\w.-]{60,}", "", page) for page in pages[:1]] == [
        re.sub(r"[\d.]+ s\b|[\w.-]{60,}", "", page) for page in pages[1:]
    ]
