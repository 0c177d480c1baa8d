"""An inbox on the web over the mails that the notifier `folder` writes: python -m web.inbox. It only reads.

What stands in a mail is somebody else's: its HTML is shown in a sandboxed frame, under a policy that lets it load and
run nothing, and its attachments are only ever saved. It asks for a password, with any user name: everybody who has an
account on the machine can reach it, and mails hold links that open what was uploaded.
"""

import argparse
import logging
import re
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from email import message_from_binary_file, message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.security import HTTPBasic, HTTPBasicCredentials
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from inktally.mail.links import kept_secret
from inktally.settings import Settings
from web.callers import is_same
from web.command import run_command
from web.serving import run_server

logger = logging.getLogger(__name__)

NAME = re.compile(r"[0-9a-f]{32}")  # as the notifier names its files
MOST_LISTED = 200
OWN_PAGES = "default-src 'none'; style-src 'unsafe-inline'; frame-src 'self'; base-uri 'none'; form-action 'none'"
FOREIGN = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"

TEMPLATES = Environment(
    loader=PackageLoader("web"), autoescape=select_autoescape(), undefined=StrictUndefined, trim_blocks=True
)


def create_app(folder: Path, password: str) -> FastAPI:
    """The inbox of a folder, which need not be there yet."""

    def check(shown: Annotated[HTTPBasicCredentials, Depends(HTTPBasic(realm="Inktally's inbox"))]) -> None:
        if not is_same(shown.password.encode(), password.encode()):
            raise HTTPException(401, "Another password is needed.", {"WWW-Authenticate": "Basic"})

    app = FastAPI(openapi_url=None, dependencies=[Depends(check)])

    @app.get("/")
    def listed(request: Request) -> Response:
        return _page("inbox.html", request, mails=[_headers(path) for path in _newest(folder)])

    @app.get("/mails/{name}")
    def shown(name: str, request: Request) -> Response:
        mail = _mail(folder, name)
        plain, html = mail.get_body(("plain",)), mail.get_body(("html",))
        files = [part.get_filename("attachment") for part in mail.iter_attachments()]
        text = plain.get_content() if plain else ""
        return _page("mail.html", request, mail=mail, name=name, text=text, has_html=html is not None, files=files)

    @app.get("/mails/{name}/html")
    def html(name: str) -> Response:
        body = _mail(folder, name).get_body(("html",))
        if body is None:
            raise HTTPException(404, "The mail has no HTML.")
        return _answer(body.get_content(), "text/html; charset=utf-8", FOREIGN)

    @app.get("/mails/{name}/files/{number}")
    def attachment(name: str, number: int) -> Response:
        files = dict(enumerate(_mail(folder, name).iter_attachments()))
        if number not in files:
            raise HTTPException(404, "The mail has no such file.")
        file_name = quote(files[number].get_filename("attachment"), safe="")
        answer = _answer(_content(files[number]), "application/octet-stream", FOREIGN)
        answer.headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{file_name}"
        return answer

    return app


def _newest(folder: Path) -> Iterator[Path]:
    found = [path for path in folder.glob("*.eml") if NAME.fullmatch(path.stem) and path.is_file()]
    return iter(sorted(found, key=lambda path: path.stat().st_mtime_ns, reverse=True)[:MOST_LISTED])


def _headers(path: Path) -> dict[str, str]:
    with path.open("rb") as file:
        mail = message_from_binary_file(file, policy=policy.default)
    came = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return {
        "name": path.stem,
        "subject": str(mail["Subject"] or ""),
        "to": str(mail["To"] or ""),
        "came": f"{came:%Y-%m-%d %H:%M:%S}",
    }


def _mail(folder: Path, name: str) -> EmailMessage:
    """Only a name that is no path finds anything."""
    path = folder / f"{name}.eml"
    if not NAME.fullmatch(name) or not path.is_file():
        raise HTTPException(404, "There is no such mail.")
    return message_from_bytes(path.read_bytes(), policy=policy.default)


def _content(part: EmailMessage) -> bytes:
    decoded = part.get_payload(decode=True)
    return decoded if isinstance(decoded, bytes) else part.as_bytes()


def _page(template: str, request: Request, **values: object) -> Response:
    text = TEMPLATES.get_template(template).render(values, host=request.url.netloc)
    return _answer(text, "text/html; charset=utf-8", OWN_PAGES)


def _answer(content: str | bytes, media_type: str, content_policy: str) -> Response:
    body = content.encode(errors="replace") if isinstance(content, str) else content
    headers = {
        "Content-Security-Policy": f"{content_policy}; frame-ancestors 'self'",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cache-Control": "no-store",
    }
    return Response(body, media_type=media_type, headers=headers)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m web.inbox",
        description="Show the mails in INKTALLY_MAIL_FOLDER on the web, to this machine only.",
    )
    parser.add_argument("--port", type=int, default=8025, help="default: 8025")
    return run_command(parser, argv, _serve)


def _serve(settings: Settings, asked: argparse.Namespace) -> None:
    password, kept = settings.inbox_password.get_secret_value(), settings.cache / "inbox-password"
    app = create_app(Path(settings.mail_folder), password or kept_secret(kept, "INKTALLY_INBOX_PASSWORD"))
    asks_for = "INKTALLY_INBOX_PASSWORD" if password else f"the line in {kept}"
    logger.info("http://127.0.0.1:%d asks for a password: %s; any user name will do", asked.port, asks_for)
    run_server(app, settings, "127.0.0.1", asked.port)


if __name__ == "__main__":
    sys.exit(main())
