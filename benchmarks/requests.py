"""Requests to the store and to Prefect, and Spark jobs: python -m benchmarks.requests [--json].

Each flow runs in a process of its own, which counts what its clients send: for a new picture, for a duplicate, for
each picture of a group, and for each of a batch. The store is Ceph, else moto.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks.pages import page
from tests.support.machine import PROJECT, server_environment
from tests.support.prefect_servers import new_server
from tests.support.servers import ENVIRONMENT, S3Server
from tests.support.stack import own_servers

GROUP = 16
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
Figures = dict[str, float]


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.requests", description="Requests and Spark jobs for each picture."
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout, and nothing else")
    parser.add_argument("--details", action="store_true", help="say each kind of request, not only how many there were")
    parser.add_argument("--batch", type=int, default=1000, help="pictures of the batch (1000)")
    parser.add_argument("--run", nargs="+", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.run:
        sys.stdout.write(json.dumps(counted(*asked.run)) + "\n")
        return 0
    with tempfile.TemporaryDirectory(prefix="inktally-requests-", ignore_cleanup_errors=True) as folder:
        figures = measured(Path(folder), asked.batch, details=asked.details)
    sys.stdout.write(json.dumps(figures) + "\n" if asked.json else shown(figures))
    return 0


def measured(folder: Path, batch: int, *, details: bool = False) -> dict[str, Figures]:
    """Requests for each picture, by what was done: {"new": {"store": …, "prefect": …, "spark": …}, …}."""
    with (
        server_environment(**ENVIRONMENT),
        own_servers(folder / "servers") as (s3, spark),
        _prefect(folder / "prefect"),
    ):
        os.environ |= {
            "INKTALLY_S3_ENDPOINT": s3.endpoint,
            "INKTALLY_SPARK_REMOTE": spark.address,
            "INKTALLY_NOTIFIER": "folder",
            "INKTALLY_MAIL_FOLDER": str(folder / "mail"),
            "INKTALLY_SCRATCH": str(folder / "scratch"),
        }
        bucket = s3.new_bucket()
        first, *others = [page(folder / "pages" / f"{seed}.png", seed) for seed in range(GROUP + 1)]
        figures = {}
        for name, pages in {"new": [first], "duplicate": [first], "group": others}.items():
            keys = [_put(s3, bucket, f"input/{name}-{each.name}", each) for each in pages]
            figures[name] = _each(_run("uploads", f"s3://{bucket}", *keys), len(keys), details=details)
        pages = [page(folder / "pages" / f"{seed}.png", seed) for seed in range(1000, 1000 + batch)]
        for each in pages:
            _put(s3, bucket, f"scans/{each.name}", each)
        figures["batch"] = _each(_run("batch", f"s3://{bucket}/scans/"), batch, details=details)
    return figures


def counted(kind: str, place: str, *keys: str) -> Counter[str]:
    """Run a flow in this process, and count what its clients send."""
    requests: Counter[str] = Counter()
    with _counting(requests):
        from flows.batch_flow import batch_flow
        from flows.ocr_flow import ocr_flow
        from inktally.delivery import Upload

        if kind == "batch":
            state = batch_flow(place, return_state=True)
        else:
            state = ocr_flow([Upload(key=key, store=place) for key in keys], return_state=True)
        assert state.is_completed(), state
    return requests


@contextmanager
def _counting(requests: Counter[str]) -> Iterator[None]:
    import grpc  # type: ignore[import-untyped]
    import httpx
    from botocore.httpsession import URLLib3Session

    to_store, to_prefect, awaited = URLLib3Session.send, httpx.Client.send, httpx.AsyncClient.send

    def sent_to_store(session: Any, request: Any) -> Any:
        requests[f"store {request.method} {_key(request.url)}"] += 1
        return to_store(session, request)

    def sent_to_prefect(client: Any, request: Any, **options: Any) -> Any:
        requests[f"prefect {request.method} {_path(request.url.path)}"] += 1
        return to_prefect(client, request, **options)

    async def awaited_of_prefect(client: Any, request: Any, **options: Any) -> Any:
        requests[f"prefect {request.method} {_path(request.url.path)}"] += 1
        return await awaited(client, request, **options)

    class Plans(grpc.UnaryStreamClientInterceptor):  # type: ignore[misc]
        def intercept_unary_stream(self, continuation: Any, details: Any, request: Any) -> Any:
            requests[f"spark {details.method}"] += details.method.endswith("/ExecutePlan")
            return continuation(details, request)

    def watched(open_channel: Any) -> Any:
        return lambda *of, **options: grpc.intercept_channel(open_channel(*of, **options), Plans())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(URLLib3Session, "send", sent_to_store)
        patch.setattr(httpx.Client, "send", sent_to_prefect)
        patch.setattr(httpx.AsyncClient, "send", awaited_of_prefect)
        for name in ("secure_channel", "insecure_channel"):
            patch.setattr(grpc, name, watched(getattr(grpc, name)))
        yield


def _key(url: str) -> str:
    """The kind of object that a request is about, without its name; or what the bucket is asked."""
    path, _, query = url.partition("?")
    folder, *names = path.split("/")[4:] or [""]
    ending = {"output": names[:1], "state": names[-1:]}.get(folder, [".counts"] if ".counts." in path else [])
    return "/".join([folder, *ending]) + (f"?{query.split('=')[0]}" if query else "")


def _path(path: str) -> str:
    """Without ids."""
    return UUID.sub("ID", path)


@contextmanager
def _prefect(home: Path) -> Iterator[None]:
    server = new_server(home)
    home.mkdir()
    with server.running():
        os.environ |= {name: value for name, value in server.environment.items() if name.startswith("PREFECT_")}
        yield


def _put(s3: S3Server, bucket: str, key: str, path: Path) -> str:
    metadata = {"email": "anna@example.org"}
    s3.client.put_object(Bucket=bucket, Key=key, Body=path.read_bytes(), Metadata=metadata)
    return key


def _run(*arguments: str) -> Counter[str]:
    command = [sys.executable, "-m", "benchmarks.requests", "--run", *arguments]
    done = subprocess.run(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True, check=True)
    return Counter(json.loads(done.stdout.splitlines()[-1]))


def _each(requests: Counter[str], pictures: int, *, details: bool) -> Figures:
    kinds = ("store", "prefect", "spark")
    sums = {kind: sum(number for what, number in requests.items() if what.startswith(kind)) for kind in kinds}
    return {what: round(n / pictures, 3) for what, n in {**sums, **(requests if details else {})}.items()}


def shown(figures: dict[str, Figures]) -> str:
    rows: Sequence[str] = [
        "\n".join([f"{name}:", *(f"  {number:8.3f}  {what}" for what, number in of.items())])
        for name, of in figures.items()
    ]
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    sys.exit(main())
