"""Which languages a picture is read in: as somebody says, or as a rule for its key says.

Languages bear Tesseract's names, several are joined by +, and Fraktur is one of its own: frk. `auto` leaves it to
`inktally.reading.detection` to find out, page by page.
"""

from collections.abc import Iterable
from pathlib import Path

from inktally.errors import BadSettings

AUTO = "auto"
FORMER = {"deu_frak": "frk", "dan_frak": "frk", "slk_frak": "frk"}  # what Tesseract 3 called its models for Fraktur
SCRIPTS = {
    "Arabic": ("ara", "fas", "urd", "pus", "snd", "uig"),
    "Armenian": ("hye",),
    "Bengali": ("ben", "asm"),
    "Canadian_Aboriginal": ("iku",),
    "Cherokee": ("chr",),
    "Cyrillic": ("rus", "ukr", "bel", "bul", "srp", "mkd", "kaz", "kir", "mon", "tgk", "tat", "uzb_cyrl", "aze_cyrl"),
    "Devanagari": ("hin", "mar", "nep", "san"),
    "Ethiopic": ("amh", "tir"),
    "Fraktur": ("frk", "deu_latf", "script/Fraktur"),
    "Georgian": ("kat", "kat_old"),
    "Greek": ("ell", "grc"),
    "Gujarati": ("guj",),
    "Gurmukhi": ("pan",),
    "Han": ("chi_sim", "chi_tra"),
    "Hangul": ("kor",),
    "Hebrew": ("heb", "yid"),
    "Japanese": ("jpn",),
    "Kannada": ("kan",),
    "Katakana": ("jpn",),
    "Khmer": ("khm",),
    "Hiragana": ("jpn",),
    "Korean": ("kor",),
    "Lao": ("lao",),
    "Malayalam": ("mal",),
    "Myanmar": ("mya",),
    "Oriya": ("ori",),
    "Sinhala": ("sin",),
    "Syriac": ("syr",),
    "Tamil": ("tam",),
    "Telugu": ("tel",),
    "Thaana": ("div",),
    "Thai": ("tha",),
    "Tibetan": ("bod", "dzo"),
}
"""Scripts other than Latin, as Tesseract's `osd` names them, and the models that read them."""
PLAIN = frozenset({"Latin", "Fraktur", "Greek", "Cyrillic", "Han", "Japanese"})
"""Scripts of letters that stand apart on level lines, with hardly a dot between these: imaging goes by such letters."""
_SCRIPT = {language: script for script, languages in reversed(SCRIPTS.items()) for language in languages}
NO_LANGUAGES = frozenset({"osd", "equ", "snum"})  # models that read no text


def split_names(names: str) -> tuple[str, ...]:
    """eng+deu as its parts. Raises `BadSettings` where one is empty, or `auto` is one among others."""
    parts = tuple(part.strip() for part in names.split("+"))
    if not all(parts):
        raise BadSettings(f"{names!r} names no languages; it may be like eng, eng+deu, or {AUTO}.")
    if AUTO in parts and len(parts) > 1:
        raise BadSettings(f"{names!r}: {AUTO} finds the languages by itself, so it stands alone.")
    return parts


def by_prefix(rules: str, key: str) -> str:
    """What the rules say for a key; empty: nothing. The longest prefix decides.

    Rules are like `input/de/=deu,input/old/=frk`. Raises `BadSettings` where they are not.
    """
    found = {"": ""}
    for rule in filter(None, (part.strip() for part in rules.split(","))):
        prefix, equals, names = rule.rpartition("=")
        if not equals or not prefix:
            raise BadSettings(f"{rule!r} is no rule for a prefix; it is like input/de/=deu, or input/old/=frk+lat.")
        found[prefix] = "+".join(split_names(names))
    return found[max((prefix for prefix in found if key.startswith(prefix)), key=len, default="")]


def installed(folder: Path) -> tuple[str, ...]:
    """The languages whose models lie in a folder of Tesseract's: what `auto` chooses from."""
    names = (model.relative_to(folder).with_suffix("").as_posix() for model in folder.rglob("*.traineddata"))
    return tuple(sorted(name for name in names if name not in NO_LANGUAGES))


def script_of(language: str) -> str:
    """The script that a model reads; Latin where nothing else is known."""
    if language in _SCRIPT:
        return _SCRIPT[language]
    name = language.removeprefix("script/").removesuffix("_vert")
    return {"HanS": "Han", "HanT": "Han"}.get(name, name if name in SCRIPTS else _SCRIPT.get(name, "Latin"))


def is_plain(language: str) -> bool:
    """Whether it is written as most steps of imaging, and of Tesseract, take for granted."""
    return script_of(language) in PLAIN and not language.endswith("_vert")


def present(names: Iterable[str]) -> tuple[str, ...]:
    """The languages by the names they have now, each once."""
    return tuple(dict.fromkeys(FORMER.get(name, name) for name in names))
