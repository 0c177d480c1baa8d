"""Read the words of a picture, once for the same bytes and the same engine."""

import time
from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from inktally import keys
from inktally.cache.pages import StoredPages
from inktally.delivery import Delivery, Receipt
from inktally.document import Engine, Recognition
from inktally.errors import BadResult, EmptyPicture, EngineDown, EngineFailed, InktallyError, PictureError, TooLarge
from inktally.lease import leased
from inktally.ports import Recogniser, Store, value_or_none
from inktally.scratch import scratch_folder
from inktally.settings import Settings
from inktally.steps import attempts
from inktally.steps.markers import patiently

BLANK = b"P5 200 100 255\n" + b"\xff" * 20_000
"""A page of paper, as PNM."""


def recognise(
    store: Store,
    recogniser: Recogniser,
    delivery: Delivery,
    engine: Engine,
    settings: Settings,
    *,
    refresh: bool,
    when_new: Callable[[], None] = lambda: None,
    when_read: Callable[[int, int], None] = lambda _page, _pages: None,
) -> Receipt:
    """Read the words of a picture, unless the same bytes have been read by the same engine before.

    Whoever reads holds the lease on the content, so that the same bytes under two names are read once. `when_new` is
    called before, `when_read` with a page's number and that of all, page after page. Raises also `RepeatedFailure`.
    """
    check_size(delivery.picture.size, settings)
    with scratch_folder(settings.scratch) as folder:
        picture = folder / "picture"
        content = store.download(delivery.picture, picture)
        key = keys.recognition(content, engine.fingerprint)
        with leased(store, keys.lock(key), ttl=settings.lease_seconds) as lease:
            recognition = None if refresh else value_or_none(store, key, Recognition)
            made_for = "" if recognition else delivery.id
            begun = time.monotonic()
            if recognition is None:
                if lease.took_over:
                    attempts.died(store, delivery, settings)
                when_new()
                pages = StoredPages(store, content, engine.fingerprint, when_read, refresh=refresh)
                recognition = _read(recogniser, picture, engine, pages)
                patiently(_keep, store, pages, recognition, replaces=refresh)
            else:  # whoever clears the cache leaves alone what has just been written
                store.put(key, recognition.model_dump_json().encode())
    return Receipt(
        content=content,
        fingerprint=engine.fingerprint,
        artefact=key,
        words=len(recognition.words),
        pages=len(recognition.pages),
        seconds=round(time.monotonic() - begun, 3),
        warnings=recognition.warnings,
        made_for=made_for,
    )


def _read(recogniser: Recogniser, picture: Path, engine: Engine, pages: StoredPages) -> Recognition:
    """What nobody has foreseen is an error of the engine, too: then it counts (inktally/steps/attempts.py).

    Raises `EngineDown` when the engine fails over a blank page as well: then it is no failure of the picture.
    """
    try:
        return recogniser.recognise(picture, engine, pages)
    except EngineDown:
        raise
    except PictureError:
        pages.clear()  # nobody reads it again
        raise
    except Exception as error:
        if isinstance(error, InktallyError) and not isinstance(error, EngineFailed):
            raise
        blank = picture.with_name("blank")
        blank.write_bytes(BLANK)
        try:
            recogniser.recognise(blank, engine)
        except Exception:  # noqa: BLE001 - whatever it is, the engine does not work
            raise EngineDown(f"No picture can be read now: {error}") from error
        if isinstance(error, EngineFailed):
            raise
        raise EngineFailed(f"The picture could not be read: {type(error).__name__}: {error}") from error


def check_size(size: int, settings: Settings) -> None:
    """Of a picture in bytes. Raises `EmptyPicture`, `TooLarge`."""
    if size == 0:
        raise EmptyPicture("The file is empty; send it again, the upload was probably cut off.")
    if size > settings.max_bytes:
        raise TooLarge(
            f"The file has {size:,} bytes and at most {settings.max_bytes:,} are read; scan at 300 dpi, or send parts."
        )


def recognition_of(store: Store, receipt: Receipt) -> Recognition:
    """Raises `NotFound` when the artefact has gone, `BadResult` when it is not what we write."""
    try:
        return Recognition.model_validate_json(store.read(receipt.artefact))
    except ValidationError as error:
        raise BadResult(f"{receipt.artefact} is no recognition; recognise the picture again with --refresh.") from error


def _keep(store: Store, pages: StoredPages, recognition: Recognition, *, replaces: bool) -> None:
    """Put a recognition there; of one that it `replaces` the counts go first, as they do when the cache is cleared."""
    content, fingerprint = pages.content, pages.fingerprint
    for counted_before in store.list(keys.all_counts(content, fingerprint)) if replaces else ():
        store.remove(counted_before.key)
    store.put(keys.recognition(content, fingerprint), recognition.model_dump_json().encode())
    pages.clear()
