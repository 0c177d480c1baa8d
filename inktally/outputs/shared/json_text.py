"""JSON that a person can read, and a program line by line: the same facts give the same bytes."""

import json
from collections.abc import Mapping


class Encoded(str):
    """A value that is JSON already."""

    __slots__ = ()


_compact = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode  # made once: there are thousands of entries


def by_lines(document: Mapping[str, object]) -> bytes:
    """UTF-8 JSON with one field a line, and one entry a line in lists of objects."""
    fields = [f"  {_compact(name)}: {_entries(value)}" for name, value in document.items()]
    return ("{\n" + ",\n".join(fields) + "\n}\n").encode()


def encoded(value: object) -> Encoded:
    """A field's value, as `by_lines` writes it and takes it."""
    return Encoded(_entries(value))


def _entries(value: object) -> str:
    if isinstance(value, Encoded):
        return value
    if not (isinstance(value, list) and value and isinstance(value[0], dict)):
        return _compact(value)
    return "[\n" + ",\n".join(f"    {_compact(entry)}" for entry in value) + "\n  ]"
