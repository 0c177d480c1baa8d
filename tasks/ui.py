"""What Prefect's UI shows of a run beside its states: progress, the top words, and links to the outputs."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import quote

from prefect import task
from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)

from inktally.batch.summary import Summary
from inktally.delivery import Outcome
from inktally.document import CountedWord, WordCounts, sha256_of
from inktally.progress import tell
from inktally.text import printable

logger = logging.getLogger(__name__)

TOP_WORDS = 20  # of a single picture
MOST_FAILURES = 100  # of a batch
FEW_WORDS = 5  # of each among several
NEXT_UPDATE = 5.0  # seconds


class ProgressArtifact:
    """The share of a run's pictures that are done, as an artifact that moves; of a single one there is none.

    That an artifact cannot be written is logged and harms no picture.
    """

    def __init__(self) -> None:
        self._pictures = self._done = self._shown = 0
        self._told = 0.0
        self._artifact: Any = None

    def advance(self, pictures: int) -> None:
        self.show(self._done + pictures, self._pictures)

    def show(self, done: int, pictures: int) -> None:
        """How many of how many; the latter may become known late."""
        self._done, now = done, monotonic()
        if self._artifact is None and self._pictures != pictures and pictures > 1:
            with _harmless():
                self._artifact = create_progress_artifact(
                    progress=0.0, key="pictures", description=f"{pictures:,} pictures, done so far"
                )
        self._pictures = pictures
        is_due = now - self._told >= NEXT_UPDATE or done == pictures
        if self._artifact is not None and is_due and done != self._shown:
            self._shown, self._told = done, now
            with _harmless():
                update_progress_artifact(self._artifact, progress=min(100.0, 100.0 * done / pictures))


class PageProgress:
    """The share of a long document's pages that are read: an artifact that moves, and a line for who watches the run.

    A document that is read within seconds has neither.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._told = monotonic()
        self._artifact: Any = None

    def show(self, number: int, pages: int) -> None:
        """All pages up to this one are read."""
        is_end = number == pages and self._artifact is not None
        if monotonic() - self._told < NEXT_UPDATE and not is_end:
            return
        self._told = monotonic()
        tell(self._name, f"recognising, page {number:,} of {pages:,}")
        with _harmless():
            if self._artifact is None:
                about = f"{pages:,} pages of **{markdown(self._name)}**, read so far"
                key = f"pages-{artifact_key(self._name)}"
                self._artifact = create_progress_artifact(progress=0.0, key=key, description=about)
            update_progress_artifact(self._artifact, progress=min(100.0, 100.0 * number / pages))


@contextmanager
def _harmless() -> Iterator[None]:
    try:
        yield
    except Exception as error:  # noqa: BLE001 - whatever ails the server
        logger.warning("the progress could not be shown: %s", error)


@task(name="show", task_run_name="show {name}", persist_result=False)
def show_words(name: str, outcome: Outcome, counts: WordCounts | None) -> None:
    """Artifacts of one picture: its top words as a table, and links to its outputs."""
    slug, shown = artifact_key(name), markdown(name)
    create_table_artifact(
        table=[entry.model_dump() for entry in _top(counts, TOP_WORDS)],
        key=f"words-{slug}",
        description=f"Top words of **{shown}**: {outcome.words:,} words, {outcome.distinct:,} distinct",
    )
    links = "\n".join(f"- {_title(output)}: {_link(address)}" for output, address in outcome.outputs.items())
    create_markdown_artifact(links, key=f"outputs-{slug}", description=f"Outputs of **{shown}**")


@task(name="show", persist_result=False)
def show_pictures(pictures: dict[str, tuple[Outcome, WordCounts | None]]) -> None:
    """One artifact of a run with several pictures: a row for each, with its top words and links to its outputs."""
    create_table_artifact(
        table=[
            {
                "picture": printable(name),
                "words": outcome.words,
                "distinct": outcome.distinct,
                "confidence": outcome.mean_confidence,
                "top words": ", ".join(f"{entry.word} {entry.count}" for entry in _top(counts, FEW_WORDS)),
                **{_title(output): _link(address) for output, address in outcome.outputs.items()},
            }
            for name, (outcome, counts) in pictures.items()
        ],
        key="counted-pictures",
        description=f"{len(pictures)} pictures and their outputs",
    )


@task(name="show", persist_result=False)
def show_batch(summary: Summary) -> None:
    """Artifacts of a batch: its top words, and the pictures that were not counted."""
    tally, links = summary.tally, ", ".join(_link(address) for address in summary.reports.values())
    create_table_artifact(
        table=[{"word": total.word, "count": total.count, "pictures": total.documents} for total in summary.top],
        key="batch-words",
        description=f"{tally.answered:,} pictures, {tally.words:,} words, {summary.distinct:,} distinct: {links}",
    )
    if summary.failures:
        create_table_artifact(
            table=[
                {"picture": printable(failure.picture), "problem": printable(failure.problem.message)}
                for failure in summary.failures[:MOST_FAILURES]
            ],
            key="batch-failures",
            description=f"{tally.rejected:,} pictures cannot be read, {tally.failed + tally.unanswered:,} failed",
        )


def _top(counts: WordCounts | None, most: int) -> tuple[CountedWord, ...]:
    return counts.words[:most] if counts else ()


def _title(output: str) -> str:
    return output.replace("_", " ").capitalize()


def _link(address: str) -> str:
    """In Markdown, which the cells of tables understand, too."""
    url = address if "://" in address else Path(address).as_uri()
    return f"[{markdown(Path(address).name)}](<{quote(url, safe=':/%')}>)"


def artifact_key(name: str) -> str:
    """A picture's name in the letters that Prefect takes for keys, made unique by a hash."""
    readable = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40]
    return f"{readable}-{sha256_of(name)[:8]}".lstrip("-")


def markdown(text: str) -> str:
    """`text` as Markdown that shows it as it is, on one line."""
    return re.sub(r"([\\`*_{}\[\]<>()#+!|~-])", r"\\\1", " ".join(printable(text).split()))
