"""Tesseract, by pytesseract, in a sandboxed child: one run gives text, words, confidences and boxes."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inktally.document import Box, Engine, Page, Recognition, Value, Word
from inktally.errors import BadSettings, EngineFailed, MissingTool, UnreadablePicture
from inktally.imaging.decode import Limits, Readable, readable
from inktally.shared_sandbox import sandbox

if TYPE_CHECKING:
    import pandas

    from inktally.settings import Settings

LANGUAGE = re.compile(r"[A-Za-z][A-Za-z0-9_]*(/[A-Za-z][A-Za-z0-9_]*)?")
PAGE_ROW, WORD_ROW = 1, 5
TSV_COLUMNS = 12
PREPARATION = "decode/2"  # names what is done to a picture before Tesseract sees it


def build(settings: Settings) -> Tesseract:
    return Tesseract(settings)


class Tesseract:
    """The Tesseract command that the settings name."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._sandbox = sandbox(settings, preload=("pytesseract",))

    def warm_up(self) -> None:
        """Begin to start a child, without waiting."""
        self._sandbox.warm_up()

    def identify(self, languages: Sequence[str]) -> Engine:
        command = shutil.which(self._settings.tesseract)
        if command is None:
            raise MissingTool(
                f"Tesseract is not installed (no command {self._settings.tesseract!r}). Install it: "
                "apt-get install tesseract-ocr, dnf install tesseract, or brew install tesseract."
            )
        installation = _installation(Path(command).resolve(), self._settings.cache / "tesseract.json")
        models = {language: _model_digest(_model(installation, language)) for language in languages}
        options = {"preparation": PREPARATION}
        return Engine(
            name="tesseract", version=installation.version, languages=tuple(languages), models=models, options=options
        )

    def recognise(self, picture: Path, engine: Engine) -> Recognition:
        pages = self._sandbox.call(
            "inktally.engines.tesseract:read",
            {
                "picture": str(picture),
                "command": self._settings.tesseract,
                "languages": list(engine.languages),
                "max_pixels": self._settings.max_pixels,
                "max_pages": self._settings.max_pages,
            },
            seconds=self._settings.recognition_seconds,
        )
        return Recognition.model_validate({**pages, "engine": engine})


class _Installation(Value):
    """What `tesseract --list-langs` and `--version` say; remembered, so that a known picture starts no process."""

    version: str
    models: str


def _installation(command: Path, memory: Path) -> _Installation:
    facts = command.stat()
    prefix = os.environ.get("TESSDATA_PREFIX", "")
    key = f"{command} {facts.st_size} {facts.st_mtime_ns} {prefix}"
    remembered = _remembered(memory)
    if key not in remembered:
        remembered = {**remembered, key: _ask(command).model_dump()}
        _remember(remembered, memory)
    return _Installation.model_validate(remembered[key])


def _remembered(memory: Path) -> dict[str, Any]:
    try:
        found = json.loads(memory.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _remember(installations: dict[str, Any], memory: Path) -> None:
    """Keep what is known for the next process; where it cannot be kept, it is asked again."""
    with suppress(OSError):
        memory.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=memory.parent, delete=False) as file:
            json.dump(installations, file)
        Path(file.name).replace(memory)


def _ask(command: Path) -> _Installation:
    def output(option: str) -> str:
        answer = subprocess.run([command, option], capture_output=True, text=True, check=False, timeout=60)
        return answer.stdout + answer.stderr

    version = re.search(r"tesseract v?(\S+)", output("--version"))
    models = re.search(r'in "([^"]+)"', output("--list-langs"))
    if not version or not models:
        raise MissingTool(
            f"{command} does not answer like Tesseract 4 or newer; set INKTALLY_TESSERACT to one that does."
        )
    return _Installation(version=version[1], models=models[1])


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


def read(picture: str, command: str, languages: list[str], max_pixels: int, max_pages: int) -> dict[str, Any]:
    """What the sandboxed child does: a picture's pages, words and text, as `Recognition` has them, in JSON."""
    import pytesseract

    pytesseract.pytesseract.tesseract_cmd = command
    limits = Limits(max_pixels=max_pixels, max_pages=max_pages)
    with tempfile.TemporaryDirectory() as folder:
        original = readable(Path(picture), limits, Path(folder))
        try:
            found = _run(original, languages)
        except (EngineFailed, UnreadablePicture):
            if original.path != Path(picture):
                raise
            found = _run(readable(Path(picture), limits, Path(folder), always_copy=True), languages)
    return found


def _run(picture: Readable, languages: list[str]) -> dict[str, Any]:
    import pytesseract

    try:
        text, table = pytesseract.run_and_get_multiple_output(
            str(picture.path), extensions=["txt", "tsv"], lang="+".join(languages)
        )
    except pytesseract.TesseractError as error:
        if error.status < 0:
            raise UnreadablePicture("The picture broke Tesseract; save it again as PNG, or scan it anew.") from error
        raise EngineFailed(f"Tesseract failed: {error.message or f'status {error.status}'}") from error
    pages, words = parse_table(table)
    if len(pages) != picture.pages:
        raise EngineFailed(f"Tesseract read {len(pages)} of {picture.pages} pages.")
    return {
        "pages": [page.model_dump() for page in pages],
        "words": [word.model_dump() for word in words],
        "text": text,
    }


def parse_table(table: str) -> tuple[list[Page], list[Word]]:
    """Tesseract's TSV as pages and words. Split by hand: quotes, tabs, "NA" and "None" are words like others."""
    import pandas

    header, *rows = (line.split("\t", TSV_COLUMNS - 1) for line in table.rstrip("\n").split("\n"))
    frame = pandas.DataFrame((row for row in rows if len(row) == TSV_COLUMNS), columns=header, dtype=str)
    numbers = frame.columns.difference(["text", "conf"])
    frame[numbers] = frame[numbers].astype(int)
    frame["conf"] = frame["conf"].astype(float)
    return _pages(frame[frame["level"] == PAGE_ROW]), _words(frame[frame["level"] == WORD_ROW])


def _pages(rows: pandas.DataFrame) -> list[Page]:
    return [Page(number=row["page_num"], width=row["width"], height=row["height"]) for row in rows.to_dict("records")]


def _words(rows: pandas.DataFrame) -> list[Word]:
    rows = rows[(rows["text"].str.strip() != "") & (rows["conf"] >= 0)]
    return [
        Word(
            text=row["text"],
            confidence=round(min(row["conf"], 100.0), 2),
            page=row["page_num"],
            block=row["block_num"],
            paragraph=row["par_num"],
            line=row["line_num"],
            word=row["word_num"],
            box=Box(left=row["left"], top=row["top"], width=row["width"], height=row["height"]),
        )
        for row in rows.to_dict("records")
    ]
