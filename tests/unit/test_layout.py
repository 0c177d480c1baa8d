"""The layout that CONTRIBUTING.md describes: short files, short functions, one class a name, small shims."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PRODUCT = ("deployments", "flows", "inktally", "spark_jobs", "tasks", "web")
MOST_LINES = 350
MOST_LINES_OF_A_FUNCTION = 45
MOST_STATEMENTS_OF_A_SHIM = 3

SHIMS = {
    "web": "web/__main__.py",
    "web.dead_letters": "web/dead_letters.py",
    "web.queue": "web/queue.py",
    "web.replay": "web/replay.py",
    "web.site": "web/site/__main__.py",
    "web.watch": "web/watch.py",
}
"""Names that documents give for `python -m`, and that moved: name -> the file that leads to where they are now."""


def product_files() -> Iterator[Path]:
    return (path for folder in PRODUCT for path in sorted((ROOT / folder).rglob("*.py")))


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def nodes_of(path: Path) -> list[ast.AST]:
    return list(ast.walk(tree_of(path)))


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def statements(tree: ast.AST) -> list[ast.stmt]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.stmt)]


def test_no_file_is_longer_than_a_person_reads_at_once() -> None:
    lengths = {named(path): len(path.read_text(encoding="utf-8").splitlines()) for path in product_files()}
    long = {name: length for name, length in lengths.items() if length > MOST_LINES}
    assert not long, f"Divide these files by subject; {MOST_LINES} lines are the most: {long}"


def test_no_function_is_longer_than_a_screen() -> None:
    long = {
        f"{named(path)}:{node.lineno} {node.name}": length
        for path in product_files()
        for node in nodes_of(path)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := (node.end_lineno or node.lineno) - node.lineno + 1) > MOST_LINES_OF_A_FUNCTION
    }
    assert not long, f"Divide these functions; {MOST_LINES_OF_A_FUNCTION} lines are the most: {long}"


def test_a_class_name_means_one_thing() -> None:
    """A leading underscore makes no other name of it."""
    places = defaultdict[str, list[str]](list)
    for path in product_files():
        for node in nodes_of(path):
            if isinstance(node, ast.ClassDef):
                places[node.name.lstrip("_")].append(f"{named(path)}:{node.lineno}")
    double = {name: found for name, found in places.items() if len(found) > 1}
    assert not double, f"Rename one of each, so that a name says which class is meant: {double}"


def test_what_the_terminal_shows_is_loaded_only_by_commands() -> None:
    """A worker imports the flows for each run, or once for all; it has no terminal."""
    loaded = {
        f"{named(path)}:{node.lineno}"
        for path in (ROOT / "flows").rglob("*.py")
        if "commands" not in path.parts
        for node in tree_of(path).body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for module in (getattr(node, "module", None) or "", *(name.name for name in node.names))
        if module.startswith(("flows.commands", "argparse", "rich"))
    }
    assert not loaded, f"Import these within `if __name__ == '__main__'`: {loaded}"


@pytest.mark.parametrize(("name", "file"), SHIMS.items())
def test_a_documented_command_that_moved_answers_under_its_old_name(
    name: str, file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(statements(tree_of(ROOT / file))) <= MOST_STATEMENTS_OF_A_SHIM, f"{file} may only lead elsewhere"
    with pytest.raises(SystemExit) as ended:
        import_module(file.removesuffix(".py").replace("/", ".")).main(["--help"])
    assert ended.value.code == 0
    assert f"python -m {name} " in capsys.readouterr().out, f"`python -m {name} --help` must say what it does"


def test_every_shim_is_listed() -> None:
    """A file that is nothing but a way to somewhere else."""
    found = {
        named(path)
        for path in product_files()
        if [type(node) for node in tree_of(path).body] == [ast.ImportFrom, ast.If]
    }
    assert found == set(SHIMS.values()), "A name of `python -m` that moved belongs into SHIMS, and nothing else does"
