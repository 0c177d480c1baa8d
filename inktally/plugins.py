"""Adapters by name: `inktally/<kind>/<name>.py` with a function `build`; a new engine or notifier is one new file."""

import pkgutil
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from inktally.errors import BadSettings
from inktally.ports import Counter, Notifier, PageEngine, Recogniser, Store
from inktally.settings import Settings

AUTO = "auto"


def names(kind: str) -> list[str]:
    """All adapters of a kind: engines, stores, notifiers or counters."""
    return sorted(module.name for module in pkgutil.iter_modules([str(Path(__file__).parent / kind)]))


def engines() -> list[str]:
    """What may be asked for as an engine."""
    return [AUTO, *names("engines")]


def recogniser(name: str, settings: Settings) -> Recogniser:
    """One engine, or with `auto` those that the settings name for it."""
    from inktally.reading.reader import Reader

    return Reader(name, {one: engine(one, settings) for one in chain(name, settings)}, settings)


def chain(name: str, settings: Settings) -> list[str]:
    """The engines that reading with this one may ask."""
    return [one.strip() for one in settings.auto_engines.split(",") if one.strip()] if name == AUTO else [name]


def engine(name: str, settings: Settings) -> PageEngine:
    """One engine, as a `Reader` asks it."""
    return cast(PageEngine, _adapter("engines", name).build(settings))


def store(uri: str, settings: Settings) -> Store:
    """The store at s3://bucket, or in a folder."""
    return cast(Store, _adapter("stores", "s3" if uri.startswith("s3://") else "files").build(uri, settings))


def source(uri: str, settings: Settings) -> Store:
    """A store that is only read."""
    if uri.startswith("s3://"):
        return store(uri, settings)
    return cast(Store, _adapter("stores", "files").build_source(uri, settings))


def notifier(settings: Settings) -> Notifier:
    return cast(Notifier, _adapter("notifiers", settings.notifier).build(settings))


def counter(settings: Settings, *, for_parts: bool = False) -> Counter:
    """`for_parts`: one that will be asked to count files rather than words at hand."""
    return cast(Counter, _adapter("counters", "spark").build(settings, for_parts=for_parts))


def _adapter(kind: str, name: str) -> Any:
    if name not in names(kind):
        raise BadSettings(f"There is no {name!r} among the {kind}; there are: {', '.join(names(kind))}.")
    return import_module(f"inktally.{kind}.{name}")
