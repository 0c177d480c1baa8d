"""The REST API does what its OpenAPI document says, however it is asked: schemathesis, all checks."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from inktally.intake.links import Policy
from tests.support.apis import KEY, api_settings, running_api
from tests.support.links import PUBLIC, TLS, send, serving
from tests.support.readers import picture_of

pytestmark = pytest.mark.long

PROJECT = Path(__file__).parents[2]
EXAMPLES = "2"  # of each operation, in each of the phases that make up their own


async def _names(host: str, port: int) -> Sequence[str]:
    del host, port
    return [PUBLIC]


def test_whatever_the_document_allows_is_taken_and_whatever_it_forbids_is_refused(tmp_path: Path) -> None:
    settings = api_settings(tmp_path, api_uploads_per_minute=100_000, api_wait_seconds=1, after="delete")
    with serving(PUBLIC) as pictures:
        pictures.answers["/page.png"] = lambda request: send(request, 200, {}, picture_of("a picture by link"))
        ours = frozenset({pictures.port})
        policy = Policy(max_bytes=1000, ports=ours, allowed=frozenset({PUBLIC}), resolver=_names, tls=TLS)
        with running_api(settings, policy) as api:
            run = _run(f"{api.url}/openapi.json", pictures.at("/page.png"), tmp_path)
    assert run.returncode == 0, run.stdout[-5000:]
    assert "Tested: 4" in run.stdout
    assert all(f"✅  {phase}" in run.stdout for phase in ("Examples", "Coverage", "Fuzzing", "Stateful"))


def _run(document: str, picture: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Bounded by the number of examples; a seed makes it the same each time."""
    command = [Path(sys.executable).with_name("schemathesis"), "run", document, "--checks", "all", "--seed", "1"]
    options = ["--max-examples", EXAMPLES, "--header", f"Authorization: Bearer {KEY}", "--no-color"]
    environment = {"SCHEMATHESIS_HOOKS": "tests.support.schemathesis_hooks", "PICTURE_LINK": picture}
    return subprocess.run(
        [*command, *options],
        cwd=folder,
        env={**os.environ, **environment, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
