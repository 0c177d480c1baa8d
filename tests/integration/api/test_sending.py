"""The REST API, asked over real HTTP, with a real folder store."""

from __future__ import annotations

import csv
import io
import threading
import time
from multiprocessing.pool import ThreadPool
from pathlib import Path

import httpx
import pytest

from inktally import keys
from tests.support.apis import KEY, NO_WAIT, PICTURE, PNG, RunningApi, api_settings, counted, is_problem, running_api
from tests.support.readers import BROKEN, picture_of


class TestSending:
    @pytest.mark.parametrize("media_type", ["image/png", "image/webp", "application/octet-stream", "IMAGE/PNG; q=1"])
    def test_a_small_picture_is_answered_with_its_counts_whatever_it_is_called(
        self, api: RunningApi, media_type: str
    ) -> None:
        answer = api.http.post("/ocr", content=PICTURE, headers={"Content-Type": media_type})
        assert counted(answer) == {"the": 2, "and": 1, "owl": 1, "pussycat": 1}
        assert (answer.json()["state"], answer.json()["words"]) == ("answered", 5)
        assert answer.headers["cache-control"] == "no-store"

    def test_a_picture_in_a_form_keeps_its_name_and_its_wishes(self, api: RunningApi) -> None:
        file = {"file": ('a "b" ö 字\n.png', PICTURE)}
        answer = api.http.post("/ocr", files=file, data={"min_confidence": "95", "body_only": "true"})
        told = answer.json()["counts"]
        assert (told["min_confidence"], told["body_only"]) == (95.0, True)
        assert answer.json()["name"] == 'a "b" ö 字_.png'

    def test_a_large_picture_in_a_form_comes_through(self, tmp_path: Path) -> None:
        with running_api(api_settings(tmp_path), reads=False) as running:
            answer = running.http.post("/ocr", files={"file": ("a.png", PICTURE + b" " * 6_000_000)})
            assert (answer.status_code, answer.json()["size"]) == (202, len(PICTURE) + 6_000_000)

    def test_language_and_name_travel_with_the_picture(self, unread: RunningApi) -> None:
        asked = {"language": "eng + deu", "name": "../seite 1.png"}
        answer = unread.http.post("/ocr", content=PICTURE, headers=PNG, params=asked)
        told = answer.json()
        found = unread.store.stat(keys.from_web(told["id"], "seite 1.png"))
        assert (told["name"], found.metadata["language"]) == ("seite 1.png", "eng+deu")

    def test_what_is_not_answered_in_time_has_a_status(self, unread: RunningApi) -> None:
        answer = unread.http.post("/ocr", content=PICTURE, headers=PNG)
        assert (answer.status_code, answer.json()["state"]) == (202, "received")
        assert answer.headers["location"] == f"/api/uploads/{answer.json()['id']}"
        assert answer.headers["retry-after"] == "1"
        status = unread.http.get(httpx.URL(unread.url).join(answer.headers["location"]))
        assert (status.status_code, status.json()["links"]["counts"]) == (200, None)

    def test_who_prefers_not_to_wait_does_not(self, tmp_path: Path) -> None:
        with running_api(api_settings(tmp_path), reads=False) as running:
            begun = time.monotonic()
            assert running.http.post("/ocr", content=PICTURE, headers=PNG | NO_WAIT).status_code == 202
            assert running.http.post("/ocr", content=PICTURE, headers=PNG | {"Prefer": "wait=0"}).status_code == 202
            assert time.monotonic() - begun < 5

    def test_the_status_can_be_waited_for(self, api: RunningApi) -> None:
        sent = api.http.post("/ocr", content=PICTURE, headers=PNG | NO_WAIT).json()
        told = api.http.get(f"/uploads/{sent['id']}", headers={"Prefer": "wait=10"}).json()
        assert (told["state"], told["is_final"], told["counts"]) == ("answered", True, None)

    def test_a_picture_that_cannot_be_read_is_a_problem_that_says_what_to_do(self, api: RunningApi) -> None:
        answer = api.http.post("/ocr", content=BROKEN, headers=PNG)
        assert is_problem(answer, 422, "NotAPicture")
        told = answer.json()
        assert "upload a picture" in told["advice"]
        assert told["type"] == "urn:inktally:problem:not-a-picture"
        status = api.http.get(f"/uploads/{told['upload']}").json()
        assert (status["state"], status["problem"]["kind"], status["picture"]) == ("failed", "NotAPicture", "set aside")

    def test_the_same_key_of_idempotency_is_the_same_upload(self, api: RunningApi) -> None:
        header = {"Idempotency-Key": "order 17"}
        first, again = (api.http.post("/ocr", content=PICTURE, headers=PNG | header).json() for _ in range(2))
        other = api.http.post("/ocr", content=PICTURE, headers=PNG | {"Idempotency-Key": "order 18"}).json()
        assert first["id"] == again["id"] != other["id"]
        assert len(list(api.store.list(keys.from_web(first["id"])))) == 1

    def test_two_requests_at_once_with_the_same_key_of_idempotency_are_one_upload(self, unread: RunningApi) -> None:
        answers: list[httpx.Response] = []

        def send() -> None:
            headers = {**PNG, "Authorization": f"Bearer {KEY}", "Idempotency-Key": "at once"}
            answers.append(httpx.post(f"{unread.url}/ocr", content=PICTURE, headers=headers))

        threads = [threading.Thread(target=send) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [answer.status_code for answer in answers] == [202] * 5
        assert len({answer.json()["id"] for answer in answers}) == 1

    def test_a_key_of_idempotency_is_one_upload_also_under_two_names_at_once(self, unread: RunningApi) -> None:
        headers = {**PNG, **NO_WAIT, "Authorization": f"Bearer {KEY}", "Idempotency-Key": "two names"}
        names = [f"{name}.png" for name in "abcd"]
        with ThreadPool(4) as pool:
            told = pool.map(
                lambda name: httpx.post(f"{unread.url}/ocr?name={name}", content=PICTURE, headers=headers).json(), names
            )
        assert len({each["id"] for each in told}) == 1
        assert len(list(unread.store.list(keys.from_web(told[0]["id"])))) == 1

    def test_another_picture_under_a_used_key_of_idempotency_is_told(self, tmp_path: Path) -> None:
        with running_api(api_settings(tmp_path, after="delete")) as running:
            headers = PNG | {"Idempotency-Key": "1"}
            first = running.http.post("/ocr", content=PICTURE, headers=headers)
            other = running.http.post("/ocr", content=picture_of("something else"), headers=headers)
            assert is_problem(other, 422, "KeyUsed")
            by_link = {"Idempotency-Key": "1"}
            link = running.http.post("/ocr", json={"url": "https://a.example/"}, headers=by_link)
            assert is_problem(link, 422, "KeyUsed"), "the link is not even followed"
            assert running.http.post("/ocr", content=PICTURE, headers=headers).json()["id"] == first.json()["id"]


class TestResults:
    def test_every_output_is_there_by_its_name(self, api: RunningApi) -> None:
        outputs = "plain_text,coordinates_json,hocr,alto,coordinates_text,word_counts_csv"
        told = api.http.post("/ocr", content=PICTURE, headers=PNG, params={"outputs": outputs}).json()
        links = told["links"]["outputs"]
        assert set(links) == {*outputs.split(","), "word_counts"}
        texts = {name: api.http.get(httpx.URL(api.url).join(link)) for name, link in links.items()}
        assert texts["plain_text"].text == "The owl and the pussycat"
        assert texts["coordinates_json"].json()["words"][1]["text"] == "owl"
        assert texts["hocr"].headers["content-type"] == "text/vnd.hocr+html; charset=utf-8"
        for answer in texts.values():
            assert answer.headers["content-disposition"].startswith("attachment")
            assert "sandbox" in answer.headers["content-security-policy"]

    def test_counts_come_as_json_and_as_a_table_without_formulas(self, api: RunningApi) -> None:
        told = api.http.post("/ocr", content=picture_of("=cmd() owl owl"), headers=PNG).json()
        where = httpx.URL(api.url).join(told["links"]["counts"])
        assert api.http.get(where).json() == told["counts"]
        table = api.http.get(where, params={"format": "csv"})
        rows = list(csv.reader(io.StringIO(table.content.decode("utf-8-sig"))))
        assert rows[:3] == [["word", "count", "confidence"], ["owl", "2", "90.0"], ["'=cmd()", "1", "90.0"]]
        assert table.headers["content-type"] == "text/csv; charset=utf-8"

    def test_results_that_are_not_there_yet_are_a_conflict(self, unread: RunningApi) -> None:
        told = unread.http.post("/ocr", content=PICTURE, headers=PNG | NO_WAIT).json()
        for what in ("counts", "outputs/plain_text"):
            answer = unread.http.get(f"/uploads/{told['id']}/{what}")
            assert is_problem(answer, 409, "NotYet")
            assert answer.headers["retry-after"] == "1"

    @pytest.mark.parametrize("what", ["", "/counts", "/outputs/plain_text"])
    @pytest.mark.parametrize("upload", ["A" * 22, "x", "..%2F..%2Fetc%2Fpasswd", "%00", "a" * 500])
    def test_an_id_that_nobody_has_is_not_found(self, api: RunningApi, upload: str, what: str) -> None:
        assert is_problem(api.http.get(f"/uploads/{upload}{what}"), 404)

    def test_an_output_that_was_not_asked_for_or_is_none_is_not_found(self, api: RunningApi) -> None:
        told = api.http.post("/ocr", content=PICTURE, headers=PNG).json()
        for name in ("pdf", "gold", "..%2Fplain_text"):
            assert is_problem(api.http.get(f"/uploads/{told['id']}/outputs/{name}"), 404)

    def test_results_outlive_the_picture(self, tmp_path: Path) -> None:
        with running_api(api_settings(tmp_path, after="delete")) as running:
            answer = running.http.post("/ocr", content=PICTURE, headers=PNG | {"Idempotency-Key": "1"})
            assert counted(answer)["the"] == 2
            told = running.http.get(f"/uploads/{answer.json()['id']}").json()
            assert (told["picture"], told["state"]) == ("deleted", "answered")
            again = running.http.post("/ocr", content=PICTURE, headers=PNG | {"Idempotency-Key": "1"})
            assert (again.json()["id"], counted(again)["the"]) == (told["id"], 2)
            assert not list(running.store.list("input/"))


def test_the_document_is_openapi_3_1_and_names_its_own_place(api: RunningApi) -> None:
    document = api.http.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    assert document["servers"] == [{"url": "/api"}]
    assert document["security"] == [{"bearer": []}, {"header": []}]
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    assert all("405" in operation["responses"] for operation in operations)
