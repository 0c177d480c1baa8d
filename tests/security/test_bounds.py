"""What small files may become: in the child, in its answer, in the process of a run, and on the page."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from inktally.document import Box, CountsDocument, Engine, Page, Recognition, Word
from inktally.errors import TooLarge
from inktally.imaging.decoding.document import Limits
from inktally.outputs.shared import coordinates
from inktally.outputs.shared.layout import Reading
from inktally.reading.child import _size
from inktally.reading.pages import PageRead
from inktally.sandbox.parent import Sandbox
from tests.support import hostile_files
from tests.support.hostile_files import FILES, words
from tests.support.weighed import Weighed, weighed

PARENT, CHILD = 250, 1300
"""Megabytes that the run's process, and its child, may hold while a file of a stranger is refused."""
QUICK = {
    "a page of 400,000 words": "TooLarge",
    "30 pages that share 40,000 words": "TooLarge",
    "a word of 2,000,000 letters": "TooLarge",
    "a page of 0.0001 points": "UnreadablePicture",
    "TIFF of 65,535 pages": "TooLarge",
    "TIFF that never ends": "words",
    "one pixel": "words",
    "a line of 32,767 pixels": "words",
}
SLOW = {
    "a form that shows itself": "TooLarge",
    "5,000,000 brackets": "words",
    "200 pages that share 20,000 words": "TooLarge",
    "forms in forms, 10^10 words": "TooLarge",
    "30,000 fonts": "words",
    "5,000,000 curves": "TooLarge",
    "a PDF with a picture of 900,000,000 pixels": "words",
    "PNG with 2 GB of packed text": "UnreadablePicture",
    "PNG with 40 MB of text": "words",
    "PNG with a profile of 2 GB": "UnreadablePicture",
    "PNG of 100,000,000 blank pixels": "TooLarge",
    "GIF of 3,000 frames": "words",
    "WebP of 3,000 frames": "words",
    "APNG of 3,000 frames": "words",
    "JPEG of 1,000 scans": "words",
    "TIFF full of the smallest letters": "words",
}


def written(folder: Path, *names: str) -> list[Path]:
    paths = [folder / str(number) for number, _ in enumerate(names)]
    for name, path in zip(names, paths, strict=True):
        path.write_bytes(FILES[name]())
    return paths


def test_a_small_file_that_becomes_large_ends_in_little_time_and_memory(tmp_path: Path) -> None:
    came = weighed(written(tmp_path, *QUICK))
    assert {name: each.kind for name, each in zip(QUICK, came, strict=True)} == QUICK
    assert (came[-1].parent < PARENT, came[-1].child < CHILD) == (True, True), came[-1]
    assert max(each.seconds for each in came) < 120, came  # 1 to 5 on an idle machine


@pytest.mark.long
@pytest.mark.parametrize("name", SLOW)
def test_so_does_one_that_keeps_its_child_busy(name: str, tmp_path: Path) -> None:
    (came,) = weighed(written(tmp_path, name))
    sys.stdout.write(f"{name}: {came}\n")
    assert came.kind in {SLOW[name], "RecognitionTimeout"}, came
    assert (came.parent < 2 * PARENT, came.child < CHILD) == (True, True), came
    assert came.seconds < 330


