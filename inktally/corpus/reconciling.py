"""Bring the corpus to what stands in the store: new documents in, changed ones anew, those that have gone out.

What is there is compared with what is kept, so it does not matter which changes were missed, or how the run before
ended. A run may be killed at any moment: the manifest is replaced every half a minute, and each of its states is right
for the documents in it.
"""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TextIO
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from inktally import keys
from inktally.corpus.manifest import Manifest, Partition, Standing, publish, read_part, standing
from inktally.corpus.partition import (
    BUCKETS,
    DOCUMENTS,
    WORDS,
    Identity,
    as_parquet,
    bucket_of,
    digest_of,
    identities,
    summed,
    table_of,
)
from inktally.corpus.reading import identity_of, read_all
from inktally.delivery import StoredObject
from inktally.document import Value
from inktally.errors import BadResult, NotFound
from inktally.lease import leased
from inktally.ports import Store, stat_or_none
from inktally.scratch import scratch_folder
from inktally.settings import Settings
from inktally.tokens import VERSION

logger = logging.getLogger(__name__)

PUBLISH_SECONDS = 30.0
ORPHAN_SECONDS = 3600.0
PATIENCE_SECONDS = 5.0
MOST_NAMED = 20


class Changes(Value):
    """What a comparison with the store changed, in documents; `mended`: buckets whose sums were not right."""

    added: int = 0
    changed: int = 0
    removed: int = 0
    mended: int = 0
    unreadable: dict[str, str] = Field(default={})

    def __add__(self, other: Changes) -> Changes:
        sums = {name: getattr(self, name) + getattr(other, name) for name in ("added", "changed", "removed", "mended")}
        few = dict(list((self.unreadable | other.unreadable).items())[:MOST_NAMED])
        return Changes(**sums, unreadable=few)


def reconcile(
    store: Store, settings: Settings, *, recount: bool = False, publish_seconds: float = PUBLISH_SECONDS
) -> Changes:
    """Compare the corpus with the store and change what differs; `recount`: read all anew, and trust nothing kept.

    What has been done is made visible every `publish_seconds`. Raises `Busy` when another run is at it.
    """
    patience = settings.lease_seconds + PATIENCE_SECONDS  # so that one who has died is not waited for in vain
    with leased(store, keys.lock(keys.CORPUS), ttl=settings.lease_seconds, timeout=patience):
        return _Reconciliation(store, settings, recount, publish_seconds).run()


def exclude(store: Store, name: str) -> None:
    """Keep a document out of the corpus, from the next comparison on. Raises `NotFound` when there is none."""
    store.stat(keys.word_counts(name))
    store.put(keys.corpus_exclusion(name), keys.counted_document(keys.word_counts(name)).encode())


def include(store: Store, name: str) -> None:
    """Take back what `exclude` did."""
    store.remove(keys.corpus_exclusion(name))


