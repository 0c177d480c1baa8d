"""A request that is refused before anything is done for it."""

from fastapi import HTTPException


class Refused(HTTPException):
    """An HTTP error that also names the kind of its problem."""

    def __init__(self, status: int, kind: str, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(status, detail, headers)
        self.kind = kind
