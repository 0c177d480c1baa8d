"""Whatever set-up fetches is known by its hash, and `make audit` and `make sbom` say what there is in it."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
import threading
import tomllib
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UV = ROOT / ".venv-tools" / "bin" / "uv"
PINNED = re.compile(r"^uv==(\S+) \\$", re.MULTILINE)


@pytest.fixture(scope="module")
def _uv() -> None:
    subprocess.run([ROOT / "deployments" / "setup.sh", "uv"], check=True, timeout=300)


def locked() -> list[dict[str, object]]:
    packages: list[dict[str, object]] = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
    return packages


def test_the_lock_knows_each_file_by_its_hash() -> None:
    files = 0
    for package in locked():
        if "registry" not in str(package["source"]):
            assert package["name"] == "inktally", f"{package['name']} comes from elsewhere"
            continue
        found = [*package.get("wheels", ()), *([package["sdist"]] if "sdist" in package else [])]  # type: ignore[misc]
        assert all(re.fullmatch("sha256:[0-9a-f]{64}", file["hash"]) for file in found), package["name"]  # type: ignore[index]
        files += len(found)
    assert files > 1000


def test_set_up_fetches_by_hash_or_by_signature_only() -> None:
    """uv by hashes, packages by the lock, the rest by apt, which checks signatures."""
    scripts = [*(ROOT / "deployments").rglob("*.sh"), ROOT / "Makefile", ROOT / ".ci" / "run"]
    lines = [line for script in scripts for line in script.read_text().splitlines() if not line.startswith("#")]
    assert not [line for line in lines if re.search(r"\b(curl|wget|npx|npm|git clone|allow-unauthenticated)\b", line)]
    pips = [line for line in lines if "pip install" in line]
    assert all("--require-hashes" in line and "--only-binary :all:" in line for line in pips)
    assert len(pips) == 1
    assert len(re.findall("--hash=sha256:[0-9a-f]{64}", (ROOT / "deployments" / "uv.txt").read_text())) > 10


@pytest.mark.usefixtures("_uv")
def test_the_project_is_built_without_fetching_anything(tmp_path: Path) -> None:
    """What builds it would be pinned nowhere."""
    options = ["--offline", "--wheel", "--cache-dir", tmp_path / "cache", "--out-dir", tmp_path / "out"]
    subprocess.run([UV, "build", *options, ROOT], check=True, capture_output=True, timeout=60)
    [wheel] = (tmp_path / "out").glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {"inktally/mail/templates/answer.html", "web/site/locale/de/LC_MESSAGES/site.po"} <= set(names)
    assert any(name.endswith("entry_points.txt") for name in names)


def wheel_of_uv(folder: Path, version: str) -> None:
    """A uv that somebody else has made."""
    name, records = f"uv-{version}.dist-info", {}
    records["uv/__init__.py"] = b"raise SystemExit('a stranger runs here')"
    records[f"{name}/METADATA"] = f"Metadata-Version: 2.1\nName: uv\nVersion: {version}\n".encode()
    records[f"{name}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    with zipfile.ZipFile(folder / f"uv-{version}-py3-none-any.whl", "w") as wheel:
        lines = []
        for path, content in records.items():
            wheel.writestr(path, content)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
            lines.append(f"{path},sha256={digest},{len(content)}")
        wheel.writestr(f"{name}/RECORD", "\n".join([*lines, f"{name}/RECORD,,"]))


def test_a_uv_with_other_bytes_is_not_installed(tmp_path: Path) -> None:
    (tmp_path / "deployments").mkdir()
    for name in ("setup.sh", "uv.txt"):
        shutil.copy(ROOT / "deployments" / name, tmp_path / "deployments" / name)
    pinned = PINNED.search((ROOT / "deployments" / "uv.txt").read_text())
    assert pinned
    wheel_of_uv(tmp_path, pinned[1])
    others = {
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(tmp_path),
        "PIP_CONFIG_FILE": os.devnull,
        "HOME": str(tmp_path),
    }
    script = tmp_path / "deployments" / "setup.sh"
    ended = subprocess.run(
        [script, "uv"], env={**os.environ, **others}, capture_output=True, text=True, check=False, timeout=120
    )
    assert ended.returncode != 0
    assert "DO NOT MATCH THE HASHES" in ended.stderr
    assert not list((tmp_path / ".venv-tools").rglob("uv-*"))


@contextmanager
def advisories(*vulnerable: str) -> Iterator[str]:
    """An advisory database (OSV) in which these packages have a vulnerability; its address."""

    class Database(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["queries"]
            found = [
                {"vulns": [{"id": "TEST-1", "modified": "2026-01-01T00:00:00Z"}]}
                if query["package"]["name"] in vulnerable
                else {}
                for query in asked
            ]
            self.answer({"results": found})

        def do_GET(self) -> None:
            self.answer({"id": "TEST-1", "modified": "2026-01-01T00:00:00Z", "summary": "It is bad.", "affected": []})

        def answer(self, value: object) -> None:
            body = json.dumps(value).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            """Tests are quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Database) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


def audited(database: str) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, "ADVISORIES": database, "UV_HTTP_RETRIES": "0", "NO_PROXY": "127.0.0.1"}
    script = ROOT / "deployments" / "audit.sh"
    return subprocess.run([script], env=variables, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.usefixtures("_uv")
def test_an_audit_says_what_is_known_and_what_it_does_not_check() -> None:
    with advisories() as database:
        clean = audited(database)
    with advisories("pillow") as database:
        found = audited(database)
    assert (clean.returncode, found.returncode) == (0, 1), clean.stderr + found.stderr
    assert "TEST-1" in found.stdout + found.stderr
    for ended in (clean, found):
        assert "What this does not check" in ended.stderr
        assert "NOTHING WAS CHECKED" not in ended.stderr


@pytest.mark.usefixtures("_uv")
def test_an_audit_without_a_database_fails_and_says_that_nothing_was_checked() -> None:
    ended = audited("http://127.0.0.1:9/")
    assert ended.returncode == 3
    assert "NOTHING WAS CHECKED" in ended.stderr


@pytest.mark.usefixtures("_uv")
def test_the_bill_of_materials_lists_what_an_installation_holds_with_hashes() -> None:
    subprocess.run(["make", "--no-print-directory", "sbom"], cwd=ROOT, check=True, capture_output=True, timeout=60)
    bill = json.loads((ROOT / "build" / "sbom.json").read_text())
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.5")
    versions = {package["name"]: package.get("version") for package in locked()}
    components = {each["name"]: each for each in bill["components"]}
    assert {"pillow", "prefect", "pyspark", "supervisor", "babel"} <= components.keys()
    assert "pytest" not in components
    for name, component in components.items():
        assert component["version"] == versions[name]
        assert all(each["hashes"] for each in component["externalReferences"])
    assert bill["dependencies"]
