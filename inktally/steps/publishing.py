"""Write the outputs of a counted picture."""

import logging
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from pydantic import Field

from inktally.delivery import Delivery
from inktally.document import PageWarning, Recognition, Value
from inktally.errors import NotFound, OutputFailed, Overwritten
from inktally.outputs.shared.layout import Reading
from inktally.outputs.shared.registry import OUTPUTS
from inktally.ports import PdfWriter, Store
from inktally.scratch import scratch_folder
from inktally.settings import Settings

logger = logging.getLogger(__name__)


class Published(Value):
    """The addresses of what was written, by name of output, and all that is to be said of the pages by now."""

    outputs: dict[str, str] = Field(default={})
    warnings: tuple[PageWarning, ...] = ()


def publish(
    store: Store,
    delivery: Delivery,
    reading: Reading,
    outputs: Iterable[str],
    pdf_writer: PdfWriter,
    settings: Settings,
) -> Published:
    """Write the outputs. What writing the PDF loses, the counts say as well.

    Nothing is written for a picture that a newer one has replaced: its outputs have the same names.
    """
    outputs = list(outputs)
    with ExitStack() as stack:
        contents: dict[str, bytes | Path] = {}
        for output in sorted(outputs, key=lambda name: OUTPUTS[name].write is not None):
            write = OUTPUTS[output].write
            if write:
                contents[output] = _made(output, write, reading)
                continue
            folder = stack.enter_context(scratch_folder(settings.scratch))
            try:
                contents[output], lost = _pdf(store, delivery, reading.recognition, pdf_writer, folder)
            except (NotFound, Overwritten) as error:
                logger.warning("no PDF can be made of %s any more: %s", delivery.upload.key, error)
                return Published()
            warnings = (*reading.counts.warnings, *lost)
            reading = replace(reading, counts=reading.counts.model_copy(update={"warnings": warnings}))
        if _replaced(store, delivery):
            logger.warning("%s has been replaced; its outputs are left to the newer picture", delivery.upload.key)
            return Published()
        written = {output: _put(store, delivery, output, contents[output]) for output in outputs}
        return Published(outputs=written, warnings=reading.counts.warnings)


def _made(output: str, write: Callable[[Reading], bytes], reading: Reading) -> bytes:
    """What nobody has foreseen counts as a failure over this picture (inktally/steps/attempts.py)."""
    try:
        return write(reading)
    except Exception as error:
        raise OutputFailed(f"{output} could not be made: {type(error).__name__}: {error}") from error


def _pdf(
    store: Store, delivery: Delivery, recognition: Recognition, pdf_writer: PdfWriter, folder: Path
) -> tuple[Path, tuple[PageWarning, ...]]:
    """The picture is needed once more, and where it was known already for the first time."""
    picture, target = folder / "picture", folder / "searchable.pdf"
    store.download(delivery.picture, picture)
    return target, pdf_writer.write(picture, recognition, target)


def _put(store: Store, delivery: Delivery, output: str, content: bytes | Path) -> str:
    key = OUTPUTS[output].key(delivery.upload.name)
    store.put(key, content)
    return store.address(key)


def _replaced(store: Store, delivery: Delivery) -> bool:
    try:
        return not store.stat(delivery.picture.key).same_version(delivery.picture)
    except NotFound:
        return False
