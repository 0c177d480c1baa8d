"""Words of a few documents, counted in this process: what they come to, and what is left behind."""

from __future__ import annotations

import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from pyspark.sql import SparkSession

from inktally.counters.spark import SparkCounter, build
from inktally.document import WordCounts
from inktally.errors import CountFailed
from inktally.settings import Settings, read_settings
from spark_jobs.batch_count import lower_cased as batch_lower_cased
from tests.support.sparks import GREEK, jvms, oracle, rows, run, tokens


def left_in(scratch: Path) -> list[str]:
    """What scratch folders hold besides the working folder of the JVM."""
    return [path.name for path in scratch.rglob("*") if path.suffix == ".parquet"]


# what is counted


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(documents=st.lists(st.lists(st.text(min_size=1, max_size=20), max_size=30), min_size=1, max_size=8))
def test_spark_counts_as_plain_python_does(documents: list[list[str]], counter: SparkCounter) -> None:
    given_ = {str(number): tokens(" ".join(texts), 33.336) for number, texts in enumerate(documents)}
    counted = counter.count(given_)
    assert list(counted) == list(given_)
    assert {name: rows(counts) for name, counts in counted.items()} == {n: oracle(t) for n, t in given_.items()}


def test_every_letter_with_two_cases_is_lower_cased_as_python_does_wherever_it_stands(counter: SparkCounter) -> None:
    cased = [c for c in map(chr, range(0x110000)) if c.lower() != c or c.upper() != c]
    ignored = [c for c in map(chr, range(0x20000)) if unicodedata.category(c) in ("Mn", "Me", "Cf", "Lm", "Sk")]
    for context in ("{}", "A{}", "\u0391{}\u03a3", "\u0391\u03a3{}\u0391", "\u03a3{}"):
        counted = tokens(" ".join(context.format(c) for c in cased + ignored))
        assert rows(counter.count({"": counted})[""]) == oracle(counted), context


def test_latin_words_are_lower_cased_without_icu_as_they_are_with_it(counter: SparkCounter) -> None:
    latin = [f"{before}{chr(c)}{after}" for c in range(0x370) for before in ("", "I", "a") for after in ("", "B")]
    counted = [token for token in tokens(" ".join(latin)) if max(token.text) < "\u0370"]
    session = SparkSession.builder.getOrCreate()
    session.conf.set("spark.sql.icu.caseMappings.enabled", value=False)
    assert rows(counter.count({"": counted})[""]) == oracle(counted)
    assert session.conf.get("spark.sql.icu.caseMappings.enabled") == "false"


@contextmanager
def locale_of_the_jvm(session: SparkSession, language: str) -> Iterator[None]:
    locales = cast("Any", session)._jvm.java.util.Locale  # noqa: SLF001 - PySpark has no other way to the JVM
    before = locales.getDefault()
    locales.setDefault(locales.forLanguageTag(language))
    try:
        yield
    finally:
        locales.setDefault(before)


@pytest.mark.parametrize("by_icu", [False, True])
@pytest.mark.parametrize("language", ["tr", "lt"])
def test_words_are_lower_cased_alike_under_every_locale(counter: SparkCounter, language: str, *, by_icu: bool) -> None:
    accents = ["", "\u0300", "\u0301", "\u0303", "\u0307", "\u0328", "\u00e9"]
    counted = tokens(" ".join(f"{chr(c)}{accent}B" for c in range(0x370) for accent in accents))
    counted = [token for token in counted if max(token.text) < "\u0370"]
    session = SparkSession.builder.getOrCreate()
    session.conf.set("spark.sql.icu.caseMappings.enabled", value=by_icu)
    with locale_of_the_jvm(session, language):
        assert rows(counter.count({"": counted})[""]) == oracle(counted)
        lowered = session.sql("SELECT 'TITLE' AS word").select(batch_lower_cased("word")).collect()
    assert lowered == [("title",)]


def test_greek_after_latin_has_its_final_sigmas(counter: SparkCounter) -> None:
    counter.count({"": tokens("latin")})
    counted = counter.count({"": tokens("\u039f\u0394\u039f\u03a3")})[""]
    assert [entry.word for entry in counted.words] == ["\u03bf\u03b4\u03bf\u03c2"]


def test_words_come_by_falling_count_and_then_by_code_point(counter: SparkCounter) -> None:
    counted = counter.count({"": tokens("b \U00010400 z \ufa0e \u00e9 B a")})[""]
    assert [entry.word for entry in counted.words] == ["b", "a", "z", "\u00e9", "\ufa0e", "\U00010428"]


def test_the_mean_confidence_has_two_decimals(counter: SparkCounter) -> None:
    counted = counter.count({"": [*tokens("word", 90), *tokens("Word", 80), *tokens("WORD", 80.01)]})[""]
    assert rows(counted) == [("word", 3, 83.34)]


@pytest.mark.parametrize("name", ["", "a/b c", "../x", "caf\u00e9", "'; --", "*"])
def test_a_document_may_have_any_name(name: str, counter: SparkCounter) -> None:
    counted = counter.count({name: tokens("one two two"), "blank": []})
    assert rows(counted[name]) == [("two", 2, 90), ("one", 1, 90)]
    assert counted["blank"] == WordCounts(words=())


def test_no_words_cost_no_spark() -> None:
    script = "import sys; print(c.count({'a': []})['a'].words, 'pyspark' in sys.modules)"
    assert run(script, read_settings()).stdout == "() False\n"


# how it is counted


def test_many_documents_are_one_job(counter: SparkCounter) -> None:
    session = SparkSession.builder.getOrCreate()
    session.sparkContext.setJobGroup("many", "")
    counter.count({str(number): tokens(f"word{number} word") for number in range(20)})
    assert len(session.sparkContext.statusTracker().getJobIdsForGroup("many")) == 1
    session.sparkContext.setJobGroup("others", "")


def test_the_tokens_are_gone_after_the_count(counter: SparkCounter, prepared: Settings) -> None:
    counter.count({"": tokens("word")})
    assert left_in(prepared.scratch) == []


@pytest.mark.usefixtures("counter")
def test_a_scratch_folder_may_have_any_name(prepared: Settings, tmp_path: Path) -> None:
    odd = build(prepared.model_copy(update={"scratch": tmp_path / "a b,[c] {d} *? %20 \u00e9"}))
    assert rows(odd.count({"": tokens("word")})[""]) == [("word", 1, 90)]


def test_threads_count_at_once_on_one_jvm(counter: SparkCounter, prepared: Settings) -> None:
    results: dict[int, list[tuple[str, int, float]]] = {}

    def count(number: int) -> None:
        results[number] = rows(build(prepared).count({"": tokens(f"a{number} {GREEK if number % 2 else ''}")})[""])

    threads = [threading.Thread(target=count, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {n: oracle(tokens(f"a{n} {GREEK if n % 2 else ''}")) for n in range(6)}
    assert len(jvms()) == 1
    assert counter.count({"": []}) == {"": WordCounts(words=())}


@pytest.mark.long
def test_after_its_jvm_has_died_a_count_fails_and_the_next_one_has_a_new_jvm(
    counter: SparkCounter, prepared: Settings
) -> None:
    counter.count({"": tokens("word")})
    [jvm] = jvms()
    jvm.kill()
    jvm.wait()
    with pytest.raises(CountFailed) as failure:
        counter.count({"": tokens("word")})
    assert failure.value.retryable
    assert left_in(prepared.scratch) == []
    assert rows(counter.count({"": tokens("word")})[""]) == [("word", 1, 90)]
    assert len(jvms()) == 1
