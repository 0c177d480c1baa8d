"""Documents with counts, as a store holds them, and their sums by plain Python."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping

from inktally import keys
from inktally.corpus.partition import prefix_of
from inktally.ports import Store
from inktally.tokens import RULES

Sums = dict[tuple[str, str, str], tuple[int, int]]
"""(day, prefix, word) -> (total, documents)."""


def put_counts(store: Store, name: str, counts: Mapping[str, int], rules: str = RULES) -> None:
    words = [{"word": word, "count": count, "confidence": 90.0} for word, count in counts.items()]
    document = {"schema": "inktally.word-counts/1", "tokeniser": rules, "words": words}
    store.put(keys.word_counts(name), json.dumps(document).encode())


def recounted(store: Store, *without: str) -> Sums:
    """All documents of the store but for some, added up one after the other."""
    totals, documents = Counter[tuple[str, str, str]](), Counter[tuple[str, str, str]]()
    for found in store.list("output/word_counts/"):
        name = found.key.removeprefix("output/word_counts/").removesuffix(".json")
        if name in without:
            continue
        for entry in json.loads(store.read(found.key))["words"]:
            group = (found.modified[:10], prefix_of(name), entry["word"])
            totals[group] += entry["count"]
            documents[group] += 1
    return {group: (total, documents[group]) for group, total in totals.items()}
