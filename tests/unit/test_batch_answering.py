"""How the pictures of a batch are answered: once each, whatever is repeated or refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage

import pytest

from inktally import keys
from inktally.batch.answering import answer_document
from inktally.batch.handover import Entry
from inktally.batch.rounds import Tally, tallied
from inktally.delivery import Counting, Mail, Outcome, Problem, Upload
from inktally.document import CountedWord, WordCounts
from inktally.errors import MailRefused, RecipientRefused
from inktally.lease import Lease
from inktally.outputs import pdf
from inktally.settings import Settings
from inktally.steps import deliveries
from inktally.steps.answering import Services
from inktally.steps.choices import Choices
from tests.support.entries import a_receipt, keep_recognition
from tests.support.mailbox import parsed
from tests.support.memory_store import MemoryStore
from tests.support.readings import a_recognition, a_word

SETTINGS = Settings(_env_file=None)
ANNA = "anna@example.org"
COUNTS = WordCounts(words=tuple(CountedWord(word=word, count=1, confidence=91.5) for word in ("hand", "made")))
CHOICES = Choices(counting=Counting(), outputs=("plain_text", "word_counts"), after="keep")
UNREADABLE = Problem(kind="UnreadablePicture", message="The file is cut off; send it again.")


@dataclass
class Recorder:
    """A notifier that remembers; errors are raised first."""

    errors: list[Exception] = field(default_factory=list)
    sent: list[EmailMessage] = field(default_factory=list)

    def send(self, mail: Mail) -> None:
        if self.errors:
            raise self.errors.pop(0)
        self.sent.append(parsed(mail.content))


@dataclass
class Desk:
    """A store with pictures, and all that answers them."""

    store: MemoryStore = field(default_factory=MemoryStore)
    notifier: Recorder = field(default_factory=Recorder)
    has_uploaders: bool = True

    @property
    def services(self) -> Services:
        return Services(
            self.store, pdf.build(SETTINGS), self.notifier, SETTINGS, self.has_uploaders, moves_pictures=False
        )

    def entry(self, name: str, email: str = "", problem: Problem | None = None) -> Entry:
        key = f"input/{name}"
        self.store.put(key, b"the same bytes", metadata={"email": email} if email else {})
        delivery = deliveries.look(self.store, Upload(key=key))
        receipt = None if problem else a_receipt(1, made_for=delivery.id)
        return Entry(delivery=delivery, receipt=receipt, problem=problem)

    def answer(self, *entries: Entry) -> list[Outcome]:
        return answer_document(self.services, CHOICES, entries)

    def told(self) -> list[str]:
        return [mail["To"] for mail in self.notifier.sent]


@pytest.fixture
def desk() -> Desk:
    made = Desk()
    keep_recognition(made.store, a_receipt(1), a_recognition([a_word("hand"), a_word("made", 1)]), COUNTS)
    return made


def tally_of(desk: Desk, entries: Sequence[Entry], result: list[Outcome] | Exception) -> Tally:
    return tallied(desk.store, [entries], [result]).tally


def test_pictures_of_one_content_each_get_their_own_answer(desk: Desk) -> None:
    entries = [desk.entry("a.png", ANNA), desk.entry("b.png")]
    first, second = desk.answer(*entries)
    assert (first.words, first.notified, second.words, second.notified) == (2, ANNA, 2, None)
    assert first.outputs["word_counts"] == "s3://memory/output/word_counts/a.png.json"
    for name in ("a.png", "b.png"):
        assert f'"source": "s3://memory/input/{name}"'.encode() in desk.store.read(keys.word_counts(name))
    assert desk.told() == [ANNA]
    assert tally_of(desk, entries, [first, second]) == Tally(answered=2, words=4)


def test_a_second_pass_changes_nothing_mails_nobody_and_still_counts(desk: Desk) -> None:
    entries = [desk.entry("a.png", ANNA), desk.entry("broken.png", ANNA, UNREADABLE)]
    first = [desk.answer(each)[0] for each in entries]
    before = {found.key: found.version for found in desk.store.list("")}
    second = [desk.answer(each)[0] for each in entries]
    assert second == first
    assert {found.key: found.version for found in desk.store.list("")} == before
    assert desk.told() == [ANNA, ANNA]
    assert tally_of(desk, entries, second) == Tally(answered=2, words=2)


def test_a_pass_that_was_cut_off_before_the_marker_mails_nobody_twice(desk: Desk) -> None:
    entry = desk.entry("a.png", ANNA)
    (first,) = desk.answer(entry)
    desk.store.remove(keys.marker(entry.delivery.id, "answered"))
    assert desk.answer(entry) == [first]
    assert desk.told() == [ANNA]


def test_a_picture_that_cannot_be_read_is_kept_and_its_uploader_told_why(desk: Desk) -> None:
    (outcome,) = desk.answer(desk.entry("broken.png", ANNA, UNREADABLE))
    assert (outcome.error, outcome.outputs, outcome.notified) == (UNREADABLE, {}, ANNA)
    assert desk.notifier.sent[0]["Subject"] == "broken.png could not be read"
    assert desk.store.stat("input/broken.png")


def test_a_recipient_who_is_refused_for_ever_is_an_answer_with_a_failure(desk: Desk) -> None:
    desk.notifier.errors = [RecipientRefused("There is no such mailbox.")]
    entry = desk.entry("a.png", ANNA)
    (outcome,) = desk.answer(entry)
    share = tallied(desk.store, [[entry]], [[outcome]])
    assert (outcome.notified, len(outcome.outputs), share.tally) == (None, 2, Tally(answered=1, words=2))
    assert [failure.problem.kind for failure in share.failures] == ["RecipientRefused"]


def test_a_mail_that_is_refused_for_now_leaves_the_picture_unanswered(desk: Desk) -> None:
    desk.notifier.errors = [MailRefused("Try again later.")]
    entry = desk.entry("a.png", ANNA)
    with pytest.raises(MailRefused) as refused:
        desk.answer(entry)
    assert tally_of(desk, [entry], refused.value) == Tally(unanswered=1)
    (outcome,) = desk.answer(entry)
    assert outcome.notified == ANNA


def test_a_picture_that_another_run_is_answering_is_left_to_it(desk: Desk) -> None:
    entry = desk.entry("a.png", ANNA)
    other = Lease(desk.store, keys.marker(entry.delivery.id, "claim"), ttl=SETTINGS.lease_seconds)
    assert other.acquire(0)
    assert desk.answer(entry) == []
    other.release()
    assert desk.told() == []


def test_nobody_is_told_of_pictures_of_somebody_elses_store(desk: Desk) -> None:
    desk.has_uploaders = False
    outcomes = desk.answer(desk.entry("a.png", ANNA)) + desk.answer(desk.entry("b.png", ANNA, UNREADABLE))
    assert [outcome.notified for outcome in outcomes] == [None, None]
    assert desk.told() == []


def test_a_picture_that_was_replaced_meanwhile_leaves_its_outputs_to_the_newer_one(desk: Desk) -> None:
    entry = desk.entry("a.png")
    desk.store.put("input/a.png", b"newer")
    (outcome,) = desk.answer(entry)
    assert outcome.outputs == {}
    assert list(desk.store.list("output/")) == []
