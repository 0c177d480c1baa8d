"""Adapters by name: `inktally/<kind>/<name>.py` with a function `build`; a new engine or notifier is one new file."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inktally.errors import BadSettings

if TYPE_CHECKING:
    from inktally.ports import Counter, Notifier, Recogniser, Store
    from inktally.settings import Settings


def names(kind: str) -> list[str]:
    """All adapters of a kind: engines, stores, notifiers or counters."""
    return sorted(module.name for module in pkgutil.iter_modules([str(Path(__file__).parent / kind)]))


def recogniser(name: str, settings: Settings) -> Recogniser:
    engine: Recogniser = _adapter("engines", name).build(settings)
    return engine


def store(uri: str, settings: Settings) -> Store:
    """The store at s3://bucket, or in a folder."""
    opened: Store = _adapter("stores", "s3" if uri.startswith("s3://") else "files").build(uri, settings)
    return opened


def notifier(settings: Settings) -> Notifier:
    chosen: Notifier = _adapter("notifiers", settings.notifier).build(settings)
    return chosen


def counter(settings: Settings) -> Counter:
    chosen: Counter = _adapter("counters", "spark").build(settings)
    return chosen


def _adapter(kind: str, name: str) -> Any:
    if name not in names(kind):
        raise BadSettings(f"There is no {name!r} among the {kind}; there are: {', '.join(names(kind))}.")
    return import_module(f"inktally.{kind}.{name}")