class _Reconciliation:
    def __init__(self, store: Store, settings: Settings, recount: bool, publish_seconds: float) -> None:
        self._store = store
        self._settings = settings
        self._recount = recount
        self._publish_seconds = publish_seconds
        self._standing = Standing(Manifest())
        self._buckets: dict[str, Partition] = {}
        self._excluded: set[str] = set()
        self._is_changed = False
        self._replaced: set[str] = set()
        self._published = time.monotonic()

    def run(self) -> Changes:
        self._standing = self._begin()
        excluded = self._store.list(keys.CORPUS_EXCLUDED)
        self._excluded = {self._store.read(found.key).decode() for found in excluded}
        self._buckets = dict(self._standing.manifest.buckets)
        changes = Changes()
        with scratch_folder(self._settings.scratch) as folder:
            listing = _Listing(self._store, self._excluded, folder)
            for bucket in BUCKETS:
                changes += self._compare(bucket, listing.of(bucket), folder)
                if self._is_changed and time.monotonic() - self._published > self._publish_seconds:
                    self._publish(complete=False)
        orphans = self._orphans()
        if self._is_changed or orphans or not self._standing.manifest.complete:
            self._publish(complete=True)
        self._remove(orphans)
        return changes

    def _begin(self) -> Standing:
        """The corpus as it is; an empty one in place of one whose counts follow other rules."""
        try:
            found = standing(self._store)
        except BadResult:
            if not self._recount:
                raise
            return Standing(Manifest(), self._store.stat(keys.CORPUS_MANIFEST).etag)
        if found.manifest.rules == VERSION:
            return found
        self._replaced |= found.manifest.files
        return Standing(Manifest(), found.etag)

    def _compare(self, bucket: str, listed: dict[Identity, StoredObject], folder: Path) -> Changes:
        kept = self._buckets.get(bucket)
        if not self._recount and (kept.digest if kept else digest_of([])) == digest_of(listed):
            return Changes()
        before = self._kept(kept)
        trusted = DOCUMENTS.empty_table() if self._recount else before
        after = self._brought_up(trusted, listed, folder)
        if kept is not None and self._is_right(kept, before, after):
            return _changes(after, after)
        same = kept is not None and kept.digest == digest_of(identities(after))
        self._replace(bucket, after)
        return _changes(after, after) + Changes(mended=1) if same else _changes(before, after)

    def _kept(self, kept: Partition | None) -> pa.Table:
        """The documents of a bucket; none, if its file has gone or is damaged: then they are read again."""
        if kept is None:
            return DOCUMENTS.empty_table()
        try:
            return read_part(self._store, kept.documents, DOCUMENTS)
        except (NotFound, BadResult) as error:
            logger.warning("%s", error)
            return DOCUMENTS.empty_table()

    def _is_right(self, kept: Partition, before: pa.Table, after: pa.Table) -> bool:
        if not before.equals(after):
            return False
        try:
            return bool(read_part(self._store, kept.words, WORDS).equals(summed(after)))
        except (NotFound, BadResult):
            return False

    def _brought_up(self, known: pa.Table, listed: dict[Identity, StoredObject], folder: Path) -> pa.Table:
        """The rows of all that is listed: those that are known, and those that are read now."""
        states = identities(known)
        known_already = set(states)
        new = [found for identity, found in listed.items() if identity not in known_already]
        rows, waiting = [], self._overlooked(states, listed)
        for batch, changed in read_all(self._store, new, folder):
            rows.append(batch)
            waiting |= changed
        stays = [state in listed or state.document in waiting for state in states]
        return table_of([*known.filter(pa.array(stays, pa.bool_())).to_batches(), *rows])

    def _overlooked(self, states: list[Identity], listed: dict[Identity, StoredObject]) -> set[str]:
        """Documents that stand there although they were not listed, as may be while they are being written."""
        names = {identity.document for identity in listed} | self._excluded
        missing = [state.document for state in states if state.document not in names]
        return {name for name in missing if stat_or_none(self._store, keys.word_counts(name))}

    def _replace(self, bucket: str, documents: pa.Table) -> None:
        self._is_changed = True
        kept = self._buckets.pop(bucket, None)
        if kept is not None:
            self._replaced |= set(kept.files)
        if not documents.num_rows:
            return
        unique = uuid4().hex
        written = Partition(
            documents=keys.corpus_part("documents", bucket, unique),
            words=keys.corpus_part("words", bucket, unique),
            digest=digest_of(identities(documents)),
            count=documents.num_rows,
            tokens=pc.sum(documents["tokens"]).as_py(),
            unreadable=documents.num_rows - pc.sum(pc.equal(documents["problem"], "")).as_py(),
        )
        self._store.put(written.documents, as_parquet(documents))
        self._store.put(written.words, as_parquet(summed(documents)))
        self._buckets[bucket] = written

    def _publish(self, *, complete: bool) -> None:
        """Nothing that the manifest before names is removed earlier."""
        manifest = Manifest(writer=uuid4().hex, complete=complete, rules=VERSION, buckets=self._buckets)
        self._standing = publish(self._store, manifest, self._standing)
        logger.info("the corpus holds %d documents, %d words", manifest.documents, manifest.tokens)
        self._remove(self._replaced)
        self._replaced, self._is_changed, self._published = set(), False, time.monotonic()

    def _orphans(self) -> set[str]:
        """Files of runs that died. They are old, and go after a new manifest only, which whoever wrote them and sleeps
        can then no longer replace."""
        ours = self._standing.manifest.files | {key for bucket in self._buckets.values() for key in bucket.files}
        parts = self._store.list(keys.CORPUS_PARTS)
        return {found.key for found in parts if found.key not in ours and found.age > ORPHAN_SECONDS}

    def _remove(self, parts: set[str]) -> None:
        for key in parts:
            self._store.remove(key)


class _Listing:
    """All documents of the store, sorted into a file a bucket, so that memory holds those of one bucket."""

    def __init__(self, store: Store, excluded: set[str], folder: Path) -> None:
        self._folder = folder
        with ExitStack() as stack:
            files: dict[str, TextIO] = {}
            for found in store.list(keys.COUNTS):
                name = keys.counted_document(found.key)
                if name and name not in excluded:
                    bucket = bucket_of(name)
                    if bucket not in files:
                        files[bucket] = stack.enter_context(self._file(bucket).open("w", encoding="utf-8"))
                    files[bucket].write(found.model_dump_json(exclude={"age", "metadata"}) + "\n")

    def of(self, bucket: str) -> dict[Identity, StoredObject]:
        """A document that changed while it was listed may have been listed twice."""
        if not self._file(bucket).exists():
            return {}
        with self._file(bucket).open(encoding="utf-8") as lines:
            found = [StoredObject.model_validate_json(line) for line in lines]
        return {identity_of(each): each for each in {each.key: each for each in found}.values()}

    def _file(self, bucket: str) -> Path:
        return self._folder / f"listed-{bucket}"


def _changes(before: pa.Table, after: pa.Table) -> Changes:
    were = {state.document: state for state in identities(before)}
    are = {state.document: state for state in identities(after)}
    problems = after.filter(pc.not_equal(after["problem"], ""))
    return Changes(
        added=len(are.keys() - were.keys()),
        changed=sum(were[name] != are[name] for name in were.keys() & are.keys()),
        removed=len(were.keys() - are.keys()),
        unreadable=dict(zip(problems["document"].to_pylist(), problems["problem"].to_pylist(), strict=True)),
    )
