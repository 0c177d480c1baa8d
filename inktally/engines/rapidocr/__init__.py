"""PP-OCR by the rapidocr package: one network finds lines, another reads them, on onnxruntime, models in the wheel."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, distribution, version

from inktally.document import Engine
from inktally.errors import MissingTool
from inktally.imaging.page import PageImage, PageText
from inktally.languages import AUTO
from inktally.settings import Settings

READING = "lines/1"  # names how pages are cut into lines, and words are made of what the network says
LANGUAGES = frozenset((
    "afr", "aze", "bos", "cat", "ces", "chi_sim", "chi_tra", "cym", "dan", "deu", "eng", "est", "eus", "fin", "fra",
    "frk", "gle", "glg", "hrv", "hun", "ind", "isl", "ita", "jpn", "kmr", "lat", "lav", "lit", "ltz", "mlt", "mri",
    "msa", "nld", "nor", "oci", "pol", "por", "que", "ron", "slk", "slv", "spa", "sqi", "srp_latn", "swa", "swe", "tur",
    "uzb", "vie", "script/Latin", "script/Fraktur", "script/HanS", "script/HanT", "script/Japanese",
))  # fmt: skip


def build(_settings: Settings) -> RapidOcr:
    return RapidOcr()


class RapidOcr:
    """One model for all the languages it knows; they are only checked."""

    remote = False

    def identify(self, languages: Sequence[str]) -> Engine:
        unknown = [language for language in languages if language not in (*LANGUAGES, AUTO)]
        if unknown:
            raise MissingTool(
                f"The engine rapidocr has no model for the language {unknown[0]!r}; the engine tesseract has one "
                f"after apt-get install tesseract-ocr-{unknown[0].replace('_', '-')}."
            )
        try:
            options = {"reading": READING, "onnxruntime": version("onnxruntime")}
            return Engine(
                name="rapidocr",
                version=version("rapidocr"),
                languages=tuple(languages),
                models=_models(),
                options=options,
            )
        except PackageNotFoundError as error:
            raise MissingTool(f"The engine rapidocr is not installed: pip install {error.name} does it.") from error

    def load(self, engine: Engine) -> None:  # noqa: ARG002 - it has one model for everything
        from inktally.engines.rapidocr.network import networks

        import_module("inktally.engines.rapidocr.lines")
        networks()

    def read(self, page: PageImage, engine: Engine) -> PageText:  # noqa: ARG002 - it has one model for everything
        """Raises `EngineFailed` when the networks cannot be run."""
        from inktally.engines.rapidocr.lines import lines_on, words_of

        return PageText.of(words_of(lines_on(page)))


@lru_cache
def _models() -> dict[str, str]:
    """The models' digests as the wheel states them, so that no 30 MB are read to know a picture again."""
    files = distribution("rapidocr").files or []
    return {file.name: file.hash.value for file in files if file.suffix == ".onnx" and file.hash}
