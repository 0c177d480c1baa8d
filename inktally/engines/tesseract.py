"""Tesseract: its library in this process (tesserocr), or a command that the settings name (pytesseract).

The library comes with its package, the models with the Tesseract that is installed. In this process a page takes a
quarter less time: no program is started, no picture written, no model loaded anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

from inktally.document import Box, Engine, Value, Word
from inktally.errors import BadSettings, EngineFailed, MissingTool, UnreadablePicture
from inktally.imaging.page import PageImage, PageText
from inktally.languages import AUTO, installed, is_plain
from inktally.scratch import write_whole
from inktally.settings import Settings

LANGUAGE = re.compile(r"[A-Za-z][A-Za-z0-9_]*(/[A-Za-z][A-Za-z0-9_]*)?")
COMMAND = "tesseract"
BY_LAYOUT, AS_BLOCK = 3, 6  # its modes of page segmentation
WORD_ROW, COLUMNS = 5, 12  # of its TSV


@dataclass(frozen=True)
class Tesseract:
    """The library, unless the settings name a command."""

    remote = False

    settings: Settings

    def identify(self, languages: Sequence[str]) -> Engine:
        installation = self._installed()
        wanted = installed(Path(installation.models)) if AUTO in languages else languages
        models = {language: _model_digest(_model(installation, language)) for language in wanted}
        by_library = f"{version('tesserocr')} of tesserocr"
        return Engine(
            name="tesseract",
            version=installation.version if self.settings.tesseract else by_library,
            languages=tuple(languages),
            models=models,
        )

    def load(self, engine: Engine) -> None:
        """The model stays loaded in the library; a command loads its own."""
        installed = self._installed()
        if self.settings.tesseract:
            import_module("pytesseract")
        elif AUTO not in engine.languages:
            _library(installed.models, "+".join(engine.languages))

    def read(self, page: PageImage, engine: Engine) -> PageText:
        """Raises `UnreadablePicture` when Tesseract breaks over the page, `EngineFailed` when it fails otherwise."""
        return self._read(page, engine, BY_LAYOUT)

    def read_block(self, page: PageImage, engine: Engine) -> PageText:
        """Without a search for columns. Raises as `read` does."""
        return self._read(page, engine, AS_BLOCK)

    def _read(self, page: PageImage, engine: Engine, mode: int) -> PageText:
        if self.settings.tesseract:
            table = _read_by_command(page, self.settings.tesseract, engine.languages, mode)
        else:
            table = _read_here(page, self._installed().models, engine.languages, mode)
        return PageText.of(parse_table(table))

    def _installed(self) -> _Installation:
        name = self.settings.tesseract or COMMAND
        command = shutil.which(name)
        if command is None:
            raise MissingTool(
                f"Tesseract is not installed (no command {name!r}). Install it: "
                "apt-get install tesseract-ocr, dnf install tesseract, or brew install tesseract."
            )
        return _installation(Path(command).resolve(), self.settings.cache / "tesseract.json")


def _read_here(page: PageImage, models: str, languages: Sequence[str], mode: int) -> str:
    """The table of words, without its heading."""
    api = _library(models, "+".join(languages))
    api.SetPageSegMode(mode)
    _, _, channels = (*page.pixels.shape, 1)[:3]
    try:
        api.SetImageBytes(page.pixels.tobytes(), page.width, page.height, channels, page.width * channels)
        if page.dpi:
            api.SetSourceResolution(page.dpi)
        if not api.Recognize():
            raise EngineFailed("Tesseract could not recognise the page.")
        return str(api.GetTSVText(0))
    except RuntimeError as error:
        raise EngineFailed(f"Tesseract failed: {error}") from error
    finally:
        api.Clear()


@lru_cache(maxsize=2)
def _library(models: str, languages: str) -> Any:
    import tesserocr

    try:
        api = tesserocr.PyTessBaseAPI(path=models, lang=languages)
    except RuntimeError as error:
        raise EngineFailed(f"Tesseract cannot use the models for {languages} in {models}: {error}") from error
    for name, value in _variables(languages).items():
        api.SetVariable(name, value)
    return api


def _variables(languages: str) -> dict[str, str]:
    """Lines of scripts with many dots are taken for noise, and are lost, unless Tesseract is told not to do so."""
    return {} if all(map(is_plain, languages.split("+"))) else {"textord_noise_rejrows": "0"}


def _read_by_command(page: PageImage, command: str, languages: Sequence[str], mode: int) -> str:
    """The table of words, without its heading."""
    import pytesseract

    pytesseract.pytesseract.tesseract_cmd = command
    names = "+".join(languages)
    options = [f"--psm {mode}", *(f"-c {name}={value}" for name, value in _variables(names).items())]
    with tempfile.TemporaryDirectory() as folder:
        picture = str(Path(folder) / "page.tiff")
        _save(page, picture)
        try:
            table = pytesseract.image_to_data(picture, lang=names, config=" ".join(options))
        except pytesseract.TesseractError as error:
            if error.status < 0:
                raise UnreadablePicture("The picture broke Tesseract; save it again, or scan it anew.") from error
            raise EngineFailed(f"Tesseract failed: {error.message or f'status {error.status}'}") from error
    return str(table).partition("\n")[2]


def _save(page: PageImage, picture: str) -> None:
    """The pixels as they are: to compress them would take longer than to read them again."""
    from PIL import Image

    resolution = {"dpi": (page.dpi, page.dpi)} if page.dpi else {}
    Image.fromarray(page.pixels).save(picture, "TIFF", **resolution)


def parse_table(table: str) -> tuple[Word, ...]:
    """The rows of Tesseract's TSV as words. Split by hand: quotes, tabs, "NA" and "None" are words like others."""
    rows = (line.split("\t", COLUMNS - 1) for line in table.rstrip("\n").split("\n"))
    return tuple(word for row in rows if len(row) == COLUMNS for word in _word(row))


