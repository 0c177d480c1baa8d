"""What an uploader may ask for beside the language: it travels in the metadata of the picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from pydantic import Field, ValidationError, field_validator

from inktally.document import Value
from inktally.errors import BadSettings, UnknownOption
from inktally.outputs import chosen

FIELDS = {"outputs": "outputs", "min-confidence": "min_confidence", "body-only": "body_only"}
"""Name in the metadata -> field. Underscores do not come through every proxy."""


class Wishes(Value):
    """What is left empty is as the run's options or the settings say."""

    outputs: str = Field(default="", max_length=200, description="names of outputs, separated by commas")
    min_confidence: float | None = Field(default=None, ge=0, le=100)
    body_only: bool = False

    @field_validator("outputs")
    @classmethod
    def _known(cls, names: str) -> str:
        try:
            return ",".join(chosen(names)) if names else ""
        except BadSettings as error:
            raise ValueError(str(error)) from error

    def as_metadata(self) -> dict[str, str]:
        asked = self.model_dump(mode="json", exclude_defaults=True)
        return {name: str(asked[field]).lower() for name, field in FIELDS.items() if field in asked}

    @classmethod
    def of(cls, metadata: Mapping[str, str]) -> Self:
        """Raises `UnknownOption`."""
        asked = {field: metadata[name] for name, field in FIELDS.items() if metadata.get(name)}
        try:
            return cls.model_validate(asked)
        except ValidationError as error:
            fault = error.errors()[0]
            raise UnknownOption(
                f"The picture came with {fault['loc'][0]}={fault['input']!r}: {fault['msg']}"
            ) from error
