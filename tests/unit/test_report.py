"""The mails are what the uploader sees; names and words in them are whatever anybody uploaded."""

from __future__ import annotations

import json
import re
from email.message import EmailMessage
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, strategies as st

from inktally.delivery import Counting, Problem, StoredObject, Upload
from inktally.document import CountedWord, CountsDocument, Engine, WordCounts
from inktally.errors import BadSettings, InktallyError, PictureError
from inktally.mail.letters import ADVICE, OUR_ADVICE, answer_mail, delay_mail, failure_mail, message_id
from inktally.outputs.word_counts import counts_document, counts_json
from tests.support.mailbox import parsed

TO, SENDER, MESSAGE_ID = "anna@example.org", "Inktally <inktally@example.net>", "<1.mailed@example.net>"
RTL_OVERRIDE = "\N{RIGHT-TO-LEFT OVERRIDE}"
HIDDEN = re.compile(f"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029{RTL_OVERRIDE}]")
HOSTILE_NAMES = [
    "<script>alert(1)</script>.png",
    "a.png\r\nBcc: eve@example.org\r\n\r\n<p>Hello",
    "a\nb\x00c\x7f\x1b[31m.png",
    f"{RTL_OVERRIDE}gnp.exe",
    "a\u2028b\u2029c\x85d.png",
    "long " * 180 + ".png",
    "x" * 1000,
    "é" * 500,
    '"; filename="evil.exe',
    "{{ 7 * 7 }}{% raw %}.png",
    "&amp;<b>.png",
    "שלום עולם.png",
    "=?utf-8?q?evil?=",
    "..",
]


def a_document(
    *words: tuple[str, int], confidence: float = 95.0, min_confidence: float = 0.0, pages: int = 1
) -> CountsDocument:
    counted = tuple(CountedWord(word=word, count=count, confidence=confidence) for word, count in words)
    engine = Engine(name="tesseract", version="5.3.0", languages=("eng", "deu"))
    return counts_document(
        source="s3://pictures/input/page.png",
        picture=StoredObject(key="input/page.png", etag="abc", size=3, modified="2026-11-20T10:00:00Z"),
        engine=engine,
        pages=pages,
        counts=WordCounts(words=counted),
        counting=Counting(min_confidence=min_confidence),
    )


def an_answer(document: CountsDocument | None = None, name: str = "page.png", to: str = TO) -> EmailMessage:
    document = document or a_document(("the", 3), ("cat", 1))
    return parsed(answer_mail(to, SENDER, MESSAGE_ID, Upload(key=f"input/letters/{name}"), document).content)


def a_failure(kind: str, message: str = "It is so.", name: str = "page.png") -> EmailMessage:
    problem = Problem(kind=kind, message=message)
    return parsed(failure_mail(TO, SENDER, MESSAGE_ID, Upload(key=f"input/letters/{name}"), problem).content)


def text_of(mail: EmailMessage, kind: str = "plain") -> str:
    body = mail.get_body((kind,))
    assert body is not None
    content: str = body.get_content()
    return content


def a_delay(to: str = TO, sender: str = SENDER, name: str = MESSAGE_ID) -> EmailMessage:
    return parsed(delay_mail(to, sender, name, Upload(key="input/page.png")).content)


