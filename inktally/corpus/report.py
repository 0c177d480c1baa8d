"""What is told of the corpus after each comparison: to people as tables, to programs as one value, to both as files."""

from functools import partial

import pyarrow as pa
from pydantic import Field

from inktally import keys
from inktally.corpus import figures
from inktally.corpus.manifest import Corpus, consistently
from inktally.corpus.plot import growth_svg
from inktally.corpus.reconciling import Changes
from inktally.document import Value
from inktally.outputs.shared.tables import write_rows
from inktally.ports import Store
from inktally.scratch import scratch_folder
from inktally.settings import Settings

ROWS_AT_ONCE = 10_000


class CorpusReport(Value):
    """The corpus in figures; `files` are the addresses of what was written of it."""

    store: str
    documents: int
    tokens: int
    distinct: int
    unreadable: int
    words: tuple[figures.CorpusWord, ...]
    growth: figures.Growth
    by: figures.By | None = None
    groups: tuple[figures.Group, ...] = ()
    document: str = ""
    marking: tuple[figures.MarkingWord, ...] = ()
    files: dict[str, str] = Field(default={})
    changes: Changes = Changes()


def report(store: Store, settings: Settings, *, top: int, by: figures.By | None, document: str) -> CorpusReport:
    """Look at the corpus, and write the files. Raises `NotFound` for a document that it does not hold."""
    return consistently(store, partial(_look, store=store, settings=settings, top=top, by=by, document=document))


def _look(
    corpus: Corpus, *, store: Store, settings: Settings, top: int, by: figures.By | None, document: str
) -> CorpusReport:
    words, growth = figures.all_words(corpus), figures.growth(corpus)
    return CorpusReport(
        store=store.uri,
        documents=corpus.manifest.documents,
        tokens=corpus.manifest.tokens,
        distinct=words.num_rows,
        unreadable=corpus.manifest.unreadable,
        words=figures.corpus_words(words, top),
        growth=growth,
        by=by,
        groups=figures.groups(corpus, by) if by else (),
        document=document,
        marking=figures.marking_words(corpus, document, top) if document else (),
        files=_write(store, settings, words, growth),
    )


def _write(store: Store, settings: Settings, words: pa.Table, growth: figures.Growth) -> dict[str, str]:
    table, curve = keys.corpus_report("words.csv"), keys.corpus_report("growth.svg")
    with scratch_folder(settings.scratch) as folder:
        with (folder / "words.csv").open("w", encoding="utf-8-sig", newline="") as file:
            batches = (batch.columns for batch in words.to_batches(max_chunksize=ROWS_AT_ONCE))
            rows = (row for columns in batches for row in zip(*(each.to_pylist() for each in columns), strict=True))
            write_rows(file, words.column_names, rows)
        store.put(table, folder / "words.csv")
    store.put(curve, growth_svg(growth))
    return {"words": store.address(table), "growth": store.address(curve)}
