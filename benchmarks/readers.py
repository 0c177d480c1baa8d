"""Who reads pictures in benchmarks.accuracy: Inktally itself, and its peers as their users start them."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from inktally import plugins
from inktally.errors import InktallyError
from inktally.languages import present
from inktally.settings import read_settings

Read = Callable[[Path, str], str]
"""A picture and its language (Tesseract's name) -> its text; raises `Unread`."""

PATIENCE = 600  # seconds for one picture


class Unread(Exception):
    """A picture was not read; the kind of error."""


@dataclass(frozen=True)
class Reader:
    """A name for the table, and a context in which pictures can be read one after the other."""

    name: str
    started: Callable[[], AbstractContextManager[Read]]


def ours(engine: str) -> Reader:
    @contextmanager
    def started() -> Iterator[Read]:
        recogniser = plugins.recogniser(engine, read_settings())

        def read(picture: Path, language: str) -> str:
            try:
                return recogniser.recognise(picture, recogniser.identify(language.split("+"))).text
            except InktallyError as error:
                raise Unread(error.kind) from error

        yield read

    return Reader(f"inktally {engine}", started)


def peers() -> list[Reader]:
    """Those that are installed."""
    found = [Reader("tesseract", _commands(_tesseract)), Reader("RapidOCR", _rapidocr)]
    if shutil.which("ocrmypdf"):
        found.insert(1, Reader("OCRmyPDF", _commands(_ocrmypdf)))
    return found


def _commands(read: Read) -> Callable[[], AbstractContextManager[Read]]:
    @contextmanager
    def started() -> Iterator[Read]:
        yield read

    return started


def _tesseract(picture: Path, language: str) -> str:
    return _output(["tesseract", str(picture), "stdout", "-l", _models(language)])


def _ocrmypdf(picture: Path, language: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder) / "text"
        options = ["--rotate-pages", "--deskew", "--image-dpi", "300", "--jobs", "1", "--output-type", "pdf", "--quiet"]
        _output(["ocrmypdf", *options, "-l", _models(language), "--sidecar", str(text), str(picture), f"{folder}/pdf"])
        return text.read_text("utf-8")


def _models(language: str) -> str:
    return "+".join(present(language.split("+")))


def _output(command: list[str]) -> str:
    environment = {**os.environ, "OMP_THREAD_LIMIT": "1"}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, timeout=PATIENCE, check=True)
    except subprocess.CalledProcessError as error:
        raise Unread(f"status {error.returncode}") from error
    except subprocess.TimeoutExpired as error:
        raise Unread("timeout") from error
    return done.stdout.decode("utf-8", "replace")


@contextmanager
def _rapidocr() -> Iterator[Read]:
    """In a process of its own, which loads the networks once, as its users' programs do."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:

        def read(picture: Path, _language: str) -> str:
            try:
                return pool.submit(_rapidocr_text, str(picture)).result(PATIENCE)
            except Exception as error:
                raise Unread(type(error).__name__) from error

        yield read


@lru_cache
def _engine() -> Any:
    from rapidocr import RapidOCR

    return RapidOCR(params={"Global.log_level": "error", "EngineConfig.onnxruntime.intra_op_num_threads": 1})


def _rapidocr_text(picture: str) -> str:
    return "\n".join(_engine()(picture).txts or ())
