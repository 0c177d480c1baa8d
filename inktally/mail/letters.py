"""The mails that people get about their pictures."""

from collections.abc import Sequence

from inktally import keys
from inktally.delivery import Mail, Problem, Upload
from inktally.document import CountedWord, CountsDocument, PageWarning
from inktally.mail.message import author, compose, render
from inktally.outputs.word_counts import counts_json
from inktally.text import file_name, shown

CHARTED_WORDS = 20


LOW_CONFIDENCE = 60  # of 100


LONGEST_WORD = 24


LONGEST_KEY = 300


LONGEST_MESSAGE = 600


MOST_WARNINGS = 20  # of one picture, that a mail shows


ADVICE = {
    "EmptyPicture": "The upload was probably cut short. Please upload the picture again.",
    "NotAPicture": "Please upload a picture: a PNG, JPEG or TIFF file will do.",
    "UnsupportedFormat": "Please save the picture as PNG, JPEG or TIFF, and upload that.",
    "UnreadablePicture": "Open the picture on your computer. If it looks right there, save it anew as PNG and upload"
    " that; if it does not, photograph or scan the page again.",
    "UnknownLanguage": "Please upload the picture again without a language, or with one that is read here, as in eng.",
    "UnknownOption": "Please upload the picture again without that option.",
    "TooLarge": "Please upload a smaller picture: scan at 300 dpi, crop it to the text, or send the pages one by one.",
    "RepeatedFailure": "Please save the picture anew as PNG, or print the PDF to a new one, and upload that. Those who"
    " run the service can see what happened, and can send the picture on its way again.",
    "RecognitionTimeout": "Please crop the picture to the text, or send the pages one by one.",
}


OUR_ADVICE = (
    "This is a fault of the service, not of your picture. Those who run the service can see it. You need not do"
    " anything now; should no answer have come by tomorrow, please upload the picture again."
)


def answer_mail(
    to: str, sender: str, message_id: str, upload: Upload, document: CountsDocument, link: str = "", days: float = 0
) -> Mail:
    """The counts, with the document attached; `link` shows the result on the page, and works for so many `days`.

    Raises `RecipientRefused`, `UnsafeMail`, and `BadSettings` for a wrong sender.
    """
    name, mean = shown(upload.short_name), document.mean_confidence
    words = "1 word" if document.total == 1 else f"{document.total:,} words"
    attachment = f"{file_name(upload.short_name)}.words.json"
    values: dict[str, object] = {
        "name": name,
        "words": words,
        "document": document,
        "chart": _chart(document.words[:CHARTED_WORDS]),
        "mean": None if mean is None else round(mean),
        "hard_to_read": mean is not None and mean < LOW_CONFIDENCE,
        "warnings": [_warning(each) for each in document.warnings[:MOST_WARNINGS]],
        "more_warnings": max(0, len(document.warnings) - MOST_WARNINGS),
        "languages": shown("+".join(document.engine.languages)),
        "attachment": attachment,
        "link": link,
        "lasts": "1 day" if days == 1 else f"{days:g} days",
    }
    values["how"] = render("how.txt", values)
    template, subject = (
        ("answer", f"{words} in {name}") if document.total else ("no_words", f"No words found in {name}")
    )
    return compose(
        template,
        subject,
        to=to,
        sender=sender,
        message_id=message_id,
        values=values,
        attachment=(attachment, counts_json(document)),
    )


def _warning(warning: PageWarning) -> str:
    return f"Page {warning.page}: {shown(warning.message, LONGEST_MESSAGE)}"


def failure_mail(to: str, sender: str, message_id: str, upload: Upload, problem: Problem) -> Mail:
    """What is wrong and what to do about it. Raises as `answer_mail` does."""
    name = shown(upload.short_name)
    values: dict[str, object] = {
        "name": name,
        "message": shown(problem.message, LONGEST_MESSAGE),
        "advice": ADVICE.get(problem.kind, OUR_ADVICE),
        "kind": shown(problem.kind),
        "kept": shown(keys.failed(upload.name), LONGEST_KEY) if problem.kind in ADVICE else "",
    }
    return compose("failure", f"{name} could not be read", to=to, sender=sender, message_id=message_id, values=values)


def delay_mail(to: str, sender: str, message_id: str, upload: Upload) -> Mail:
    """It takes longer, and nothing need be done. Raises as `answer_mail` does."""
    name = shown(upload.short_name)
    return compose("delay", f"Still reading {name}", to=to, sender=sender, message_id=message_id, values={"name": name})


def message_id(delivery_id: str, kind: str, sender: str) -> str:
    """The Message-ID that a delivery's mail of one kind always has, so that a repeated mail can be told."""
    return f"<{delivery_id}.{kind}@{author(sender).domain}>"


def _chart(words: Sequence[CountedWord]) -> list[dict[str, object]]:
    """The rows of the bar chart: word, count, and the bar's length in per cent of the longest."""
    longest = max((entry.count for entry in words), default=1)
    return [
        {"word": shown(entry.word, LONGEST_WORD), "count": entry.count, "bar": max(1, 100 * entry.count // longest)}
        for entry in words
    ]
