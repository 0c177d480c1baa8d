"""Names of languages, rules for keys, and the models that are installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from inktally.errors import BadSettings
from inktally.languages import by_prefix, installed, is_plain, script_of, split_names
from inktally.settings import read_settings

RULES = "input/de/=deu, input/de/old/=frk,input/mixed/=eng+fra, input/any/=auto"


@pytest.mark.parametrize(
    ("key", "languages"),
    [
        ("input/de/letter.png", "deu"),
        ("input/de/old/letter.png", "frk"),
        ("input/mixed/letter.png", "eng+fra"),
        ("input/any/letter.png", "auto"),
        ("input/letter.png", ""),
    ],
)
def test_the_longest_prefix_decides(key: str, languages: str) -> None:
    assert by_prefix(RULES, key) == languages


def test_without_rules_nothing_is_said_of_a_key() -> None:
    assert by_prefix("", "input/letter.png") == ""


@pytest.mark.parametrize("rules", ["input/de/", "=deu", "input/de/=", "input/de/=auto+deu", "input/de/=deu+"])
def test_a_rule_that_cannot_work_is_told_when_the_settings_are_read(rules: str) -> None:
    with pytest.raises(BadSettings, match="LANGUAGE_BY_PREFIX"):
        read_settings(language_by_prefix=rules)


def test_several_languages_are_told_apart() -> None:
    assert split_names("eng+ deu") == ("eng", "deu")


@pytest.mark.parametrize("names", ["", "eng+", "+", "auto+eng"])
def test_names_that_cannot_work_are_refused(names: str) -> None:
    with pytest.raises(BadSettings):
        split_names(names)


def test_the_models_in_the_folder_are_the_languages_to_choose_from(tmp_path: Path) -> None:
    for name in ("eng", "frk", "osd", "script/Latin"):
        model = tmp_path / f"{name}.traineddata"
        model.parent.mkdir(exist_ok=True)
        model.touch()
    assert installed(tmp_path) == ("eng", "frk", "script/Latin")


@pytest.mark.parametrize(
    ("language", "script", "plain"),
    [
        ("eng", "Latin", True),
        ("frk", "Fraktur", True),
        ("rus", "Cyrillic", True),
        ("chi_sim", "Han", True),
        ("script/HanS", "Han", True),
        ("jpn", "Japanese", True),
        ("chi_tra_vert", "Han", False),
        ("tha", "Thai", False),
        ("script/Arabic", "Arabic", False),
        ("my_own_model", "Latin", True),
    ],
)
def test_models_are_known_by_the_script_they_read(language: str, script: str, plain: bool) -> None:
    assert script_of(language) == script
    assert is_plain(language) == plain
