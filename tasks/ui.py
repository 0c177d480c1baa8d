"""What Prefect's UI shows of a run beside its states: progress, the top words, and links to the outputs."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prefect import task
from prefect.artifacts import (
    create_link_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)

from inktally.document import Outcome, WordCounts, sha256_of

logger = logging.getLogger(__name__)

TOP_WORDS = 20


class Progress:
    """The share of a run's pictures that have been answered, as an artifact that moves.

    That an artifact cannot be written is logged and harms no picture.
    """

    def __init__(self, pictures: int) -> None:
        self._pictures = pictures
        self._done = 0
        self._artifact: Any = None
        if pictures > 1:
            with _harmless():
                self._artifact = create_progress_artifact(
                    progress=0.0, key="pictures", description=f"{pictures} pictures, answered so far"
                )

    def advance(self, pictures: int) -> None:
        self._done += pictures
        if self._artifact is not None and pictures:
            with _harmless():
                update_progress_artifact(self._artifact, progress=100.0 * self._done / self._pictures)


@contextmanager
def _harmless() -> Iterator[None]:
    try:
        yield
    except Exception as error:  # noqa: BLE001 - whatever ails the server
        logger.warning("the progress could not be shown: %s", error)


@task(name="show", task_run_name="show {name}", persist_result=False)
def show(name: str, outcome: Outcome, counts: WordCounts) -> None:
    """Artifacts of one picture: its top words as a table, and a link to each output."""
    slug = artifact_key(name)
    create_table_artifact(
        table=[entry.model_dump() for entry in counts.words[:TOP_WORDS]],
        key=f"words-{slug}",
        description=f"Top words of **{_markdown(name)}**: {counts.total:,} words, {counts.distinct:,} distinct",
    )
    for output, address in outcome.outputs.items():
        create_link_artifact(
            link=address if "://" in address else Path(address).as_uri(),
            link_text=Path(address).name,
            key=f"{output.replace('_', '-')}-{slug}",
            description=f"{output.replace('_', ' ').capitalize()} of **{_markdown(name)}**",
        )


def artifact_key(name: str) -> str:
    """A picture's name in the letters that Prefect takes for keys, made unique by a hash."""
    readable = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40]
    return f"{readable}-{sha256_of(name)[:8]}".lstrip("-")


def _markdown(text: str) -> str:
    return re.sub(r"([\\`*_{}\[\]<>()#+!|~-])", r"\\\1", " ".join(text.split()))
