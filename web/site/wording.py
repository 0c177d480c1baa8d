"""What is told of errors and languages, in the visitor's language. `_` only marks what is to be translated."""

from babel import Locale, UnknownLocaleError

from inktally.languages import AUTO
from web.site.translations import translations

ISO = {"eng": "en", "deu": "de", "fra": "fr", "spa": "es", "dan": "da", "ces": "cs", "ita": "it", "nld": "nl",
       "pol": "pl", "por": "pt", "swe": "sv", "fin": "fi", "nor": "nb", "rus": "ru", "ukr": "uk", "ell": "el",
       "tur": "tr", "lat": "la", "hun": "hu", "ron": "ro"}  # fmt: skip


def _(text: str) -> str:
    return text


OTHERS = {"frk": _("German in Fraktur"), AUTO: _("Detected automatically")}
OURS = _("Something went wrong on our side.")
LATER = _("Please try again in a moment.")

HEADLINES = {
    "EmptyPicture": _("The file is empty."),
    "NotAPicture": _("The file is no picture."),
    "UnsupportedFormat": _("This kind of file is not read."),
    "UnreadablePicture": _("The picture is damaged."),
    "UnknownLanguage": _("The picture asks for a language that is not read here."),
    "UnknownOption": _("The picture asks for something that is not known here."),
    "TooLarge": _("The file is too large."),
    "RepeatedFailure": _("Reading the picture has failed again and again."),
    "RecognitionTimeout": _("Reading the picture took too long."),
    "LinkExpired": _("This link has expired."),
    "UnknownLink": _("There is nothing here."),
    "NotFound": _("There is nothing here."),
    "QuotaUsedUp": _("That is more than may be asked for in one day."),
    "RecipientRefused": _("This is no mail address that we can write to."),
    "BadForm": _("This form has grown old."),
    "BadRequest": _("This cannot be understood."),
    "Busy": _("Too much is going on just now."),
    "Overwritten": _("This picture has come already."),
    "TooSlow": _("It came too slowly."),
}
WHAT_TO_DO = {
    "UnsupportedFormat": _("Please save the picture as PNG, JPEG or TIFF, and upload that."),
    "LinkExpired": _("Links work for some days only. Please upload the picture again; what is known comes at once."),
    "UnknownLink": _("Please check that the link is complete; mail programs sometimes cut them."),
    "NotFound": _("Please check that the link is complete; mail programs sometimes cut them."),
    "QuotaUsedUp": _("Please come again tomorrow."),
    "RecipientRefused": _("An address is written like anna@example.org. Or leave it out, and see the results here."),
    "Overwritten": _("Please load the page again to send another one."),
    "TooSlow": _("Please send it again where the connection is faster, or send a smaller picture."),
    "BadForm": _("Please go back, load the page again, and send it once more. Cookies must be allowed."),
    "BadRequest": _("Please go back, load the page again, and send it once more; perhaps with fewer pictures at once."),
    "Busy": LATER,
}

WARNINGS = {
    "damaged": _("A part of this page is damaged; words may be missing or wrong."),
    "not-decoded": _("This page could not be opened; its words are missing."),
    "doubtful": _("This page was hard to read; many words may be wrong. Scan it again, sharper and in even light."),
    "text-layer": _("The text of the file says other words than this page shows; the page itself was read."),
    "hidden-words": _("The file holds words that this page does not show; they were not counted."),
    "signature": _("The file was signed; the searchable PDF has no signature."),
}

STATES = {
    "received": _("received"),
    "recognising": _("recognising the text"),
    "counting": _("counting the words"),
    "answered": _("done"),
    "failed": _("could not be read"),
    "delayed": _("takes longer"),
}


def language_names(codes: str, shown_in: str) -> str:
    """Of languages as Tesseract calls them, joined by +."""
    return ", ".join(language_name(code, shown_in) for code in codes.split("+"))


def language_name(code: str, shown_in: str) -> str:
    """Of a language as Tesseract calls it, or of `auto`."""
    if code in OTHERS:
        return translations(shown_in).gettext(OTHERS[code])
    try:
        name = Locale.parse(ISO[code]).get_display_name(shown_in)
    except (KeyError, UnknownLocaleError):
        name = None
    return name[:1].upper() + name[1:] if name else code
