"""The values that say what was sent and how it ended. All are frozen; all survive a round trip through JSON."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Literal, Self

from pydantic import Field

from inktally.document import Value, sha256_of
from inktally.outputs import NAMES

After = Literal["keep", "delete", "archive"]


MAIL_ADDRESS = r"^[^\s\p{Cc}\p{Cf}<>@]+@[A-Za-z0-9._-]+$"


class StoredObject(Value):
    """One version of one object, as its store reports it.

    `etag` bears no quotes. `modified` is an ISO 8601 time in UTC by the store's clock, `age` the seconds since
    then by that same clock when the object was looked at. `version` is empty where the store keeps no versions.
    `sha256` (hex) is of the bytes, where the store itself has computed or verified it; empty: it says nothing.
    """

    key: str
    etag: str
    size: int
    version: str = ""
    modified: str
    age: float = 0.0
    metadata: dict[str, str] = Field(default={})
    sha256: str = ""

    def same_version(self, other: StoredObject) -> bool:
        """Two with a version id are told by that; else all that the store says of them must be alike."""
        mine, others = (
            (self.key, self.version, self.etag, self.size),
            (other.key, other.version, other.etag, other.size),
        )
        return mine == others and (bool(self.version) or self.modified == other.modified)

    def has_bytes_of(self, other: StoredObject) -> bool:
        """By SHA-256 where both have one, else by ETag, which may be an MD5: whoever wants to can make two alike."""
        if self.sha256 and other.sha256:
            return self.sha256 == other.sha256
        return (self.etag, self.size) == (other.etag, other.size)


class PostForm(Value):
    """What a browser posts a picture with, as multipart/form-data: the fields, and last the file."""

    url: str
    fields: dict[str, str]


class Mail(Value):
    """One mail as it is sent (`content`), and between whom. `inktally/mail/message.py` alone composes mails.

    Nothing that would end a line, or an address, of SMTP's dialogue is an address here.
    """

    sender: str = Field(pattern=MAIL_ADDRESS)
    recipient: str = Field(pattern=MAIL_ADDRESS)
    message_id: str
    content: bytes

    @property
    def is_international(self) -> bool:
        """Whether servers must know SMTPUTF8 (RFC 6531) to carry it."""
        return not (self.sender + self.recipient).isascii()


class Upload(Value):
    """A picture that stands in a store and wants its words counted."""

    key: str = Field(
        title="Key",
        description="The picture's key in the store, for example input/letters/page 1.png",
        min_length=1,
        max_length=1024,
        examples=["input/page.png"],
    )
    store: str = Field(
        default="",
        title="Store",
        description="s3://bucket, or a folder of the worker; empty: the store of the worker's settings",
    )
    version: str = Field(default="", title="Version", description="Version id; empty: the current version")
    etag: str = Field(default="", title="ETag", description="The ETag it is expected to have; empty: any")
    attempt: str = Field(
        default="", title="Attempt", description="Names a deliberate re-run; empty for the first answer"
    )

    @property
    def name(self) -> str:
        """The key below input/, folders and suffix kept."""
        return self.key.removeprefix("input/")

    @property
    def short_name(self) -> str:
        return PurePosixPath(self.key).name or self.key


class Delivery(Value):
    """One version of a picture that is to be answered once: the upload, and the object that was found for it."""

    upload: Upload
    picture: StoredObject

    @property
    def id(self) -> str:
        """SHA-256 (hex) over key and version id (else ETag and time of the last change), and attempt.

        The store is left out: markers live in it, and it may be spelled or mounted in several ways.
        """
        picture = self.picture
        version = picture.version or f"{picture.etag} {picture.modified}"
        return sha256_of(picture.key, version, self.upload.attempt)


class Receipt(Value):
    """The small value that stands for a recognition: which one it is and where it lies."""

    content: str = Field(description="SHA-256 of the picture's bytes, in hex", pattern=r"^[0-9a-f]{64}$")
    fingerprint: str = Field(description="of the engine", pattern=r"^[0-9a-f]{16}$")
    artefact: str = Field(description="the recognition's key in the store")
    words: int = Field(ge=0)
    pages: int = Field(ge=0)
    seconds: float = Field(default=0.0, description="that recognition took", ge=0)
    made_for: str = Field(default="", description="id of the delivery it was made for; empty: it was found")

    def is_found_by(self, delivery: Delivery) -> bool:
        """Whether the recognition was not made for this delivery."""
        return self.made_for != delivery.id


class Counting(Value):
    """How words are counted: what distinguishes two counts of one recognition.

    `body_only`: headers, footers and page numbers are left out.
    """

    min_confidence: float = 0.0
    body_only: bool = False


class Options(Value):
    """What may be asked for beside the pictures. What is left empty is as the worker's settings say."""

    language: str = Field(
        default="",
        title="Languages",
        description="As Tesseract names them, joined by +, as in eng+deu, or auto; empty: the picture's metadata, "
        "else the settings",
    )
    engine: str = Field(default="", title="Engine", description="Recognition engine; empty: the settings")
    after: Literal["", "keep", "delete", "archive"] = Field(
        default="", title="Afterwards", description="What becomes of the picture in the store; empty: the settings"
    )
    min_confidence: float | None = Field(
        default=None,
        ge=0,
        le=100,
        title="Least confidence",
        description="Words recognised less surely are not counted (0 to 100); empty: the settings",
    )
    body_only: bool = Field(
        default=False,
        title="Body only",
        description="Headers, footers and page numbers are not counted; the settings may ask for it as well",
    )
    outputs: str = Field(
        default="",
        title="Outputs",
        description=f"What is written, separated by commas, of {', '.join(NAMES)}; empty: the settings",
    )
    refresh: bool = Field(
        default=False, title="Refresh", description="Recognise again, and answer again, what is known already"
    )
    wait: float = Field(
        default=0.0,
        ge=0,
        title="Wait",
        description="Seconds to wait for another run that is at work on the same picture",
    )


class Problem(Value):
    """An error as it is told to people and programs."""

    kind: str
    message: str

    @classmethod
    def of(cls, error: BaseException) -> Self:
        return cls(kind=type(error).__name__, message=str(error))


class Outcome(Value):
    """How one delivery ended: the line of the command line's --json, and the body of the `answered` marker."""

    upload: str = Field(description="the picture as s3://bucket/key or as a path")
    etag: str = ""
    cached: bool = False
    words: int = 0
    distinct: int = 0
    mean_confidence: float | None = None
    outputs: dict[str, str] = Field(default={}, description="name of the output -> path or URI")
    seconds: dict[str, float] = Field(default={}, description="step -> seconds")
    notified: str | None = Field(default=None, description="who was told; null: nobody")
    error: Problem | None = None
