"""What is damaged in a picture that its decoder draws all the same, and says nothing of.

Pillow silences libtiff, and has no ear for libjpeg. libtiff is asked again through the library that Pillow brings; for
JPEG, OpenCV's decoder, which complains on the standard error of this process.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, _imaging

LARGEST_STRIP = 400_000_000  # bytes; what a page of the most pixels that are allowed may take
LONGEST_COMPLAINT = 65_536  # bytes
COMPLAINTS = (b"premature end", b"bad Huffman code", b"Premature end")
_Handler = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p)


def damage_of_tiff(path: Path, frame: int) -> str:
    """A sentence on the damaged strips or tiles of a frame (from 0); empty when all are whole, or nobody can tell."""
    try:
        library = ctypes.CDLL(_imaging.__file__)
        library.TIFFOpen.restype = ctypes.c_void_p
        for function in (library.TIFFStripSize, library.TIFFTileSize, library.TIFFReadEncodedStrip):
            function.restype = ctypes.c_ssize_t
        library.TIFFReadEncodedTile.restype = ctypes.c_ssize_t
    except (OSError, AttributeError):  # a Pillow that was built with its own, hidden libtiff
        return ""
    file = ctypes.c_void_p(library.TIFFOpen(os.fsencode(path), b"r"))
    if not file:
        return ""
    try:
        return _damaged_parts(library, file) if library.TIFFSetDirectory(file, ctypes.c_uint32(frame)) else ""
    finally:
        library.TIFFClose(file)


def _damaged_parts(library: ctypes.CDLL, file: ctypes.c_void_p) -> str:
    kind = "Tile" if library.TIFFIsTiled(file) else "Strip"
    count, size = getattr(library, f"TIFFNumberOf{kind}s")(file), getattr(library, f"TIFF{kind}Size")(file)
    if not 0 < size <= LARGEST_STRIP:
        return ""
    read, buffer = getattr(library, f"TIFFReadEncoded{kind}"), ctypes.create_string_buffer(size)
    damaged = 0
    for part in range(count):
        with _complaints(library) as heard:
            got = read(file, ctypes.c_uint32(part), buffer, ctypes.c_ssize_t(-1))
        damaged += got < 0 or bool(heard)
    if not damaged:
        return ""
    return f"{damaged} of the {count} parts that the page is stored in {'is' if damaged == 1 else 'are'} damaged"


@contextmanager
def _complaints(library: ctypes.CDLL) -> Iterator[list[bytes]]:
    """What libtiff complains of within the block. Afterwards it is silent, as Pillow has it."""
    heard: list[bytes] = []
    handler = _Handler(lambda _module, text, _arguments: heard.append(text or b""))
    setters: list[Callable[..., object]] = [library.TIFFSetWarningHandler, library.TIFFSetErrorHandler]
    for setter in setters:
        setter(handler)
    try:
        yield heard
    finally:
        for setter in setters:
            setter(None)


def damage_of_jpeg(path: Path) -> str:
    """A sentence on a JPEG whose data ends or breaks off within; empty when it is whole."""
    with _stderr() as heard:
        try:
            cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_REDUCED_GRAYSCALE_8)
        except cv2.error:
            return ""
    return "the data of the page is damaged" if any(each in b"".join(heard) for each in COMPLAINTS) else ""


@contextmanager
def _stderr() -> Iterator[list[bytes]]:
    """What libraries write to the standard error of this process within the block, as far as a pipe holds it."""
    reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    before = os.dup(2)
    heard: list[bytes] = []
    os.dup2(writing, 2)
    try:
        yield heard
    finally:
        os.dup2(before, 2)
        for file in (before, writing):
            os.close(file)
        heard.append(os.read(reading, LONGEST_COMPLAINT))
        os.close(reading)


def damage_of(path: Path, picture: Image.Image, frame: int) -> str:
    """A sentence on what is damaged in a frame of a picture that could be decoded; empty when nothing is."""
    if picture.format == "TIFF" and picture.info.get("compression") in CHECKED:
        return damage_of_tiff(path, frame)
    return damage_of_jpeg(path) if picture.format == "JPEG" else ""


CHECKED = frozenset(("group3", "group4", "tiff_ccitt", "jpeg", "tiff_jpeg"))
"""Compressions whose decoders go on after an error."""
