"""Amazon Textract (DetectDocumentText): a paid engine, asked with our credentials in the parent.

It finds the language by itself, among six. A page beyond its limits is sent as several, each of which costs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, cast

from inktally import aws
from inktally.document import Box, Engine, Word
from inktally.errors import AccessDenied, BadSettings, EngineDown, InktallyError, TooLarge, UnreadablePicture
from inktally.imaging.page import PageImage, PageText
from inktally.imaging.tiling import Line, Tile, joined, tiles
from inktally.languages import AUTO
from inktally.paid_pages import Ledger
from inktally.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_textract import TextractClient
    from mypy_boto3_textract.type_defs import BlockTypeDef

LANGUAGES = {
    "eng": "English",
    "deu": "German",
    "fra": "French",
    "ita": "Italian",
    "por": "Portuguese",
    "spa": "Spanish",
}
API = "2018-06-27"
LONGEST_SIDE = 10_000  # pixels
MOST_BYTES = 10_485_760
OVERLAP = 1_000  # pixels: twice the widest word at 300 dpi
SECONDS, ATTEMPTS = 60.0, 3  # boto3 waits between them, as long as Textract asks it to

DENIED = {
    "AccessDeniedException",
    "ExpiredTokenException",
    "IncompleteSignature",
    "InvalidSignatureException",
    "MissingAuthenticationTokenException",
    "OptInRequired",
    "SubscriptionRequiredException",
    "UnrecognizedClientException",
}
PICTURES_FAULT: Mapping[str, type[InktallyError]] = {
    "BadDocumentException": UnreadablePicture,
    "DocumentTooLargeException": TooLarge,
    "UnsupportedDocumentException": UnreadablePicture,
}


class Textract:
    """Textract in the region, or at the endpoint, that the settings name."""

    remote = True

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._ledger = Ledger(settings.cache / "paid-pages", settings.paid_pages_per_day, settings.textract_price)

    def identify(self, languages: Sequence[str]) -> Engine:
        for language in languages:
            if language not in (*LANGUAGES, AUTO):
                known = ", ".join(f"{code} ({name})" for code, name in LANGUAGES.items())
                raise BadSettings(f"Textract does not read {language!r}, but {known}; choose another engine.")
        return Engine(name="textract", version=API, languages=tuple(languages))

    def load(self, engine: Engine) -> None:
        """Nothing: Textract has its models."""

    def read(self, page: PageImage, engine: Engine) -> PageText:  # noqa: ARG002 - Textract is not told the languages
        """Raises also `CostCapReached`, before a page is sent that would be one too many, and `AccessDenied`."""
        parts = tiles(page.pixels, longest=LONGEST_SIDE, most_bytes=MOST_BYTES, overlap=OVERLAP)
        lines = joined((part, _lines(self._blocks(part), part.box)) for part in parts)
        return PageText.of(
            word.model_copy(update={"line": line, "word": number})
            for line, words in enumerate(lines, 1)
            for number, word in enumerate(words, 1)
        )

    def _blocks(self, part: Tile) -> list[BlockTypeDef]:
        with aws.errors("Textract", "ask Textract", _refused, EngineDown), self._ledger.spend():
            return self._client.detect_document_text(Document={"Bytes": part.content})["Blocks"]

    @cached_property
    def _client(self) -> TextractClient:
        region, endpoint = self._settings.textract_region, self._settings.textract_endpoint
        return cast("TextractClient", aws.client("textract", region, endpoint, seconds=SECONDS, attempts=ATTEMPTS))


def _refused(code: str, said: str) -> InktallyError:
    if code in DENIED:
        return AccessDenied(f"Textract does not accept us: {said or code}")
    if code in PICTURES_FAULT:
        return PICTURES_FAULT[code](f"Textract cannot read this page: {said or code}")
    return EngineDown(f"Textract did not read the page now: {code} {said}".rstrip())


def _lines(blocks: Sequence[BlockTypeDef], part: Box) -> list[Line]:
    """Textract's lines as words, in its order, with boxes in pixels of the part."""
    by_id = {block["Id"]: block for block in blocks}
    lines = [
        [_word(by_id[child], part) for relation in block.get("Relationships", []) for child in relation["Ids"]]
        for block in blocks
        if block["BlockType"] == "LINE"
    ]
    return [line for line in lines if line]


def _word(block: BlockTypeDef, part: Box) -> Word:
    found = block["Geometry"]["BoundingBox"]
    left = min(_pixel(found["Left"], part.width), part.width - 1)
    top = min(_pixel(found["Top"], part.height), part.height - 1)
    right = max(left + 1, _pixel(found["Left"] + found["Width"], part.width))
    bottom = max(top + 1, _pixel(found["Top"] + found["Height"], part.height))
    confidence = round(min(100.0, max(0.0, block["Confidence"])), 2)
    box = Box(left=left, top=top, width=right - left, height=bottom - top)
    return Word(text=block["Text"], confidence=confidence, page=1, block=1, paragraph=1, line=1, word=1, box=box)


def _pixel(share: float, length: int) -> int:
    """Textract gives shares of the picture's side, which may lie a little outside of it."""
    return round(min(1.0, max(0.0, share)) * length)


build = Textract
