"""What hOCR and ALTO share: elements of XML that any recognised text fits in, and names of languages."""

import re
from collections.abc import Iterable
from xml.etree import ElementTree as ET

FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, production 2 (Char)
HEAD = b"<?xml version='1.0' encoding='UTF-8'?>\n"

LANGUAGE_TAGS = {
    "chi_sim": "zh-Hans",
    "chi_tra": "zh-Hant",
    "deu_latf": "de-Latf",
    "frk": "de-Latf",
    "uzb_cyrl": "uz-Cyrl",
    "aze_cyrl": "az-Cyrl",
    "srp_latn": "sr-Latn",
}
"""Tesseract's models that are named after more than a language -> BCP 47."""


def element(parent: ET.Element | None, tag: str, text: str = "", /, **attributes: object) -> ET.Element:
    """A new element, the last child of `parent`; an attribute that is None is left out, class_ is written class."""
    named = {name.rstrip("_"): legal(str(value)) for name, value in attributes.items() if value is not None}
    child = ET.Element(tag, named) if parent is None else ET.SubElement(parent, tag, named)
    child.text = legal(text) or None
    return child


def legal(text: str) -> str:
    """`text` with what XML 1.0 cannot hold, most control characters, replaced."""
    return FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)


def one_line(text: str) -> str:
    """A word as it stands in an attribute or between tags, where white space is only a blank."""
    return " ".join(text.split())


def written(root: ET.Element, document_type: bytes = b"") -> bytes:
    """The document in UTF-8, indented."""
    ET.indent(root)
    document: bytes = ET.tostring(root, encoding="utf-8")
    return HEAD + document_type + document + b"\n"


def languages(names: Iterable[str]) -> list[str]:
    """Languages, named as Tesseract does, as BCP 47 has them."""
    return list(dict.fromkeys(_tag(name) for name in names))


def _tag(name: str) -> str:
    known = LANGUAGE_TAGS.get(name.lower())
    if known:
        return known
    language = name.partition("_")[0].lower()
    return language if re.fullmatch("[a-z]{2,3}", language) else "und"
