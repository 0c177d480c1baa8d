"""The one place where adapters are chosen and built; once a process, from the settings."""

from functools import lru_cache

from inktally import plugins
from inktally.batch.part import Pace
from inktally.batch.place import Place, place_of
from inktally.logs import escape_records
from inktally.outputs import pdf
from inktally.ports import Counter, Notifier, PdfWriter, Recogniser, Store
from inktally.settings import Settings, read_settings
from inktally.steps.answering import Services


@lru_cache
def settings() -> Settings:
    """Of this process, which logs keys from now on, so they are escaped."""
    escape_records()
    return read_settings()


def store_is_chosen() -> bool:
    """Whether the settings name a store, rather than leave it at the embedded default."""
    return "store" in settings().model_fields_set


@lru_cache
def store(uri: str) -> Store:
    """The store at s3://bucket or in a folder."""
    return plugins.store(uri, settings())


@lru_cache
def place(pictures: str, results: str = "") -> Place:
    """Where a batch's pictures lie and its results go: as is said, else as the settings choose, else where they lie."""
    chosen = results or (settings().store if store_is_chosen() or not pictures.startswith("s3://") else "")
    return place_of(pictures, chosen, settings())


@lru_cache
def recogniser(name: str) -> Recogniser:
    return plugins.recogniser(name, settings())


@lru_cache
def counter() -> Counter:
    return plugins.counter(settings())


@lru_cache
def counter_of_parts() -> Counter:
    """For batches."""
    return plugins.counter(settings(), for_parts=True)


@lru_cache
def pace(pause: float) -> Pace:
    """One for all that this process reads with pauses of so many seconds."""
    return Pace(pause)


@lru_cache
def pdf_writer() -> PdfWriter:
    return pdf.build(settings())


@lru_cache
def notifier() -> Notifier:
    return plugins.notifier(settings())


@lru_cache
def services(uri: str) -> Services:
    """Of uploads to the store at s3://bucket or in a folder."""
    return Services(store(uri), pdf_writer(), notifier(), settings())


def services_of_batch(opened: Store, *, has_uploaders: bool) -> Services:
    return Services(opened, pdf_writer(), notifier(), settings(), has_uploaders, moves_pictures=False)
