"""Two readings of one page become one."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given, strategies as st

from inktally.document import Box, Word
from inktally.reading.merging import merged
from inktally.reading.quality import Judged

WIDTH, HEIGHT, PITCH = 10, 20, 40  # pixels of a character, of a line, and from line to line


def reading(*lines: str, chance: float = 0.9, left: int = 0, first_line: int = 0) -> list[Judged]:
    """Words set in lines, in a face whose characters are all as wide; a word like `x?` is less likely than chance."""
    words = []
    for number, line in enumerate(lines, 1 + first_line):
        place = left
        for count, text in enumerate(line.split(" "), 1):
            if text.strip("_"):
                words.append(word(text, place, number, count, chance / 3 if text.endswith("?") else chance))
            place += WIDTH * (len(text) + 1)
    return words


def word(text: str, left: int, line: int, count: int, chance: float) -> Judged:
    box = Box(left=left, top=PITCH * line, width=WIDTH * len(text), height=HEIGHT)
    placed = Word(text=text, confidence=90, page=1, block=1, paragraph=1, line=line, word=count, box=box)
    return Judged(placed, chance, chance)


def texts(words: Sequence[Judged]) -> list[str]:
    """Line by line."""
    lines: dict[int, list[str]] = {}
    for each, *_ in words:
        lines.setdefault(each.line, []).append(each.text)
    return [" ".join(line) for line in lines.values()]


def test_what_both_have_read_stands_there_once() -> None:
    both = reading("seven quiet fishes", "swim by")
    assert texts(merged(both, both)) == ["seven quiet fishes", "swim by"]


def test_of_two_words_on_one_spot_the_likelier_is_kept() -> None:
    assert texts(merged(reading("seven qulet? fishes"), reading("seven quiet flshes?"))) == ["seven quiet fishes"]


def test_words_that_one_engine_ran_together_are_parted_as_the_other_has_them() -> None:
    assert texts(merged(reading("sevenquiet? fishes"), reading("seven quiet fishes"))) == ["seven quiet fishes"]


def test_a_word_that_only_the_other_engine_saw_is_put_into_its_line() -> None:
    assert texts(merged(reading("seven _____ fishes"), reading("_____ quiet ______"))) == ["seven quiet fishes"]


def test_a_line_that_only_the_other_engine_saw_stands_below_the_one_above_it() -> None:
    first, second = reading("first line", "_", "third line"), reading("second line", first_line=1)
    assert texts(merged(first, second)) == ["first line", "second line", "third line"]


def test_a_line_beside_a_column_is_not_drawn_into_it() -> None:
    column, far = reading("a column", "of text"), reading("margin", left=600)
    assert texts(merged(column, far)) == ["a column", "margin", "of text"]


def test_an_unlikely_word_that_only_one_engine_saw_is_noise() -> None:
    assert texts(merged(reading("seven fishes smudge?"), reading("seven fishes"))) == ["seven fishes"]


def test_nothing_and_something_is_something() -> None:
    page = reading("seven quiet fishes")
    assert texts(merged([], page)) == texts(merged(page, [])) == ["seven quiet fishes"]
    assert merged([], []) == []


def test_lines_and_words_are_counted_anew() -> None:
    found = merged(reading("seven _____ fishes", "swim"), reading("_____ quiet ______"))
    assert [(each.word.line, each.word.word) for each in found] == [(1, 1), (1, 2), (1, 3), (2, 1)]


WORDS = st.lists(st.lists(st.text("abc", min_size=1, max_size=6), min_size=1, max_size=5).map(" ".join), max_size=8)


@given(WORDS)
def test_a_reading_and_itself_are_itself(lines: list[str]) -> None:
    page = reading(*lines)
    assert merged(page, page) == page


@given(WORDS, WORDS)
def test_no_word_comes_from_nowhere_and_none_is_doubled(first: list[str], second: list[str]) -> None:
    ours, theirs = reading(*first), reading(*second)
    found = [(each.word.text, each.word.box) for each in merged(ours, theirs)]
    assert set(found) <= {(each.word.text, each.word.box) for each in [*ours, *theirs]}
    assert len(found) == len(set(found))
