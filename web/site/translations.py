"""The languages of the page. Catalogues are text (.po) and compiled when they are first needed."""

from functools import cache
from importlib.resources import files
from io import BytesIO

from babel import Locale
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations

LANGUAGES = ("en", "de")
LONGEST_WISH = 200  # characters of Accept-Language


@cache
def translations(language: str) -> NullTranslations:
    """English is what stands in the templates."""
    if language == "en":
        return NullTranslations()
    text = files("web.site").joinpath("locale", language, "LC_MESSAGES", "site.po").read_bytes()
    compiled = BytesIO()
    write_mo(compiled, read_po(BytesIO(text), locale=language))
    compiled.seek(0)
    return Translations(compiled)


def negotiated(wished: str, accepted: str) -> str:
    """The language somebody has chosen, else the first of Accept-Language that there is, else English."""
    if wished in LANGUAGES:
        return wished
    parts = [part.partition(";") for part in accepted[:LONGEST_WISH].lower().split(",")]
    ranked = sorted(parts, key=lambda part: -_weight(part[2]))
    languages = (part[0].strip().partition("-")[0] for part in ranked)
    return next((language for language in languages if language in LANGUAGES), "en")


def _weight(parameter: str) -> float:
    try:
        return float(parameter.strip().removeprefix("q="))
    except ValueError:
        return 1.0


def own_name(language: str) -> str:
    """As its speakers write it."""
    return (Locale.parse(language).get_display_name() or language).capitalize()