class Tags(HTMLParser):
    """Collects the tags and attributes of a page, and what a reader sees of it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes.extend(attrs)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


class TestAnswer:
    def test_the_subject_names_the_picture_and_the_number_of_words(self) -> None:
        assert an_answer()["Subject"] == "4 words in page.png"
        assert an_answer(a_document(("once", 1)))["Subject"] == "1 word in page.png"
        assert an_answer(a_document(("much", 1_234_567)))["Subject"] == "1,234,567 words in page.png"

    def test_both_parts_tell_words_counts_and_confidence(self) -> None:
        mail = an_answer(a_document(("the", 3), ("cat", 1), confidence=87.6))
        for text in (text_of(mail), Tags(text_of(mail, "html")).text):
            assert "2 different, read with a mean confidence of 88 of 100." in text
            assert "the" in text.split()
            assert "cat" in text.split()
            assert "page.png.words.json" in text
            assert "tesseract 5.3.0, language eng+deu, 1 page." in text

    def test_the_counts_are_attached_as_they_are_stored(self) -> None:
        document = a_document(("the", 3), ("cat", 1))
        [attached] = an_answer(document).iter_attachments()
        assert attached.get_content_type() == "application/json"
        assert attached.get_filename() == "page.png.words.json"
        assert attached.get_content() == counts_json(document)

    def test_the_chart_shows_the_twenty_most_frequent_words_and_says_how_many_are_left(self) -> None:
        document = a_document(*[(f"word{number:02}", 30 - number) for number in range(25)])
        mail = an_answer(document)
        for text in (text_of(mail), text_of(mail, "html")):
            assert re.findall(r"word\d\d", text) == [f"word{number:02}" for number in range(20)]
            assert "5 more words" in text

    def test_the_bars_are_as_long_as_the_counts_are_large(self) -> None:
        page = text_of(an_answer(a_document(("a", 1000), ("b", 500), ("c", 1))), "html")
        assert re.findall(r'class="bar" width="(\d+)%"', page) == ["100", "50", "1"]

    def test_a_picture_that_was_hard_to_read_comes_with_advice(self) -> None:
        for confidence, expected in ((59.9, True), (60.0, False)):
            mail = an_answer(a_document(("a", 1), confidence=confidence))
            for kind in ("plain", "html"):
                assert ("Photograph the page again, sharper" in " ".join(text_of(mail, kind).split())) is expected

    def test_a_least_confidence_is_told(self) -> None:
        assert "confidence below 42.5 of 100 are left out" in text_of(
            an_answer(a_document(("a", 1), min_confidence=42.5))
        )
        assert "are left out" not in text_of(an_answer())

    def test_pages_are_told(self) -> None:
        assert "1,200 pages." in text_of(an_answer(a_document(("a", 1), pages=1200)))

    def test_a_picture_without_words_says_so_and_what_to_do(self) -> None:
        mail = an_answer(a_document())
        assert mail["Subject"] == "No words found in page.png"
        for kind in ("plain", "html"):
            assert "Photograph or scan it again" in text_of(mail, kind)
            assert 'read as "eng+deu"' in Tags(text_of(mail, kind)).text
        [attached] = mail.iter_attachments()
        assert json.loads(attached.get_content())["words"] == []


class TestFailure:
    def test_it_tells_what_is_wrong_what_to_do_and_where_the_picture_is(self) -> None:
        mail = a_failure("TooLarge", "The page has 12 million pixels too many.")
        assert mail["Subject"] == "page.png could not be read"
        for text in (text_of(mail), Tags(text_of(mail, "html")).text):
            assert "The page has 12 million pixels too many." in text
            assert ADVICE["TooLarge"] in text
            assert "failed/letters/page.png" in text

    def test_there_is_advice_for_every_fault_of_a_picture(self) -> None:
        assert set(ADVICE) == {error.__name__ for error in PictureError.__subclasses__()}

    @pytest.mark.parametrize("kind", [error.__name__ for error in InktallyError.__subclasses__()] + ["ValueError"])
    def test_a_fault_of_ours_is_not_blamed_on_the_picture(self, kind: str) -> None:
        if kind == "PictureError":
            return
        text = text_of(a_failure(kind))
        assert OUR_ADVICE in text
        assert "failed/" not in text


def test_the_mail_about_a_delay_asks_for_nothing() -> None:
    mail = a_delay()
    assert mail["Subject"] == "Still reading page.png"
    for kind in ("plain", "html"):
        assert "You need not do anything" in text_of(mail, kind)


class TestHeaders:
    def test_robots_are_told_not_to_answer(self) -> None:
        mail = an_answer()
        assert mail["Auto-Submitted"] == "auto-generated"
        assert mail["X-Auto-Response-Suppress"] == "All"

    def test_a_mail_is_dated_in_utc_and_bears_the_given_message_id(self) -> None:
        name = message_id("f" * 64, "mailed", SENDER)
        mail = a_delay(name=name)
        assert mail["Message-ID"] == name == f"<{'f' * 64}.mailed@example.net>"
        assert mail["Date"].datetime.utcoffset().total_seconds() == 0

    def test_message_ids_differ_by_delivery_and_by_kind(self) -> None:
        ids = {message_id(delivery, kind, SENDER) for delivery in ("a", "b") for kind in ("mailed", "delayed")}
        assert len(ids) == 4

    @pytest.mark.parametrize("sender", ["", "Inktally", "Inktally <@>", "a@b.c\r\nBcc: d@e.f"])
    def test_a_sender_without_an_address_is_a_wrong_setting(self, sender: str) -> None:
        for use in (
            lambda: a_delay(sender=sender),
            lambda: message_id("a", "mailed", sender),
        ):
            with pytest.raises(BadSettings, match="INKTALLY_MAIL_FROM"):
                use()

    def test_the_senders_name_keeps_its_letters(self) -> None:
        mail = a_delay(sender='"Wörter, gezählt" <x@example.net>')
        assert mail["From"].addresses[0].display_name == "Wörter, gezählt"

    def test_bodies_are_ascii_on_the_wire(self) -> None:
        document = a_document(("naïve", 2), ("東京", 1))
        assert answer_mail(TO, SENDER, MESSAGE_ID, Upload(key="input/naïve.png"), document).content.isascii()


class TestHostileText:
    @pytest.mark.parametrize("name", HOSTILE_NAMES)
    def test_a_name_neither_adds_headers_nor_markup_nor_hidden_characters(self, name: str) -> None:
        plain = [an_answer(), a_failure("NotAPicture"), an_answer(a_document())]
        mails = [an_answer(name=name), a_failure("NotAPicture", name, name), an_answer(a_document(), name=name)]
        for mail, expected in zip(mails, plain, strict=True):
            assert mail.keys() == expected.keys()
            assert mail["To"] == TO
            assert Tags(text_of(mail, "html")).names == Tags(text_of(expected, "html")).names
            for text in (mail["Subject"], text_of(mail), Tags(text_of(mail, "html")).text):
                assert not re.search(
                    f"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029{RTL_OVERRIDE}]", text.replace("\r\n", "\n")
                )
            assert len(mail["Subject"]) < 100

    @pytest.mark.parametrize("name", HOSTILE_NAMES)
    def test_the_attachment_bears_a_harmless_name(self, name: str) -> None:
        [attached] = an_answer(name=name).iter_attachments()
        given_name = attached.get_filename()
        assert given_name is not None
        assert given_name.endswith(".words.json")
        assert not re.search(r'[\\/:*?"<>|\x00-\x1f]', given_name)
        assert not given_name.startswith(".")
        assert len(given_name) < 80

    def test_words_and_messages_and_languages_are_text_and_never_markup(self) -> None:
        evil = '<img src="x" onerror="alert(1)">'
        document = a_document((evil, 2), ("a\r\nb", 1), (f"{RTL_OVERRIDE}abc", 1))
        engine = Engine(name=evil, version=evil, languages=(evil,))
        document = document.model_copy(update={"engine": engine, "tokeniser": evil})
        for mail in (an_answer(document), an_answer(document.model_copy(update={"total": 0})), a_failure(evil, evil)):
            tags = Tags(text_of(mail, "html"))
            assert "img" not in tags.names
            assert not [name for name, _ in tags.attributes if name.startswith("on")]
            assert RTL_OVERRIDE not in text_of(mail) + text_of(mail, "html")

    @given(st.text(min_size=1, max_size=200), st.text(min_size=1, max_size=60))
    def test_any_name_and_word_make_a_mail_that_can_be_sent_and_read(self, name: str, word: str) -> None:
        mail = an_answer(a_document((word, 1)), name=name)
        assert mail["To"] == TO
        assert not mail.defects
        assert mail["Subject"].startswith("1 word in ")
        assert [part.get_content_type() for part in mail.walk()] == [
            "multipart/mixed",
            "multipart/alternative",
            "text/plain",
            "text/html",
            "application/json",
        ]

    def test_nothing_is_loaded_from_elsewhere(self) -> None:
        for mail in (an_answer(), a_failure("TooLarge"), an_answer(a_document())):
            assert not re.search(r"https?://|url\(|<img|<script|<link", text_of(mail, "html"))


class TestInternational:
    def test_words_of_any_script_arrive(self) -> None:
        words = [("שלום", 3), ("東京", 2), ("naïve", 1), ("मीठा", 1), ("می\N{ZERO WIDTH NON-JOINER}خواهم", 1)]
        mail = an_answer(a_document(*words), name="東京 naïve.png")
        assert mail["Subject"] == "8 words in 東京 naïve.png"
        for word, _ in words:
            assert word in text_of(mail)
            assert word in text_of(mail, "html")
        [attached] = mail.iter_attachments()
        assert attached.get_filename() == "東京 naïve.png.words.json"

    def test_an_address_with_letters_beyond_ascii_is_written_as_utf_8(self) -> None:
        mail = answer_mail("jürgen@example.org", SENDER, MESSAGE_ID, Upload(key="input/page.png"), a_document(("a", 1)))
        assert "To: jürgen@example.org".encode() in mail.content
        assert parsed(mail.content)["To"] == "jürgen@example.org"


def test_values_of_a_mail_are_never_missing() -> None:
    """The templates refuse what they are not given, so each template must be drawn in each of its branches."""
    documents: list[dict[str, Any]] = [{}, {"confidence": 10.0}, {"min_confidence": 5.0}, {"pages": 2}]
    for options in documents:
        for words in ([], [("a", 1)], [(str(number), 1) for number in range(30)]):
            assert text_of(an_answer(a_document(*words, **options)))
