"""No answer of the API or the page names a folder of the server, whatever fails."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from inktally import keys
from inktally.delivery import Outcome, Problem
from inktally.errors import UnreadablePicture
from inktally.imaging.decoding.document import blamed_on
from inktally.intake.status import delivery_of
from inktally.settings import Settings
from inktally.steps import markers
from inktally.stores.files import FilesStore
from tests.support.readers import answer, picture_of
from web.app import create_app

KEY = {"x-api-key": "a key that is long enough"}
EVERYTHING = "plain_text,coordinates_text,coordinates_json,word_counts,word_counts_csv,hocr,alto"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    folder = tmp_path / "a-folder-of-the-server"
    given = {"store": str(folder / "store"), "scratch": folder, "cache": folder, "mail_folder": str(folder / "mail")}
    return Settings(_env_file=None, api_keys=KEY["x-api-key"], api_wait_seconds=0, outputs=EVERYTHING, **given)


@pytest.fixture
def api(settings: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(settings), headers=KEY, raise_server_exceptions=False) as client:
        yield client


def sent(api: TestClient) -> str:
    headers = {"content-type": "image/png", "accept": "application/json"}
    return str(api.post("/api/ocr", content=picture_of("an owl"), headers=headers).json()["id"])


def answers(api: TestClient, upload_id: str) -> list[str]:
    paths = ["", "/counts", *(f"/outputs/{name}" for name in (*EVERYTHING.split(","), "pdf", "none"))]
    found = [api.get(f"/api/uploads/{upload_id}{path}") for path in paths]
    return [f"{each.status_code} {each.headers} {each.text}" for each in found]


def test_results_name_no_folder_nor_does_what_has_gone(api: TestClient, settings: Settings) -> None:
    store, upload_id = FilesStore(Path(settings.store)), sent(api)
    waiting = answers(api, upload_id)
    delivery = delivery_of(store, upload_id)
    answer(store, delivery, settings)
    found = answers(api, upload_id)
    assert found[1].startswith("200")
    shutil.rmtree(Path(settings.store) / "output")
    gone = answers(api, upload_id)
    assert gone[1].startswith("404")
    (Path(settings.store) / "output").write_text("a file in the folder's place")
    broken = answers(api, upload_id)
    shutil.rmtree(Path(settings.store))
    lost = answers(api, upload_id)
    for text in (*waiting, *found, *gone, *broken, *lost, *answers(api, "x" * 22)):
        assert "a-folder-of-the-server" not in text


def test_a_failure_names_no_folder(api: TestClient, settings: Settings) -> None:
    store, upload_id = FilesStore(Path(settings.store)), sent(api)
    delivery = delivery_of(store, upload_id)
    try:
        with blamed_on(1):
            raise OSError(2, "cannot read", f"{settings.scratch}/picture")
    except UnreadablePicture as error:
        problem = Problem.of(error)
    markers.mark_answered(store, delivery, Outcome(upload=store.address(delivery.picture.key), error=problem))
    assert not [text for text in answers(api, upload_id) if "a-folder-of-the-server" in text]
    assert keys.web_upload_of(delivery.picture.key) == upload_id
