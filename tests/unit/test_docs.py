"""The documents lead to what exists, and the diagram is what its source says."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
DOCUMENTS = sorted([*PROJECT.glob("*.md"), *(PROJECT / "docs").rglob("*.md")])
FOLDERS = "benchmarks|deployments|docs|flows|inktally|spark_jobs|tasks|tests|web"
PATH = re.compile(rf"(?<![\w./~-])(?:{FOLDERS})/[\w./-]*(?![…*])")
PLACEHOLDER = re.compile("[A-Z]{4}")  # as in NAME
FILE = re.compile(r"`([a-z_]\w*\.py)`")
LINK = re.compile(r"\]\((?!https?:)([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
CODE_BLOCK = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def by_name(document: Path) -> str:
    return str(document.relative_to(PROJECT))


every_document = pytest.mark.parametrize("document", DOCUMENTS, ids=by_name)


@every_document
def test_every_file_and_folder_that_a_document_names_exists(document: Path) -> None:
    named = {path.rstrip(".") for path in PATH.findall(document.read_text())}
    unknown = sorted(path for path in named if not (PROJECT / path).exists())
    assert [path for path in unknown if not PLACEHOLDER.search(path)] == []


@every_document
def test_every_module_that_a_document_names_without_its_folder_exists(document: Path) -> None:
    folders = [PROJECT / folder for folder in FOLDERS.split("|")]
    named = set(FILE.findall(document.read_text()))
    assert sorted(name for name in named if not any(any(folder.rglob(name)) for folder in folders)) == []


@every_document
def test_every_link_leads_to_a_file_and_to_a_heading_in_it(document: Path) -> None:
    assert [link for link in LINK.findall(document.read_text()) if not _leads_somewhere(document, link)] == []


def _leads_somewhere(document: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = document.parent / path if path else document
    return target.exists() and (not anchor or anchor in _anchors(target))


def _anchors(document: Path) -> set[str]:
    """Of its headings, as GitHub makes them."""
    headings = HEADING.findall(CODE_BLOCK.sub("", document.read_text()))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_index_leads_to_every_page() -> None:
    index = (PROJECT / "docs" / "README.md").read_text()
    pages = {page.name for page in (PROJECT / "docs").glob("*.md")} - {"README.md"}
    assert sorted(page for page in pages if f"]({page}" not in index) == []


def test_the_diagram_is_what_its_source_says() -> None:
    docs = PROJECT / "docs"
    drawn = runpy.run_path(str(docs / "diagram.py"))["drawn"]
    assert drawn((docs / "architecture.txt").read_text()) == (docs / "architecture.svg").read_text()


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("row\nbox a 1-4 code A title\nbox b 4-8 code Another", "overlap"),
        ("row\nbox a 1-2 code A title that is much too long", "does not fit"),
        ("row\nbox a 1-4 code A\nbox b 5-8 code B\narrow a -> b: too long for the gap", "longer than its arrow"),
        ("row\nbox a 1-4 code A\nbocks b 5-8 code B", "neither row, box nor arrow"),
    ],
)
def test_what_would_overlap_or_not_fit_is_not_drawn(source: str, fault: str) -> None:
    drawn = runpy.run_path(str(PROJECT / "docs" / "diagram.py"))["drawn"]
    with pytest.raises(SystemExit, match=fault):
        drawn(source)
