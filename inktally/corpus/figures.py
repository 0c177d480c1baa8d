"""What the corpus says: its most frequent words, the words that mark a document, and how its vocabulary grows."""

import math
from collections import Counter as Multiset
from collections.abc import Iterator
from itertools import accumulate
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from inktally.corpus.manifest import Corpus
from inktally.corpus.partition import DOCUMENTS, merged, prefix_of, word_rows
from inktally.document import Value

By = Literal["day", "prefix"]
Numbers = npt.NDArray[np.int64]

MOST_POINTS = 400
WORDS_A_GROUP = 5
FEWEST_FOR_A_FIT = 3


class CorpusWord(Value):
    """A word, how often it stands in all documents, and in how many of them."""

    word: str
    total: int
    documents: int


class Group(Value):
    """The documents of one day or prefix."""

    name: str
    documents: int
    tokens: int
    distinct: int
    words: tuple[CorpusWord, ...]


class MarkingWord(Value):
    """A word of a document; `score` is its share in the document times ln(documents / documents with it)."""

    word: str
    count: int
    documents: int
    score: float


class Growth(Value):
    """Distinct words over tokens after so many documents, in the order of days, then names.

    By Heaps' law distinct = factor * tokens ** exponent, as fitted to the points on logarithmic scales; both are 0
    where there are too few points.
    """

    tokens: tuple[int, ...] = ()
    distinct: tuple[int, ...] = ()
    factor: float = 0.0
    exponent: float = 0.0


ORDER = [("total", "descending"), ("word", "ascending")]


def all_words(corpus: Corpus) -> pa.Table:
    """word, total, documents: by falling total, then in the order of code points."""
    return merged(corpus.words(), ["word"]).sort_by(ORDER)


def corpus_words(words: pa.Table, most: int) -> tuple[CorpusWord, ...]:
    """The first of a table that `all_words` gave."""
    return tuple(CorpusWord(**row) for row in words.slice(0, most).select(CorpusWord.model_fields).to_pylist())


def groups(corpus: Corpus, by: By) -> tuple[Group, ...]:
    """All days or prefixes, in order, with their most frequent words."""
    words = merged(corpus.words(), [by, "word"]).sort_by([(by, "ascending"), *ORDER])
    sums = words.group_by(by, use_threads=False).aggregate([("total", "sum"), ("word", "count")])
    begins = [0, *accumulate(sums["word_count"].to_pylist())]
    found = {name: (begin, *of_it) for begin, (name, *of_it) in zip(begins, _rows(sums), strict=False)}
    documents = _documents_by(corpus, by)
    return tuple(_group(name, documents[name], words, *found.get(name, (0, 0, 0))) for name in sorted(documents))


def _group(name: str, documents: int, words: pa.Table, begin: int, tokens: int, distinct: int) -> Group:
    top = corpus_words(words.slice(begin), min(distinct, WORDS_A_GROUP))
    return Group(name=name, documents=documents, tokens=tokens, distinct=distinct, words=top)


def marking_words(corpus: Corpus, document: str, most: int) -> tuple[MarkingWord, ...]:
    """The words of a document by falling TF-IDF, then count. Raises `NotFound`."""
    counts = corpus.document(document)
    wanted, tokens = pa.array(counts, pa.string()), sum(counts.values())
    tables = (table.filter(pc.is_in(table["word"], wanted)) for table in corpus.words())
    spread = dict(_rows(merged(tables, ["word"]).select(["word", "documents"])))
    marking = (
        MarkingWord(
            word=word,
            count=count,
            documents=spread[word],
            score=count / tokens * math.log(corpus.manifest.documents / spread[word]),
        )
        for word, count in counts.items()
    )
    return tuple(sorted(marking, key=lambda entry: (-entry.score, -entry.count, entry.word))[:most])


def growth(corpus: Corpus) -> Growth:
    """Each word is new in the first document that has it; memory grows with documents and vocabulary."""
    places, counts = _in_order(corpus)
    if not counts.sum():
        return Growth()
    firsts = _first_places(corpus, places)
    new = np.bincount(firsts["place_min"].to_numpy(), minlength=len(counts))
    tokens, distinct = np.cumsum(counts), np.cumsum(new)
    factor, exponent = _fitted(tokens, distinct)
    chosen = np.unique(np.linspace(0, len(tokens) - 1, min(MOST_POINTS, len(tokens))).round().astype(int))
    return Growth(
        tokens=tuple(tokens[chosen].tolist()),
        distinct=tuple(distinct[chosen].tolist()),
        factor=factor,
        exponent=exponent,
    )


def _in_order(corpus: Corpus) -> tuple[pa.Table, Numbers]:
    """The documents in order: their places by name, and their tokens by place."""
    columns = ("document", "day", "tokens")
    nothing = DOCUMENTS.empty_table().select(columns)
    listed = pa.concat_tables([nothing, *corpus.documents(*columns)])
    listed = listed.sort_by([("day", "ascending"), ("document", "ascending")])
    places = pa.table({"document": listed["document"], "place": pa.array(range(listed.num_rows), pa.int64())})
    return places, listed["tokens"].to_numpy()


def _first_places(corpus: Corpus, places: pa.Table) -> pa.Table:
    firsts = pa.table({"word": pa.array([], pa.string()), "place_min": pa.array([], pa.int64())})
    for documents in corpus.documents("document", "words", "counts"):
        place = places["place"].take(pc.index_in(documents["document"], places["document"]))
        rows = word_rows(documents, place_min=place).select(["word", "place_min"])
        least = pa.concat_tables([firsts, rows]).group_by("word").aggregate([("place_min", "min")])
        firsts = least.select(["word", "place_min_min"]).rename_columns(["word", "place_min"])
    return firsts


def _fitted(tokens: Numbers, distinct: Numbers) -> tuple[float, float]:
    told = distinct > 0
    if len(set(tokens[told].tolist())) < FEWEST_FOR_A_FIT:
        return 0.0, 0.0
    exponent, logarithm = np.polyfit(np.log(tokens[told]), np.log(distinct[told]), 1)
    return float(np.exp(logarithm)), float(exponent)


def _documents_by(corpus: Corpus, by: By) -> Multiset[str]:
    counts = Multiset[str]()
    for documents in corpus.documents("document", "day"):
        names = documents["document"].to_pylist()
        counts.update(documents["day"].to_pylist() if by == "day" else map(prefix_of, names))
    return counts


def _rows(table: pa.Table) -> Iterator[tuple[Any, ...]]:
    return zip(*(column.to_pylist() for column in table.columns), strict=True)
