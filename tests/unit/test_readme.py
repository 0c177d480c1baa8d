"""The README tells what is so."""

import re
from pathlib import Path
from typing import Any

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
    engine = module["build"](None)
    engine.warm_up()
    identity = engine.identify(["eng"])
    recognition = engine.recognise(Path("page.png"), identity)
    assert (recognition.engine, recognition.words) == (identity, ())


def test_every_file_that_the_readme_points_at_is_there() -> None:
    project = Path(__file__).parents[2]
    links = re.findall(r"\]\((?!http)([^)#]+)\)", README)
    assert links
    assert [link for link in links if not (project / link).exists()] == []
