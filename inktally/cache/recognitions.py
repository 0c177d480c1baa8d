"""The cached recognitions of a store, by which engine they were made, and which documents lead to them."""

from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from itertools import groupby, islice
from pathlib import Path
from typing import NamedTuple, Protocol

from pydantic import BaseModel

from inktally import keys
from inktally.delivery import Receipt, StoredObject
from inktally.document import Engine, Value
from inktally.errors import NotFound, Overwritten
from inktally.ports import Store, value_or_none
from inktally.scratch import scratch_folder

READERS, READ_AT_ONCE = 8, 256
PLACES = (keys.INPUT, keys.ARCHIVE)


class Receipts(Protocol):
    """Where receipts are kept, under the keys that `keys.receipt` gives. `shared`: with other stores."""

    @property
    def shared(self) -> bool: ...

    def keys(self) -> Iterator[str]:
        """Of all receipts. Raises `BadSettings` where they cannot be listed."""

    def read(self, key: str) -> Receipt | None:
        """None for what is no receipt."""

    def remove(self, key: str) -> None:
        """Nothing there is no error."""


class RecognitionId(NamedTuple):
    """Names a recognition: whose bytes (SHA-256), and by which engine (fingerprint)."""

    content: str
    fingerprint: str


class Cached(Value):
    """A cached recognition; `size` (bytes) is with its counts, `age` (seconds) since it was `written`, or found again.

    `documents` are those whose ETags lead to it, published or standing; None: no receipt here leads to it, so nobody
    can tell.
    """

    content: str
    fingerprint: str
    engine: str
    size: int
    age: float
    written: str
    documents: tuple[str, ...] | None

    @property
    def reading(self) -> RecognitionId:
        return RecognitionId(self.content, self.fingerprint)

    @property
    def artefact(self) -> str:
        return keys.recognition(self.content, self.fingerprint)


class Choice(Value):
    """Which recognitions are meant; what is left empty leaves none out. `age` is the least, in seconds.

    `engine` is a name or a fingerprint, `document` the name of a picture, `unused`: that no document leads to.
    """

    age: float = 0.0
    engine: str = ""
    document: str = ""
    unused: bool = False


class _CountsHead(BaseModel):
    """What the counts of a document tell of its picture."""

    etag: str
    size: int
    fingerprint: str


class _Signed(BaseModel):
    engine: Engine


class Recognitions:
    """The recognitions of one store; who uses them is found out once."""

    def __init__(self, store: Store, receipts: Receipts, scratch: Path) -> None:
        self._store = store
        self._receipts = receipts
        self._scratch = scratch
        self._engines: dict[str, str] = {}

    def chosen(self, choice: Choice) -> Iterator[Cached]:
        """Those that are meant, as the store lists them."""
        contents = self._contents_of(choice.document) if choice.document else set()
        for cached in self._all():
            documents = cached.documents or ()
            if (
                cached.age >= choice.age
                and choice.engine in {"", cached.fingerprint, cached.engine.partition(" ")[0]}
                and (not choice.document or cached.content in contents or choice.document in documents)
                and (not choice.unused or cached.documents == ())
            ):
                yield cached

    @cached_property
    def receipts(self) -> dict[str, Receipt]:
        """By their keys."""
        read = ((key, self._receipts.read(key)) for key in self._receipts.keys())  # noqa: SIM118 - no dictionary
        return {key: receipt for key, receipt in read if receipt is not None}

    @cached_property
    def leading(self) -> dict[RecognitionId, list[str]]:
        """The keys of the receipts that lead to each recognition."""
        leading = defaultdict[RecognitionId, list[str]](list)
        for key, receipt in self.receipts.items():
            leading[RecognitionId(receipt.content, receipt.fingerprint)].append(key)
        return dict(leading)

    def receipts_of(self, picture: StoredObject) -> Iterator[str]:
        """The keys that receipts of this picture have, by any engine that made one."""
        for fingerprint in {reading.fingerprint for reading in self.leading}:
            yield keys.receipt_of(self._store.uri, picture.etag, picture.size, fingerprint)

    def _all(self) -> Iterator[Cached]:
        found = (each for each in self._store.list(keys.RECOGNITIONS) if _reading_of(each))
        for reading, group in groupby(found, _reading_of):
            objects = list(group)
            artefact = [each for each in objects if reading and each.key == keys.recognition(*reading)]
            if reading and artefact:
                receipts = self.leading.get(reading)
                users = None if receipts is None else set().union(*(self._users.get(key, ()) for key in receipts))
                yield Cached(
                    content=reading.content,
                    fingerprint=reading.fingerprint,
                    engine=self._engine(reading),
                    size=sum(each.size for each in objects),
                    age=artefact[0].age,
                    written=artefact[0].modified,
                    documents=None if users is None else tuple(sorted(users)),
                )

    def _engine(self, reading: RecognitionId) -> str:
        """All recognitions of one fingerprint are by one engine, so one of them is read."""
        if reading.fingerprint not in self._engines:
            signed = value_or_none(self._store, keys.recognition(*reading), _Signed)
            if signed is None:
                return "unknown"
            engine = signed.engine
            self._engines[reading.fingerprint] = f"{engine.name} {engine.version} {'+'.join(engine.languages)}"
        return self._engines[reading.fingerprint]

    @cached_property
    def _users(self) -> dict[str, set[str]]:
        """The names of the documents that have each receipt."""
        users = defaultdict[str, set[str]](set)
        for name, published in self._published():
            key = keys.receipt_of(self._store.uri, published.etag, published.size, published.fingerprint)
            users[key].add(name)
        for place in PLACES:
            for found in self._store.list(place):
                for key in self.receipts_of(found):
                    users[key].add(found.key.removeprefix(place))
        return dict(users)

    def _published(self) -> Iterator[tuple[str, _CountsHead]]:
        found = (each.key for each in self._store.list(keys.COUNTS) if keys.counted_document(each.key))
        read = partial(value_or_none, self._store, value=_CountsHead)
        with ThreadPoolExecutor(READERS, "cache") as pool:
            while some := list(islice(found, READ_AT_ONCE)):
                pictures = zip(some, pool.map(read, some), strict=True)
                yield from ((keys.counted_document(key), published) for key, published in pictures if published)

    def _contents_of(self, document: str) -> set[str]:
        """The hashes of the pictures of that name, where they still stand."""
        contents = set()
        with scratch_folder(self._scratch) as folder:
            for place in PLACES:
                try:
                    contents.add(self._store.download(self._store.stat(place + document), folder / "picture"))
                except (NotFound, Overwritten):
                    continue
        return contents


def _reading_of(found: StoredObject) -> RecognitionId | None:
    """The recognition that an object belongs to: itself, or counts of it."""
    content, _, name = found.key.removeprefix(keys.RECOGNITIONS).partition("/")
    return RecognitionId(content, name.partition(".")[0]) if name.endswith(".json") else None
