"""A server that speaks Textract's protocol and reads what it is sent with Tesseract. No emulator of Textract reads.

It holds Textract's limits: credentials, bytes, pixels and formats. Its answers have the form of DetectDocumentText:
lines and words with boxes in shares of the picture's sides.
"""

from __future__ import annotations

import base64
import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import Any

from PIL import Image

from tests.support.servers import ACCESS_KEY

TARGET = "Textract.DetectDocumentText"
WORD_ROW = "5"  # of Tesseract's table
MOST_BYTES, LONGEST_SIDE = 10_485_760, 10_000


class Refused(Exception):
    """An error as Textract names it."""

    def __init__(self, kind: str, status: int = 400) -> None:
        super().__init__(kind)
        self.status = status


@dataclass
class TextractServer:
    """What was asked so far, and how often the next requests are refused, and with which error."""

    endpoint: str
    seen: list[tuple[str, tuple[int, int], int]] = field(default_factory=list)
    refusals: list[Refused] = field(default_factory=list)

    def answer(self, target: str, authorization: str, body: bytes) -> dict[str, Any]:
        if f"Credential={ACCESS_KEY}/" not in authorization:
            raise Refused("UnrecognizedClientException")
        if target != TARGET:
            raise Refused("UnknownOperationException")
        if self.refusals:
            raise self.refusals.pop(0)
        content = base64.b64decode(json.loads(body)["Document"]["Bytes"])
        return {"DocumentMetadata": {"Pages": 1}, "Blocks": _blocks(content, self._checked(content))}

    def _checked(self, content: bytes) -> Image.Image:
        if len(content) > MOST_BYTES:
            raise Refused("DocumentTooLargeException")
        try:
            image = Image.open(BytesIO(content), formats=("PNG", "JPEG"))
        except OSError as error:
            raise Refused("UnsupportedDocumentException") from error
        self.seen.append((image.format or "", image.size, len(content)))
        if max(image.size) > LONGEST_SIDE:
            raise Refused("InvalidParameterException")
        return image


def _blocks(content: bytes, image: Image.Image) -> list[dict[str, Any]]:
    read = subprocess.run(
        ["tesseract", "-", "-", "--dpi", "200", "tsv"],
        input=content,
        capture_output=True,
        check=True,
        env={"OMP_THREAD_LIMIT": "1"},
    )
    lines: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for number, row in enumerate(read.stdout.decode().splitlines()[1:]):
        level, _, *place, text = row.split("\t", 11)
        if level == WORD_ROW and text.strip():
            left, top, width, height, confidence = (float(value) for value in place[4:])
            box = {
                "Left": left / image.width,
                "Top": top / image.height,
                "Width": width / image.width,
                "Height": height / image.height,
            }
            facts = {"Id": f"word-{number}", "Text": text, "Confidence": confidence}
            word = {"BlockType": "WORD", "Geometry": {"BoundingBox": box}, **facts}
            lines.setdefault(tuple(place[:3]), []).append(word)
    return [{"BlockType": "PAGE", "Id": "page"}, *(block for line in lines.values() for block in _line(line))]


def _line(words: list[dict[str, Any]]) -> list[dict[str, Any]]:
    text, children = " ".join(word["Text"] for word in words), [word["Id"] for word in words]
    line = {"BlockType": "LINE", "Id": f"line-{children[0]}", "Text": text, "Confidence": 90.0}
    return [{**line, "Relationships": [{"Type": "CHILD", "Ids": children}]}, *words]


@contextmanager
def textract_server() -> Iterator[TextractServer]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            try:
                target, authorization = self.headers["X-Amz-Target"], self.headers.get("Authorization", "")
                status, answer = 200, server.answer(target, authorization, body)
            except Refused as error:
                status, answer = error.status, {"__type": str(error), "Message": f"{error} by the test's server"}
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        server = TextractServer(f"http://127.0.0.1:{http.server_port}")
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()
