"""Pages in scripts whose letters hang together, or that look alike upside down: no worse than by the bare command."""

from __future__ import annotations

import pytest

from benchmarks import scripts

ALIKE = 0.02
MODELS = ("ara", "heb", "hin", "tha")


@pytest.mark.parametrize("model", MODELS)
def test_a_page_is_read_no_worse_than_by_the_bare_command(model: str) -> None:
    if model not in scripts.available((model,)):
        pytest.skip(f"needs the model {model} and its font: apt-get install tesseract-ocr-{model} {scripts.PACKAGES}")
    found = scripts.result(model, "tesseract", pages=1, seed=3, lines=8)
    assert found.tesseract > 0.5
    assert found.ours >= found.tesseract - ALIKE
