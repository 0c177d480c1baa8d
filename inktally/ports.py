"""What the use cases ask of the world outside. Adapters satisfy these; nothing inherits from them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar, runtime_checkable

from pydantic import BaseModel, ValidationError

from inktally.delivery import Mail, PostForm, StoredObject
from inktally.document import Engine, PageWarning, Recognition, Token, WordCounts
from inktally.errors import NotFound

if TYPE_CHECKING:
    from inktally.imaging.page import PageImage, PageText

V = TypeVar("V", bound=BaseModel)


class Store(Protocol):
    """Objects under keys, as S3 has them: any UTF-8 key of 1 to 1,024 bytes, user metadata, conditional writes.

    Every method raises `StoreDown` when the store cannot be reached, `AccessDenied` when it does not accept us.
    """

    @property
    def uri(self) -> str:
        """s3://bucket, or the absolute path of the folder."""

    def stat(self, key: str, version: str = "") -> StoredObject:
        """Raises `NotFound`."""

    def read(self, key: str) -> bytes:
        """The whole of a small object. Raises `NotFound`."""

    def download(self, source: StoredObject, path: Path) -> str:
        """Stream this very version into `path`; its SHA-256 (hex). Raises `NotFound`, `Overwritten`."""

    def put(
        self,
        key: str,
        content: bytes | Path,
        *,
        metadata: Mapping[str, str] | None = None,
        if_absent: bool = False,
        if_match: str = "",
    ) -> StoredObject:
        """Write atomically. `if_absent`: only when there is none; `if_match`: only over the object with this ETag.

        Raises `Overwritten` when the condition does not hold. The returned object has no age and no metadata, and its
        `modified` may be when the store answered: only `stat` tells what makes a `Delivery`.
        """

    def copy(self, source: StoredObject, key: str, *, storage_class: str = "") -> StoredObject:
        """Copy this very version with its metadata, within the store. Raises `NotFound`, `Overwritten`."""

    def delete(self, target: StoredObject) -> None:
        """Delete this very version; one that has gone already is no error.

        Raises `Overwritten` when a newer one stands there, `UnsafeDelete` when the store cannot tell.
        """

    def remove(self, key: str) -> None:
        """Delete whatever stands under a key of our own book-keeping; nothing there is no error."""

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """All objects whose key starts with `prefix`, in no promised order, without their metadata."""

    def address(self, key: str) -> str:
        """Where a person finds the object: a path, or s3://bucket/key."""


@runtime_checkable
class TakesPosts(Protocol):
    """A store that browsers can send pictures to themselves."""

    def post_form(
        self, key: str, *, metadata: Mapping[str, str], content_type: str, max_bytes: int, seconds: int
    ) -> PostForm:
        """A form that puts one object of 1 to `max_bytes` bytes under just this key, for so many seconds."""


class PagesDone(Protocol):
    """The pages of a document that were read, kept until all of them are: whoever reads it again goes on from there."""

    def numbers(self) -> frozenset[int]:
        """Of the pages that are kept, by whoever began to read the document before."""

    def page(self, number: int) -> bytes:
        """What was kept of a page; nothing where that has gone."""

    def keep(self, number: int, page: bytes) -> None:
        """Keep what was read of a page. That it cannot be kept is no error."""

    def tell(self, number: int, pages: int) -> None:
        """Say that of so many pages all are read up to this one."""


class Recogniser(Protocol):
    """An OCR engine."""

    def warm_up(self) -> None:
        """Begin to get ready, without waiting."""

    def identify(self, languages: Sequence[str]) -> Engine:
        """What would read a picture in these languages, without starting it. Raises `MissingTool`."""

    def recognise(self, picture: Path, engine: Engine, done: PagesDone | None = None) -> Recognition:
        """Read a picture. Raises `PictureError` when it is the picture's fault, `EngineFailed` when it is not."""


class PageEngine(Protocol):
    """One OCR engine: what a new file in inktally/engines/ brings, by its function `build(settings)`.

    A free engine is built and asked in a sandboxed child, which has the settings without their secrets. One that is
    `remote` is asked in the parent, which has credentials.
    """

    remote: bool

    def identify(self, languages: Sequence[str]) -> Engine:
        """What would read a page in these languages, without starting it. Raises `MissingTool`, `BadSettings`."""

    def load(self, engine: Engine) -> None:
        """Load the models, in this process and for those it forks; without a thread, and without a word of failure."""

    def read(self, page: PageImage, engine: Engine) -> PageText:
        """Read one prepared page. Raises `PictureError` when it is the page's fault, `EngineFailed` when not."""


@runtime_checkable
class ReadsBlocks(Protocol):
    """An engine that looks for columns on a page, but can also be told that there are none."""

    def read_block(self, page: PageImage, engine: Engine) -> PageText:
        """As `read`, all of the page being one block of lines."""


class PdfWriter(Protocol):
    """Makes searchable PDFs."""

    def write(self, picture: Path, recognition: Recognition, target: Path) -> tuple[PageWarning, ...]:
        """Write the picture, and invisibly what was read on it, to `target`; what got lost. Raises `OutputFailed`."""


class Notifier(Protocol):
    """Takes mail to people."""

    def send(self, mail: Mail) -> None:
        """Hand over one mail. Raises `RecipientRefused` (final) or `MailRefused` (try again)."""


@runtime_checkable
class Verifier(Protocol):
    """A notifier that may have to hear from people itself before it mails them, as SES does in its sandbox."""

    def is_verified(self, address: str) -> bool:
        """Raises `MailRefused`, `AccessDenied` or `BadSettings`."""

    def begin_verification(self, address: str) -> None:
        """Have the mail service write to the address. Raises as `is_verified` does."""


class Counter(Protocol):
    """Counts word tokens."""

    def warm_up(self) -> None:
        """Begin to get ready, without waiting."""

    @property
    def is_ready(self) -> bool:
        """Whether a count would begin at once, if only to fail."""

    def count(self, documents: Mapping[str, Sequence[Token]]) -> dict[str, WordCounts]:
        """Count the tokens of all documents in one job; same keys out. Raises `CountFailed`."""

    def count_parts(self, store: Store, tokens: Sequence[str], pictures: Sequence[str], into: str) -> None:
        """Count Parquet files of the store in one chain of jobs, and write Parquet files below the prefix `into`.

        Files under the keys `tokens`: document (string), word (string), confidence (int32, hundredths of a percent).
        Files under `pictures`: document (string), one row a picture. Several pictures may show one document, and one
        without tokens has no words. Words are lower-cased and ordered as `count` does it. Written are, replacing what
        stood there:

        `into`counts/*.parquet: document, word, count (int64), confidence (int64, sum of hundredths); the rows of a
        document stand together in one file, by falling count, then by word.
        `into`totals/*.parquet: word, count (int64, over all pictures), documents (int64, pictures that have the word);
        by falling count, then by word, over all files in the order of their keys.

        Where there are no rows, there may be no file. Raises `CountFailed`, and `BadSettings` when the Spark there is
        cannot reach this store.
        """


def stat_or_none(store: Store, key: str) -> StoredObject | None:
    """What stands under the key, if anything does."""
    try:
        return store.stat(key)
    except NotFound:
        return None


def value_or_none(store: Store, key: str, value: type[V]) -> V | None:
    """What was written under the key as JSON; None where there is nothing, or nothing of that form."""
    try:
        return value.model_validate_json(store.read(key))
    except (NotFound, ValidationError):
        return None
