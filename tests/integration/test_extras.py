"""Commands whose packages are an extra say so when it is not installed."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from inktally.extras import MODULES

ROOT = Path(__file__).parents[2]
WITHOUT = (
    "import runpy, sys; sys.modules[sys.argv.pop(1)] = None; runpy.run_module(sys.argv.pop(1), run_name='__main__')"
)


@pytest.mark.parametrize(
    ("command", "package", "extra"),
    [
        ("web.site", "babel", "page"),
        ("web.watch", "watchfiles", "up"),
        ("deployments.up", "supervisor", "up"),
    ],
)
def test_a_command_without_its_extra_names_what_installs_it(
    command: str, package: str, extra: str, tmp_path: Path
) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT, package, command],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ended.returncode == 1
    assert f"({package})" in ended.stderr
    assert f"make setup-{extra}" in ended.stderr
    assert "Traceback" not in ended.stderr


NOT_FOR_RUNNING = {
    "babel",
    "duckdb",
    "locust",
    "matplotlib",
    "moto",
    "mypy",
    "ocrmypdf",
    "playwright",
    "pytest",
    "ruff",
}


def test_what_running_needs_brings_nothing_of_the_tests_the_benchmarks_or_the_extras() -> None:
    packages = {each["name"]: each for each in tomllib.loads((ROOT / "uv.lock").read_text())["package"]}
    wanted, brought = [("inktally", "")], set()
    while wanted:
        if (one := wanted.pop()) not in brought:
            brought.add(one)
            package, extra = packages[one[0]], one[1]
            needs = package["optional-dependencies"][extra] if extra else package.get("dependencies", [])
            wanted += [(need["name"], asked) for need in needs for asked in ("", *need.get("extra", []))]
    names = {name.replace("-", "_") for name, _ in brought}
    assert {"prefect", "prefect_aws"} <= names
    assert names & (NOT_FOR_RUNNING | set(MODULES["up"])) == set()


def test_the_extras_are_those_of_the_project() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    packages = {extra: {re.match(r"[a-z-]+", line)[0] for line in lines} for extra, lines in declared.items()}  # type: ignore[index]
    packages["up"] = (packages["up"] - {"inktally"}) | packages["page"]
    assert {extra: {name.replace("_", "-") for name in modules} for extra, modules in MODULES.items()} == packages
