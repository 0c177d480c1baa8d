"""Files of the store as answers. They may be large, and many may be fetched at once: none is held in memory."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

from fastapi import Response
from fastapi.responses import StreamingResponse

from inktally.ports import Store
from inktally.scratch import scratch_folder

CHUNK = 1 << 18


def stored(store: Store, key: str, scratch: Path, media_type: str, headers: Mapping[str, str]) -> Response:
    """What is stored under the key, by way of a file that has no name any more. Raises `NotFound`."""
    with scratch_folder(scratch) as folder:
        found = store.stat(key)
        store.download(found, folder / "stored")
        file = (folder / "stored").open("rb")
    return StreamingResponse(
        _chunks(file), media_type=media_type, headers={**headers, "Content-Length": str(found.size)}
    )


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while chunk := file.read(CHUNK):
            yield chunk
