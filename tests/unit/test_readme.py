"""The README tells what is so."""

import re
from pathlib import Path
from typing import Any

import numpy as np

from inktally.imaging.page import PageImage
from inktally.ports import PageEngine
from inktally.settings import settings_table

README = (Path(__file__).parents[2] / "README.md").read_text()


def test_the_readme_lists_all_settings_as_they_are() -> None:
    begin, end = "<!-- settings: python -m inktally.settings -->\n", "<!-- end of settings -->"
    assert README.partition(begin)[2].partition(end)[0] == settings_table()


def test_the_engine_in_the_readme_is_one() -> None:
    code = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert code is not None
    module: dict[str, Any] = {}
    exec(code[1], module)  # noqa: S102 - our own README
    engine: PageEngine = module["build"](None)
    text = engine.read(PageImage(np.full((10, 10), 255, np.uint8)), engine.identify(["eng"]))
    assert (engine.remote, text.words, text.text) == (False, (), "")