def _word(row: Sequence[str]) -> Iterator[Word]:
    level, page, block, paragraph, line, number, left, top, width, height = map(int, row[:-2])
    confidence, text = float(row[-2]), row[-1]
    if level == WORD_ROW and text.strip() and confidence >= 0:
        yield Word(
            text=text,
            confidence=round(min(confidence, 100.0), 2),
            page=page,
            block=block,
            paragraph=paragraph,
            line=line,
            word=number,
            box=Box(left=left, top=top, width=width, height=height),
        )


class _Installation(Value):
    """What `tesseract --list-langs` and `--version` say; remembered, so that a known picture starts no process."""

    version: str
    models: str


def _installation(command: Path, memory: Path) -> _Installation:
    facts = command.stat()
    prefix = os.environ.get("TESSDATA_PREFIX", "")
    return _known_installation(command, memory, f"{command} {facts.st_size} {facts.st_mtime_ns} {prefix}")


@lru_cache
def _known_installation(command: Path, memory: Path, key: str) -> _Installation:
    """A child inherits what the process that forked it knows: it may neither open the file nor write it."""
    remembered = _remembered(memory)
    if key not in remembered:
        remembered = {**remembered, key: _ask(command).model_dump()}
        with suppress(OSError):  # where it cannot be kept for the next process, it is asked again
            write_whole(memory, json.dumps(remembered).encode())
    return _Installation.model_validate(remembered[key])


def _remembered(memory: Path) -> dict[str, Any]:
    try:
        found = json.loads(memory.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _ask(command: Path) -> _Installation:
    def output(option: str) -> str:
        answer = subprocess.run([command, option], capture_output=True, text=True, check=False, timeout=60)
        return answer.stdout + answer.stderr

    release = re.search(r"tesseract v?(\S+)", output("--version"))
    models = re.search(r'in "([^"]+)"', output("--list-langs"))
    if not release or not models:
        raise MissingTool(
            f"{command} does not answer like Tesseract 4 or newer; set INKTALLY_TESSERACT to one that does."
        )
    return _Installation(version=release[1], models=models[1])


def _model(installation: _Installation, language: str) -> Path:
    if not LANGUAGE.fullmatch(language):
        raise BadSettings(f"{language!r} is no name of a language; Tesseract's are like eng, deu or script/Latin.")
    model = Path(installation.models) / f"{language}.traineddata"
    if not model.is_file():
        package = language.rpartition("/")[2].lower().replace("_", "-")
        raise MissingTool(
            f"Tesseract has no model for the language {language!r}. Install it: apt-get install "
            f"tesseract-ocr-{package}, dnf install tesseract-langpack-{package}, or brew install tesseract-lang."
        )
    return model


def _model_digest(model: Path) -> str:
    facts = model.stat()
    return _digest(model, facts.st_size, facts.st_mtime_ns)


@lru_cache
def _digest(model: Path, _size: int, _changed: int) -> str:
    with model.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


build = Tesseract
