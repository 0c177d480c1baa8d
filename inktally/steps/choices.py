"""What is done with a picture: as the run asks, as its uploader or its key says, else as the settings say."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError

from inktally.delivery import After, Counting, Delivery, Options
from inktally.document import Engine, TextLayer, Value, accepted_by
from inktally.errors import BadSettings, MissingTool, UnknownLanguage, UnknownOption
from inktally.languages import by_prefix, split_names
from inktally.outputs import chosen
from inktally.ports import Recogniser
from inktally.settings import Settings

FIELDS = {
    "outputs": "outputs",
    "min-confidence": "min_confidence",
    "body-only": "body_only",
    "text-layer": "text_layer",
}
"""Name in the metadata -> field. Underscores do not come through every proxy."""


class UploadOptions(Value):
    """What an uploader may ask for besides the language; it travels in the metadata of the picture.

    What is left empty is as the run's options or the settings say.
    """

    outputs: Annotated[str, accepted_by(lambda names: names and ",".join(chosen(names)))] = Field(
        default="", max_length=200, description="names of outputs, separated by commas"
    )
    min_confidence: float | None = Field(default=None, ge=0, le=100)
    body_only: bool = False
    text_layer: TextLayer | Literal[""] = ""

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


class Choices(Value):
    """How a picture is counted, what is written of it, and what becomes of it."""

    counting: Counting
    outputs: tuple[str, ...]
    after: After

    @classmethod
    def of(cls, options: Options, settings: Settings, metadata: Mapping[str, str]) -> Self:
        """Of an upload with this metadata; of a batch, without any.

        Raises `UnknownOption`, and `BadSettings` for outputs that do not exist.
        """
        uploaders = UploadOptions.of(metadata)
        asked = uploaders.min_confidence if options.min_confidence is None else options.min_confidence
        return cls(
            counting=Counting(
                min_confidence=settings.min_confidence if asked is None else asked,
                body_only=options.body_only or uploaders.body_only or settings.body_only,
            ),
            outputs=chosen(options.outputs or uploaders.outputs or settings.outputs),
            after=options.after or settings.after,
        )


def engine_for(delivery: Delivery, options: Options, recogniser: Recogniser, settings: Settings) -> Engine:
    """What would read this picture. Raises `UnknownOption`, `UnknownLanguage` when its uploader asked for one that
    nobody reads, `BadSettings` and `MissingTool` when it was anybody else."""
    text_layer = options.text_layer or UploadOptions.of(delivery.picture.metadata).text_layer or settings.text_layer
    uploaders = delivery.picture.metadata.get("language")
    by_key = by_prefix(settings.language_by_prefix, delivery.upload.key)
    languages = options.language or uploaders or by_key or settings.language
    try:
        return recogniser.identify(split_names(languages)).with_text_layer(text_layer)
    except (BadSettings, MissingTool) as error:
        if languages != uploaders:
            raise
        raise UnknownLanguage(f"The picture came with the language {uploaders!r}. {error}") from error