@pytest.fixture(scope="module")
def came(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Weighed]:
    folder = tmp_path_factory.mktemp("few")
    files = {
        "page": hostile_files.pdf(words(101, per_line=10)),
        "picture": hostile_files.pdf(words(90, per_line=10), share=3),
        "letters": hostile_files.pdf(words(3, per_line=1, word=b"x" * 400)),
        "allowed": hostile_files.pdf(words(90, per_line=10), share=2),
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    paths = [folder / name for name in files]
    return dict(zip(files, weighed(paths, max_page_words=100, max_words=250), strict=True))


class TestWords:
    """Few words are allowed here, so that to have more takes a moment."""

    def test_a_page_with_too_many_is_refused_with_the_limit_and_the_setting(self, came: dict[str, Weighed]) -> None:
        assert came["page"].kind == "TooLarge"
        assert "Page 1 has more than 100 words, or 1,000 characters (INKTALLY_MAX_PAGE_WORDS)" in came["page"].message

    def test_so_is_one_whose_words_are_too_long(self, came: dict[str, Weighed]) -> None:
        assert came["letters"].kind == "TooLarge"

    def test_a_picture_with_too_many_on_all_pages_is_refused(self, came: dict[str, Weighed]) -> None:
        assert came["picture"].kind == "TooLarge"
        assert "more than 250 words (INKTALLY_MAX_WORDS)" in came["picture"].message

    def test_one_with_as_many_as_are_allowed_is_read(self, came: dict[str, Weighed]) -> None:
        assert (came["allowed"].kind, came["allowed"].message) == ("words", "180")


def test_a_sign_of_a_script_without_spaces_is_a_word() -> None:
    page = Page(number=1, width=10, height=10)
    read = PageRead(pages=1, page=page, words=(word("\u6f22" * 150),))
    assert _size(read, Limits(max_pixels=1, max_pages=1, max_page_words=200)) == 150
    with pytest.raises(TooLarge, match="more than 100 words"):
        _size(read, Limits(max_pixels=1, max_pages=1, max_page_words=100))


def test_of_an_answer_no_more_than_its_bound_is_read(tmp_path: Path) -> None:
    sandbox = Sandbox(1, tmp_path, answer=1_000_000)
    try:
        assert sandbox.call("tests.support.hostile:say", {"characters": 900_000}, seconds=60)
        with pytest.raises(TooLarge, match="more than 1,000,000 bytes"):
            sandbox.call("tests.support.hostile:say", {"characters": 1_000_000}, seconds=60)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(TooLarge, match="more than 1,000,000 bytes"):
            sandbox.call("tests.support.hostile:say_without_end", {}, seconds=60)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 * 1024
        assert sandbox.call("tests.support.hostile:be_well", {}, seconds=60)
    finally:
        sandbox.close()


def word(text: str, number: int = 0) -> Word:
    place = {"page": 1 + number // 1000, "block": 1, "paragraph": 1, "line": 1 + number % 1000 // 10, "word": 1}
    return Word(text=text, confidence=90, box=Box(left=1, top=1, width=9, height=9), **place)


def coordinates_of_words(path: Path, number: int) -> None:
    """As the output has them, 1,000 words a page; made line by line, for want of memory."""
    engine = Engine(name="text", version="1", languages=("eng",))
    pages = [Page(number=each, width=99, height=99) for each in range(1, number // 1000 + 1)]
    read = Recognition(engine=engine, pages=tuple(pages), words=(word("hay"),), text="")
    facts = {"source": "x", "etag": "", "size": 1, "version": "", "fingerprint": engine.fingerprint, "tokeniser": "x"}
    facts |= {"min_confidence": 0, "pages": 1, "total": 0, "distinct": 0, "mean_confidence": None, "words": ()}
    counts = CountsDocument.model_validate(facts | {"engine": engine})
    head, line, end, *_ = coordinates.as_json(Reading(read, (), counts)).rsplit(b"\n", 4)
    with path.open("wb") as file:
        file.write(head + b"\n")
        file.writelines(
            line.replace(b'"page": 1', b'"page": %d' % (1 + each // 1000)) + b",\n" for each in range(number)
        )
        file.write(end + b"\n}\n")


def test_the_page_draws_a_picture_of_very_many_words_in_little_memory(tmp_path: Path) -> None:
    """As many as a file of 3.6 kB had, before there was a limit."""
    coordinates_of_words(tmp_path / "words", 400_000)
    program = (
        "from web.site.drawing import drawn; from tests.support.weighed import peak; before = peak(); "
        f"shown = drawn(open({str(tmp_path / 'words')!r}, 'rb'), 400, 'hay'); "
        "print(shown.pages, shown.sheet.in_all, len(shown.hits), shown.hits_in_all, peak() - before)"
    )
    told = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.split()
    assert told[:4] == ["400", "1000", "200", "400000"]
    assert int(told[4]) < 20  # megabytes


def test_files_that_are_fetched_at_once_are_in_no_memory(tmp_path: Path) -> None:
    """Ten clients that read slowly get a file of 50 MB each."""
    program = f"""
from pathlib import Path
from inktally.settings import read_settings
from inktally.stores.files import build
from tests.support.weighed import peak
from web.stored import stored
scratch = Path({str(tmp_path / "scratch")!r})
store = build({str(tmp_path / "store")!r}, read_settings(scratch=scratch))
store.put("output/large", Path({str(tmp_path / "large")!r}))
scratch.mkdir()
before = peak()
answers = [stored(store, "output/large", scratch, "text/plain", {{}}) for _ in range(10)]
print(answers[0].headers["content-length"], len([*scratch.rglob("stored")]), peak() - before)
"""
    (tmp_path / "large").write_bytes(b"x" * 50_000_000)
    told = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.split()
    assert told[:2] == ["50000000", "0"]
    assert int(told[2]) < 20  # megabytes
