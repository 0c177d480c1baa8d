"""Names of languages."""

from __future__ import annotations

from collections.abc import Iterable

FORMER = {"deu_frak": "frk", "dan_frak": "frk", "slk_frak": "frk"}  # what Tesseract 3 called its models for Fraktur


def present(languages: Iterable[str]) -> tuple[str, ...]:
    """The languages by the names they have now, each once."""
    return tuple(dict.fromkeys(FORMER.get(language, language) for language in languages))
