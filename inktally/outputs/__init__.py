"""What is written for a picture: one file a format. This file knows their names alone, and is quick to import."""

from typing import get_args

from inktally.delivery import OutputName
from inktally.errors import BadSettings

NAMES: tuple[OutputName, ...] = get_args(OutputName)


def chosen(names: str) -> tuple[OutputName, ...]:
    """The outputs that are named, separated by commas, each once. Raises `BadSettings`."""
    asked = {name.strip() for name in names.split(",")} - {""}
    unknown = sorted(asked.difference(NAMES))
    known = f"there are: {', '.join(NAMES)}"
    if unknown:
        raise BadSettings(f"There is no output {', '.join(map(repr, unknown))}; {known}.")
    if not asked:
        raise BadSettings(f"At least one output must be named; {known}.")
    return tuple(name for name in NAMES if name in asked)
