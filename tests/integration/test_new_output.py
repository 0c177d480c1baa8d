"""A new output is one new file: settings, results and the page learn of it from there."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ACROSTIC = """
from inktally.outputs.shared.output import Output

OUTPUT = Output(
    place=9,
    folder="ocr_acrostic",
    suffix=".acrostic",
    media_type="text/plain",
    labels={"en": "The first letters", "de": "Die Anfangsbuchstaben"},
    write=lambda reading: "".join(word.text[0] for word in reading.recognition.words).encode(),
)
"""
SEEN = """
import json, sys
from importlib.util import find_spec, module_from_spec

files, folder = sys.argv[1:]
spec = find_spec("inktally.outputs")
spec.submodule_search_locations.append(files)  # as if it lay beside the others
sys.modules[spec.name] = module_from_spec(spec)
spec.loader.exec_module(sys.modules[spec.name])

from fastapi.testclient import TestClient

from inktally import keys, plugins
from inktally.delivery import Options, Outcome
from inktally.intake import status
from inktally.mail.links import Signer
from inktally.outputs import chosen
from inktally.settings import Settings, settings_table
from inktally.steps import markers, publishing
from tests.support.readings import a_reading
from web.app import create_app

secret, upload = "a secret that is long enough for this", "A" * 22
folders = {"store": f"{folder}/store", "cache": f"{folder}/cache", "scratch": folder}
settings = Settings(**folders, site_secret=secret, _env_file=None)
store = plugins.store(settings.store, settings)
store.put(keys.from_web(upload, "a.png"), b"a picture")
delivery = status.delivery_of(store, upload)
written = publishing.publish(store, delivery, a_reading("Ink", "all"), chosen("acrostic"), None, settings).outputs
markers.mark_answered(store, delivery, Outcome(upload="", outputs=written))
link = f"/uploads/{Signer(secret).sign('upload', [upload])}/1"
with TestClient(create_app(settings), headers={"accept": "text/html"}) as browser:
    seen = {
        "setting": next(row for row in settings_table().splitlines() if "INKTALLY_OUTPUTS" in row),
        "option": Options.model_fields["outputs"].description,
        "result": status.status_of(store, upload, settings).model_dump(mode="json")["outputs"],
        "english": browser.get(link).text,
        "german": browser.get(link, params={"language": "de"}).text,
        "file": browser.get(f"{link}/files/acrostic").text,
        "api": browser.get("/api/openapi.json").json()["paths"]["/uploads/{upload_id}/outputs/{output}"],
    }
print(json.dumps(seen))
"""


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a process sees of an output whose file was put beside the others before it started."""
    files, folder = tmp_path_factory.mktemp("outputs"), tmp_path_factory.mktemp("data")
    (files / "acrostic.py").write_text(ACROSTIC, encoding="utf-8")
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", SEEN, files, folder], cwd=root, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@pytest.mark.parametrize("place", ["setting", "option", "result"])
def test_it_is_named_wherever_outputs_are_named(seen: dict[str, Any], place: str) -> None:
    assert "acrostic" in seen[place]


def test_the_page_offers_it_in_the_language_of_the_visitor(seen: dict[str, Any]) -> None:
    assert "The first letters</a>" in seen["english"]
    assert "Die Anfangsbuchstaben</a>" in seen["german"]
    assert seen["file"] == "Ia"


def test_the_api_describes_it(seen: dict[str, Any]) -> None:
    [output] = [each for each in seen["api"]["get"]["parameters"] if each["name"] == "output"]
    assert "acrostic" in output["schema"]["enum"]
