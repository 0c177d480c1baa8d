"""What was damaged, left out or guessed is said wherever results are: nobody finds it by comparing words."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from flows.commands.console import print_outcomes
from inktally import plugins
from inktally.delivery import Counting, Outcome, Upload
from inktally.document import PageWarning, Recognition
from inktally.errors import UnreadablePicture
from inktally.mail.letters import answer_mail
from inktally.outputs.word_counts import counts_json
from inktally.settings import Settings, read_settings
from inktally.steps import counting, recognising
from tests.support.desks import ENGINE, Desk
from tests.support.layers import scan
from tests.support.mailbox import parsed
from tests.support.readings import a_reading

WARNINGS = (
    PageWarning(code="damaged", page=2, message="A strip is damaged."),
    PageWarning(code="hidden-words", page=7, message="3 words are hidden."),
)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return read_settings(scratch=tmp_path_factory.mktemp("scratch"), recognition_workers=1)


def tiff(path: Path, damaged: tuple[int, ...]) -> Path:
    """Three pages, of which these cannot be decoded."""
    page = scan(("Every evening the miller wrote", "how many sacks were ground"), dpi=150).crop((0, 0, 1000, 400))
    page.save(path, save_all=True, append_images=[page, page], compression="tiff_lzw")
    content = bytearray(path.read_bytes())
    with Image.open(path) as file:
        for number in damaged:
            file.seek(number - 1)
            start, length = file.tag_v2[273][0], file.tag_v2[279][0]
            content[start : start + length] = b"\xff" * length
    path.write_bytes(content)
    return path


def recognised(settings: Settings, picture: Path) -> Recognition:
    recogniser = plugins.recogniser("tesseract", settings)
    return recogniser.recognise(picture, recogniser.identify(["eng"]))


def test_a_page_that_cannot_be_decoded_leaves_the_others_and_is_named(settings: Settings, tmp_path: Path) -> None:
    read = recognised(settings, tiff(tmp_path / "three.tif", (2,)))
    assert [(warning.code, warning.page) for warning in read.warnings] == [("not-decoded", 2)]
    assert {word.page for word in read.words} == {1, 3}
    assert len(read.words) == 20
    assert len(read.pages) == 3


def test_a_picture_of_nothing_but_such_pages_is_refused(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(UnreadablePicture, match="Page 1"):
        recognised(settings, tiff(tmp_path / "three.tif", (1, 2, 3)))


def test_a_page_that_was_hard_to_read_is_doubtful_and_a_clean_one_is_not(settings: Settings, tmp_path: Path) -> None:
    clean = scan(dpi=150)
    clean.save(tmp_path / "clean.png")
    assert not recognised(settings, tmp_path / "clean.png").warnings
    bad = np.asarray(clean.resize((300, 424)).resize(clean.size)).astype(int)
    bad = bad + np.random.default_rng(1).normal(0, 60, bad.shape)
    Image.fromarray(np.clip(bad, 0, 255).astype(np.uint8)).save(tmp_path / "bad.png")
    assert [warning.code for warning in recognised(settings, tmp_path / "bad.png").warnings] == ["doubtful"]


def test_the_counts_have_the_warnings_of_what_was_read(settings: Settings) -> None:
    desk = Desk(settings)
    delivery = desk.deliver("input/a.png", "one two")
    receipt = desk.recognise(delivery)
    read = Recognition.model_validate_json(desk.store.read(receipt.artefact)).model_copy(update={"warnings": WARNINGS})
    desk.store.put(receipt.artefact, read.model_dump_json().encode())
    again = recognising.recognise(desk.store, desk.recogniser, delivery, ENGINE, settings, refresh=False)
    counting.count(desk.store, desk.counter, [again], Counting())
    reading = counting.reading_of(desk.store, delivery, again, Counting())
    assert reading.counts.warnings == again.warnings == WARNINGS
    assert b'"code": "hidden-words", "page": 7' in counts_json(reading.counts)


@pytest.mark.parametrize("words", [("one", "two"), ()])
def test_the_mail_says_them(words: tuple[str, ...]) -> None:
    document = a_reading(*words).counts.model_copy(update={"warnings": WARNINGS * 15})
    mail = parsed(answer_mail("a@example.org", "b@example.org", "<1@x>", Upload(key="input/a.png"), document).content)
    for kind in ("plain", "html"):
        body = mail.get_body((kind,))
        assert body is not None
        assert "Page 2: A strip is damaged." in body.get_content()
        assert "10 more are in the attached file." in body.get_content()


def test_the_terminal_says_them() -> None:
    shown = io.StringIO()
    print_outcomes(Console(file=shown, width=100), ["a.pdf"], [Outcome(upload="a.pdf", warnings=WARNINGS)])
    assert "a.pdf: page 2: A strip is damaged." in shown.getvalue()
    assert "a.pdf: page 7: 3 words are hidden." in shown.getvalue()
