"""The values that Inktally passes around. All are frozen; all survive a round trip through JSON."""

import hashlib
from collections.abc import Callable
from typing import Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter

from inktally.errors import InktallyError


class Value(BaseModel):
    """A frozen value that refuses unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Box(Value):
    """A rectangle in pixels of the original picture; the origin is the top left corner."""

    left: int
    top: int
    width: int
    height: int


class Word(Value):
    """One recognised word; `confidence` runs from 0 to 100. All numbers of the layout start at 1.

    `section` is the number of the page's section it stands in; 0: the page was not split.
    """

    text: str
    confidence: float
    page: int
    block: int
    paragraph: int
    line: int
    word: int
    box: Box
    section: int = 0

    @property
    def line_id(self) -> tuple[int, int, int, int]:
        return self.page, self.block, self.paragraph, self.line


CERTAIN = 100.0
"""The confidence of a word that a file says itself; no engine is as sure of a word beside those."""

NOT_DECODED = "not decoded"  # the reason of a page without words that could not be opened

SectionKind = Literal["body", "header", "footer", "page-number"]


class Section(Value):
    """A part of a page that is read as one: a column, an article, a header. `number` starts at 1, in reading order."""

    number: int
    kind: SectionKind
    box: Box


class Step(Value):
    """Something that was done to a page before it was read, with what was measured for it."""

    name: str
    parameters: dict[str, float | int | str] = {}


class Page(Value):
    """One page of a picture, its size in pixels, and how it was read."""

    number: int
    width: int
    height: int
    dpi: int = Field(default=0, description="as stated or estimated; 0: unknown")
    source: Literal["picture", "text layer"] = "picture"
    languages: tuple[str, ...] = Field(default=(), description="that it was read in")
    engine: str = Field(default="", description="whose words were kept")
    reason: str = Field(default="", description="why that engine's")
    quality: float | None = Field(default=None, description="estimated share of words read rightly, 0 to 1")
    steps: tuple[Step, ...] = ()
    sections: tuple[Section, ...] = ()


TextLayer = Literal["check", "trust", "ignore"]
"""How far the text that a PDF brings is believed: as far as its pages show it; as it is; not at all."""
TEXT_LAYER = "text layer"  # its name among the options of an engine
_text_layer: TypeAdapter[TextLayer] = TypeAdapter(TextLayer)


class Engine(Value):
    """Which engine, with which models and options, read a picture; its fingerprint names it in every cache."""

    name: str
    version: str
    languages: tuple[str, ...]
    models: dict[str, str] = Field(default={}, description="model name -> SHA-256 of its file")
    options: dict[str, str] = {}

    @property
    def fingerprint(self) -> str:
        """Sixteen hex digits over all the fields above."""
        return sha256_of(self.model_dump_json())[:16]

    @property
    def text_layer(self) -> TextLayer:
        """What it makes of the text that a PDF brings."""
        return _text_layer.validate_python(self.options.get(TEXT_LAYER, "check"))

    def with_text_layer(self, how: TextLayer) -> Self:
        return self.model_copy(update={"options": {**self.options, TEXT_LAYER: how}})


WarningCode = Literal["damaged", "not-decoded", "doubtful", "text-layer", "hidden-words", "signature"]


class PageWarning(Value):
    """What whoever uses a result must know of one of its pages: what was damaged, left out, or not believed."""

    code: WarningCode
    page: int = Field(description="its number, from 1")
    message: str = Field(description="a sentence for people, in English")


class Recognition(Value):
    """All that an engine read on a picture."""

    engine: Engine
    pages: tuple[Page, ...]
    words: tuple[Word, ...]
    text: str
    warnings: tuple[PageWarning, ...] = ()

    @property
    def languages(self) -> tuple[str, ...]:
        """That its pages were read in; where they do not say, those that were asked for."""
        found = dict.fromkeys(language for page in self.pages for language in page.languages)
        return tuple(found) or self.engine.languages


class Token(Value):
    """A word as it will be counted, before lower-casing; `words` are indices into the recognition's words."""

    text: str
    confidence: float
    words: tuple[int, ...]


class CountedWord(Value):
    """A lower-cased word, how often it stands in the picture, and the mean confidence (0 to 100) of those."""

    word: str
    count: int
    confidence: float

    @classmethod
    def summed(cls, word: str, count: int, hundredths: int) -> Self:
        """Of a word whose confidences, in hundredths of a percent, add up to this."""
        return cls(word=word, count=count, confidence=round(hundredths / count / 100, 2))


class WordCounts(Value):
    """The counts of one picture, by falling count, then by word in the order of code points."""

    words: tuple[CountedWord, ...]

    @property
    def total(self) -> int:
        return sum(entry.count for entry in self.words)

    @property
    def distinct(self) -> int:
        return len(self.words)

    @property
    def mean_confidence(self) -> float | None:
        """Over all counted words, 0 to 100; None when there is no word."""
        total = self.total
        if not total:
            return None
        return round(sum(entry.confidence * entry.count for entry in self.words) / total, 2)


class CountsDocument(Value):
    """The counts of one picture as they are stored and mailed; it tells nothing of when it was made."""

    model_config = ConfigDict(
        validate_by_name=True, serialize_by_alias=True, json_schema_serialization_defaults_required=True
    )

    form: Literal["inktally.word-counts/1"] = Field(
        default="inktally.word-counts/1", alias="schema", description="the form of this document"
    )
    source: str = Field(
        description="the picture as s3://bucket/key or as a path; of one that came over the web its key"
    )
    etag: str = Field(description="of the picture, without quotes")
    size: int = Field(description="of the picture, in bytes", ge=0)
    version: str = Field(description="of the picture; empty where the store keeps no versions")
    engine: Engine
    fingerprint: str = Field(description="of the engine", pattern=r"^[0-9a-f]{16}$")
    tokeniser: str = Field(description="the rules that made words of what was recognised")
    min_confidence: float = Field(description="words recognised less surely are left out", ge=0, le=100)
    body_only: bool = Field(default=False, description="whether headers, footers and page numbers are left out")
    pages: int = Field(ge=0)
    total: int = Field(description="the number of counted words", ge=0)
    distinct: int = Field(description="the number of different words", ge=0)
    mean_confidence: float | None = Field(description="over all counted words, 0 to 100; null: there is no word")
    warnings: tuple[PageWarning, ...] = Field(default=(), description="what was damaged, left out, or not believed")
    words: tuple[CountedWord, ...] = Field(description="by falling count, then in the order of code points")


def accepted_by(parse: Callable[[str], str]) -> AfterValidator:
    """For a field: its text as `parse` gives it back. What that raises is what is wrong with the field."""

    def check(text: str) -> str:
        try:
            return parse(text)
        except InktallyError as error:
            raise ValueError(str(error)) from error

    return AfterValidator(check)


def sha256_of(*parts: str) -> str:
    """SHA-256 (hex) of the parts, each preceded by its length, so that no two lists of parts are alike."""
    digest = hashlib.sha256()
    for part in parts:
        encoded = part.encode("utf-8", "surrogatepass")
        digest.update(f"{len(encoded)}:".encode() + encoded)
    return digest.hexdigest()
