"""The README tells what is so."""

from pathlib import Path

from inktally.settings import settings_table

README = (Path(__file__).parents[2] / "README.md").read_text()


def test_the_readme_lists_all_settings_as_they_are() -> None:
    begin, end = "<!-- settings: python -m inktally.settings -->\n", "<!-- end of settings -->"
    assert README.partition(begin)[2].partition(end)[0] == settings_table()
