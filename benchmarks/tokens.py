"""Files of tokens and of pictures as a batch hands them to the counter, without any reading: for benchmarks.counting.

Words are drawn by Zipf's law from a vocabulary that grows with the text, as Heaps' law has it, up to a million; one in
eight is capitalised. The same number of tokens gives the same files. One file is held in memory at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from itertools import islice, product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
from pyarrow import parquet

from inktally.batch.handover import MOST_TOKENS

SYLLABLES = ["".join(pair) for pair in product("bcçdfghklmnprstvz", "aeiouéü")]
MOST_WORDS = 1_000_000
CAPITALISED = 1 / 8
DOCUMENT = (4, 100)
"""Shape and scale of the number of tokens of a document: 400 on average."""
DOCUMENTS = 2_000
"""That are drawn at once; more than a file holds."""
PICTURES = 10_000
"""In one file."""
DUPLICATES = 9
"""Of so many documents one is shown by two pictures: one picture in ten is a duplicate."""


def make_tokens(folder: Path, tokens: int) -> Path:
    """The folder, with so many tokens in `tokens`, and the pictures that show them in `pictures`."""
    (folder / "tokens").mkdir(parents=True)
    (folder / "pictures").mkdir()
    random = np.random.default_rng(tokens)
    words, chances = _vocabulary(tokens)
    names: list[str] = []
    for number, lengths in enumerate(_files(tokens, random)):
        named = [_name(number, each) for each in range(len(lengths))]
        ranks = np.searchsorted(chances, random.random(lengths.sum()))
        ranks += len(chances) * (random.random(len(ranks)) < CAPITALISED)
        columns = {
            "document": pyarrow.array(named).take(np.repeat(np.arange(len(lengths)), lengths)),
            "word": words.take(ranks),
            "confidence": random.integers(3_000, 10_000, len(ranks), np.int32),
        }
        parquet.write_table(pyarrow.table(columns), folder / "tokens" / f"{number:06}.parquet", compression="zstd")
        names += named
    _write_pictures(folder / "pictures", names)
    return folder


def _vocabulary(tokens: int) -> tuple[Any, np.ndarray]:
    """All words by falling chance, small and then capitalised; the chances (of small ones) summed up."""
    size = min(MOST_WORDS, int(20 * tokens**0.6))
    made = ("".join(parts) for length in (1, 2, 3) for parts in product(SYLLABLES, repeat=length))
    words = list(islice(made, size))
    chances = np.cumsum(1 / np.arange(1, size + 1))
    return pyarrow.array(words + [word.capitalize() for word in words]), chances / chances[-1]


def _files(tokens: int, random: np.random.Generator) -> Iterator[np.ndarray]:
    """For each file the tokens of its documents. A document is in one file, and the last one takes what is left."""
    while tokens:
        lengths = random.gamma(*DOCUMENT, DOCUMENTS).astype(int) + 1
        ends = np.cumsum(lengths)
        last = np.searchsorted(ends, min(MOST_TOKENS, tokens))
        lengths[last] -= max(0, ends[last] - tokens)
        tokens -= lengths[: last + 1].sum()
        yield lengths[: last + 1]


def _name(file: int, number: int) -> str:
    """As long as those of a batch, and as different."""
    content = sha256(f"{file}/{number}".encode()).hexdigest()
    return f"{content}/{content[:16]}/{file:016x}"


def _write_pictures(folder: Path, documents: list[str]) -> None:
    shown = sorted(documents + documents[::DUPLICATES])
    for number, first in enumerate(range(0, len(shown), PICTURES)):
        some = shown[first : first + PICTURES]
        keys = [f"input/{first + each:09}.png" for each in range(len(some))]
        parquet.write_table(pyarrow.table({"document": some, "key": keys}), folder / f"{number:06}.parquet")
