"""Who asks the site and the receiver at once, for locust; benchmarks/load.py starts it and says where they are."""

from __future__ import annotations

import os
import re
from io import BytesIO
from uuid import uuid4

from locust import HttpUser, between, task
from PIL import Image

from tests.support.messages import s3_record

SITE, RECEIVER = os.environ["LOAD_SITE"], os.environ["LOAD_RECEIVER"]
KEY, SECRET = os.environ["LOAD_KEY"], os.environ["LOAD_SECRET"]
FORM = re.compile(r'name="form"\s+value="([^"]+)"')


def new_picture() -> bytes:
    """A small picture that nobody has sent before."""
    file = BytesIO()
    image = Image.frombytes("L", (16, 16), uuid4().bytes * 16).resize((400, 300))
    image.save(file, "PNG")
    return file.getvalue()


class Visitor(HttpUser):
    """Somebody at the page: looks at it, sends a picture, and looks what becomes of it."""

    host = SITE
    weight = 2
    wait_time = between(0.5, 1.5)

    @task
    def visit(self) -> None:
        headers = {"X-Forwarded-For": f"2001:db8:{uuid4().hex[:4]}::1"}
        found = FORM.search(self.client.get("/", headers=headers, name="page: look").text or "")
        if found:
            media_type, body = _form(found[1])
            headers["Content-Type"] = media_type
            self.client.post("/uploads", data=body, headers=headers, name="page: send, and look")


class Program(HttpUser):
    """A program that uses the API: sends a picture without waiting, and asks for its state."""

    host = SITE
    weight = 2
    wait_time = between(0.5, 1.5)

    @task
    def send(self) -> None:
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "image/png", "Prefer": "respond-async"}
        sent = self.client.post("/api/ocr", data=new_picture(), headers=headers, name="api: send")
        if sent.status_code == 202:  # noqa: PLR2004
            for _ in range(2):
                self.client.get(sent.headers["Location"], headers=headers, name="api: state")


class Bucket(HttpUser):
    """A bucket that tells the receiver of pictures."""

    host = RECEIVER
    weight = 1
    wait_time = between(0.05, 0.15)

    @task
    def ring(self) -> None:
        record = s3_record(f"input/{uuid4().hex}.png", sender="ceph:s3")
        headers = {"X-Inktally-Secret": SECRET}
        self.client.post("/hooks/s3", json={"Records": [record]}, headers=headers, name="receiver: event")


def _form(token: str) -> tuple[str, bytes]:
    """A form with one picture, as a browser sends it: its type, and itself."""
    edge = uuid4().hex
    field = f'--{edge}\r\nContent-Disposition: form-data; name="form"\r\n\r\n{token}\r\n'
    file = (
        f'--{edge}\r\nContent-Disposition: form-data; name="pictures"; filename="a.png"\r\nContent-Type: image/png\r\n'
    )
    body = f"{field}{file}\r\n".encode() + new_picture() + f"\r\n--{edge}--\r\n".encode()
    return f"multipart/form-data; boundary={edge}", body
