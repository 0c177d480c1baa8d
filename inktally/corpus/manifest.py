"""The one object that says what belongs to the corpus, and how it is read while others replace it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, ValidationError

from inktally import keys
from inktally.corpus.partition import DOCUMENTS, WORDS, bucket_of, from_parquet
from inktally.document import Value
from inktally.errors import BadResult, Busy, NotFound, Overwritten
from inktally.ports import Store

LOOKS = 5
READ_AT_ONCE = 8

T = TypeVar("T")


class Partition(Value):
    """The files of one bucket, and what is in them; `digest` names the states of its documents."""

    documents: str = Field(description="key of the Parquet file with a row a document")
    words: str = Field(description="key of the Parquet file with their sums")
    digest: str
    count: int = Field(description="of documents")
    tokens: int = Field(description="of all documents together")
    unreadable: int = 0

    @property
    def files(self) -> tuple[str, str]:
        return self.documents, self.words


class Manifest(Value):
    """The corpus at one moment. `complete`: it held all documents of the store when it was last compared with them."""

    form: Literal["inktally.corpus/1"] = "inktally.corpus/1"
    writer: str = Field(default="", description="names this very state")
    rules: str = Field(default="inktally.tokens/1", description="the version of the token rules that all counts follow")
    complete: bool = False
    buckets: dict[str, Partition] = Field(default={})

    @property
    def documents(self) -> int:
        return sum(bucket.count for bucket in self.buckets.values())

    @property
    def tokens(self) -> int:
        return sum(bucket.tokens for bucket in self.buckets.values())

    @property
    def unreadable(self) -> int:
        return sum(bucket.unreadable for bucket in self.buckets.values())

    @property
    def files(self) -> set[str]:
        return {key for bucket in self.buckets.values() for key in bucket.files}


class Standing(NamedTuple):
    """The manifest that stands in the store, and its ETag; empty when there is none."""

    manifest: Manifest
    etag: str = ""


def standing(store: Store) -> Standing:
    """Raises `BadResult` when it is not what we write."""
    for _ in range(LOOKS):
        try:
            found = store.stat(keys.CORPUS_MANIFEST)
            content = store.read(keys.CORPUS_MANIFEST)
            if store.stat(keys.CORPUS_MANIFEST).same_version(found):
                return Standing(Manifest.model_validate_json(content), found.etag)
        except NotFound:
            return Standing(Manifest())
        except ValidationError as error:
            raise BadResult(
                f"{store.address(keys.CORPUS_MANIFEST)} is no manifest of a corpus; `--recount` builds it anew."
            ) from error
    raise Busy("The corpus is being changed all the time; try again.")


def publish(store: Store, manifest: Manifest, over: Standing) -> Standing:
    """Put a manifest in the place of the one that was read. Raises `Busy` when another has been put there."""
    content = manifest.model_dump_json(indent=1).encode()
    try:
        written = store.put(keys.CORPUS_MANIFEST, content, if_absent=not over.etag, if_match=over.etag)
    except Overwritten as error:
        now = standing(store)
        if now.manifest != manifest:  # else only the answer to our write was lost
            raise Busy("Another run has changed the corpus in the meantime; run it again.") from error
        return now
    return Standing(manifest, written.etag)


@dataclass(frozen=True)
class Corpus:
    """One state of the corpus, to be read."""

    store: Store
    manifest: Manifest

    def words(self) -> Iterator[pa.Table]:
        """The sums of each bucket, as `WORDS` has them."""
        yield from self._tables([bucket.words for bucket in self.manifest.buckets.values()], WORDS)

    def documents(self, *columns: str) -> Iterator[pa.Table]:
        """The documents of each bucket, with some columns of `DOCUMENTS` or all of them."""
        yield from self._tables([bucket.documents for bucket in self.manifest.buckets.values()], DOCUMENTS, columns)

    def document(self, name: str) -> dict[str, int]:
        """The counts of one document. Raises `NotFound`."""
        bucket = self.manifest.buckets.get(bucket_of(name))
        if bucket:
            documents = read_part(self.store, bucket.documents, DOCUMENTS)
            for found in documents.filter(pc.equal(documents["document"], name)).to_pylist():
                return dict(zip(found["words"], found["counts"], strict=True))
        raise NotFound(f"There is no document {name} in the corpus; a name is a key below {keys.INPUT}.")

    def _tables(self, parts: Sequence[str], schema: pa.Schema, columns: Sequence[str] = ()) -> Iterator[pa.Table]:
        read = partial(read_part, self.store, schema=schema, columns=columns)
        with ThreadPoolExecutor(READ_AT_ONCE, "corpus") as pool:
            for start in range(0, len(parts), READ_AT_ONCE):
                yield from pool.map(read, parts[start : start + READ_AT_ONCE])


def read_part(store: Store, key: str, schema: pa.Schema, columns: Iterable[str] = ()) -> pa.Table:
    """Raises `NotFound`, and `BadResult` for what is none of our files."""
    try:
        return from_parquet(store.read(key), schema, tuple(columns))
    except (ValueError, KeyError, OSError) as error:
        raise BadResult(f"{store.address(key)} cannot be read; `--recount` makes it anew.") from error


def consistently(store: Store, look: Callable[[Corpus], T]) -> T:
    """Look at one state of the corpus; again when another has taken its place, whose writer removes the old files."""
    state = standing(store)
    for _ in range(LOOKS):
        try:
            return look(Corpus(store, state.manifest))
        except NotFound:
            now = standing(store)
            if now == state:
                raise
            state = now
    raise Busy("The corpus is being changed all the time; try again.")
