"""What is written of a picture: one file an output, which says all there is to say of it in `OUTPUT`.

This file knows their names alone, and is quick to import. What several of them need is in inktally/outputs/shared/.
"""

import pkgutil

from inktally.errors import BadSettings

NAMES = tuple(sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.ispkg))


def chosen(names: str) -> tuple[str, ...]:
    """The outputs that are named, separated by commas, each once. Raises `BadSettings`."""
    asked = {name.strip() for name in names.split(",")} - {""}
    unknown = sorted(asked.difference(NAMES))
    known = f"there are: {', '.join(NAMES)}"
    if unknown:
        raise BadSettings(f"There is no output {', '.join(map(repr, unknown))}; {known}.")
    if not asked:
        raise BadSettings(f"At least one output must be named; {known}.")
    return tuple(name for name in NAMES if name in asked)
