"""Textract's engine against a server that holds its limits and really reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from inktally.engines.textract import Textract
from inktally.errors import AccessDenied, BadSettings, CostCapReached, EngineFailed, TooLarge, UnreadablePicture
from inktally.imaging.page import PageImage, PageText
from inktally.paid_pages import Ledger
from inktally.settings import read_settings
from tests.support.servers import ENVIRONMENT
from tests.support.textract_server import Refused, TextractServer, textract_server

Read = Callable[..., PageText]


@pytest.fixture
def server() -> Iterator[TextractServer]:
    with textract_server() as running:
        yield running


@pytest.fixture
def textract(server: TextractServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Textract]:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)

    def built(**changes: object) -> Textract:
        return Textract(
            read_settings(
                **{"cache": tmp_path, "textract_endpoint": server.endpoint, "textract_region": "us-east-1", **changes}
            )
        )

    return built


def read(engine: Textract, page: PageImage) -> PageText:
    return engine.read(page, engine.identify(["eng"]))


def page(width: int = 900, height: int = 200, text: str = "seven quiet fishes") -> PageImage:
    image = Image.new("L", (width, height), "white")
    ImageDraw.Draw(image).text((50, 60), text, fill="black", font=ImageFont.load_default(60))
    return PageImage(np.asarray(image))


def test_a_small_page_is_sent_once_without_loss(textract: Callable[..., Textract], server: TextractServer) -> None:
    assert read(textract(), page()).text.strip() == "seven quiet fishes"
    assert [(form, size) for form, size, _ in server.seen] == [("PNG", (900, 200))]


def test_a_page_too_heavy_as_png_is_sent_as_jpeg(textract: Callable[..., Textract], server: TextractServer) -> None:
    noise = np.random.default_rng(1).integers(200, 255, (2250, 2250, 3), dtype=np.uint8)
    noise[:200, :900] = page().pixels[:, :, None]
    assert read(textract(), PageImage(noise)).text.startswith("seven quiet fishes")
    [(form, size, weight)] = server.seen
    assert (form, size) == ("JPEG", (2250, 2250))
    assert weight <= 10_485_760


def test_a_page_with_too_long_a_side_is_sent_in_parts(
    textract: Callable[..., Textract], server: TextractServer
) -> None:
    words = [f"word{number}" for number in range(10, 70)]
    found = read(textract(), page(width=14_000, text=" ".join(words)))
    assert found.text.strip() == " ".join(words)
    assert [size[0] <= 10_000 for _, size, _ in server.seen] == [True, True]
    lefts = [word.box.left for word in found.words]
    assert lefts == sorted(lefts)
    assert {word.line for word in found.words} == {1}


def test_a_tall_page_keeps_its_lines_in_order(textract: Callable[..., Textract], server: TextractServer) -> None:
    image = Image.new("L", (600, 12_000), "white")
    lines = [f"line number {number}" for number in range(100, 130)]
    for number, line in enumerate(lines):
        ImageDraw.Draw(image).text((50, 40 + number * 390), line, fill="black", font=ImageFont.load_default(60))
    found = read(textract(), PageImage(np.asarray(image)))
    assert found.text.strip().split("\n") == lines
    assert len(server.seen) == 2


def test_throttling_is_waited_for(textract: Callable[..., Textract], server: TextractServer) -> None:
    server.refusals = [Refused("ThrottlingException")]
    assert read(textract(), page()).text.strip() == "seven quiet fishes"


def test_lasting_throttling_is_worth_another_try_later(
    textract: Callable[..., Textract], server: TextractServer
) -> None:
    server.refusals = [Refused("ProvisionedThroughputExceededException")] * 9
    with pytest.raises(EngineFailed) as raised:
        read(textract(), page())
    assert raised.value.retryable


@pytest.mark.parametrize(
    ("refusal", "error"),
    [
        ("AccessDeniedException", AccessDenied),
        ("BadDocumentException", UnreadablePicture),
        ("DocumentTooLargeException", TooLarge),
    ],
)
def test_refusals_are_told_as_what_they_are(
    textract: Callable[..., Textract], server: TextractServer, refusal: str, error: type[Exception]
) -> None:
    server.refusals = [Refused(refusal)]
    with pytest.raises(error):
        read(textract(), page())


def test_unknown_credentials_are_access_denied(
    textract: Callable[..., Textract], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    with pytest.raises(AccessDenied):
        read(textract(), page())


def test_no_credentials_are_access_denied(
    textract: Callable[..., Textract], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(AccessDenied, match="credentials"):
        read(textract(), page())


def test_no_region_is_a_bad_setting(textract: Callable[..., Textract], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(BadSettings, match="INKTALLY_TEXTRACT_REGION"):
        read(textract(textract_region="", textract_endpoint=""), page())


def test_a_server_that_is_down_is_worth_another_try(textract: Callable[..., Textract]) -> None:
    with pytest.raises(EngineFailed):
        read(textract(textract_endpoint="http://127.0.0.1:9"), page())


def test_a_page_too_many_is_not_sent(textract: Callable[..., Textract], server: TextractServer) -> None:
    engine = textract(paid_pages_per_day=2)
    read(engine, page())
    read(textract(paid_pages_per_day=2), page())
    with pytest.raises(CostCapReached, match=r"2 pages \(\$0.00\)"):
        read(engine, page())
    assert len(server.seen) == 2


def test_what_failed_costs_nothing(textract: Callable[..., Textract], server: TextractServer, tmp_path: Path) -> None:
    server.refusals = [Refused("AccessDeniedException")]
    with pytest.raises(AccessDenied):
        read(textract(), page())
    assert Ledger(tmp_path / "paid-pages", 1, 0.0015).spent == 0


def test_a_language_it_does_not_know_is_a_bad_setting(textract: Callable[..., Textract]) -> None:
    with pytest.raises(BadSettings, match="dan"):
        textract().identify(["eng", "dan"])
