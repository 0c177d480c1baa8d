"""What is done with a picture: as the run asks, as its uploader or its key says, else as the settings say."""

from __future__ import annotations

from inktally.delivery import Counting, Delivery, Options
from inktally.document import Engine
from inktally.errors import BadSettings, MissingTool, UnknownLanguage
from inktally.languages import by_prefix, split_names
from inktally.ports import Recogniser
from inktally.settings import Settings


def engine_for(delivery: Delivery, options: Options, recogniser: Recogniser, settings: Settings) -> Engine:
    """What would read this picture. Raises `UnknownLanguage` when its uploader asked for one that nobody reads,
    `BadSettings` and `MissingTool` when it was anybody else."""
    uploaders = delivery.picture.metadata.get("language")
    by_key = by_prefix(settings.language_by_prefix, delivery.upload.key)
    languages = options.language or uploaders or by_key or settings.language
    try:
        return recogniser.identify(split_names(languages))
    except (BadSettings, MissingTool) as error:
        if languages != uploaders:
            raise
        raise UnknownLanguage(f"The picture came with the language {uploaders!r}. {error}") from error


def counting_for(options: Options, settings: Settings) -> Counting:
    asked = options.min_confidence
    return Counting(
        min_confidence=settings.min_confidence if asked is None else asked,
        body_only=options.body_only or settings.body_only,
    )
