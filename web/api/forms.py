"""What is asked of the API, and what it answers, as OpenAPI describes it."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from inktally.document import CountsDocument, TextLayer, accepted_by
from inktally.intake.status import Status
from inktally.languages import split_names
from inktally.mail.message import public_address
from inktally.outputs import NAMES, chosen
from inktally.steps.choices import UploadOptions

LONGEST_LANGUAGE = 100
COUNTED = "word_counts"  # what the API answers with is made of every picture
LANGUAGE = r"^([A-Za-z_/]+( *\+ *[A-Za-z_/]+)*)?$"
OUTPUTS = rf"^((?:{'|'.join(NAMES)})(,(?:{'|'.join(NAMES)}))*)?$"


def _without_default(schema: dict[str, Any]) -> None:
    """What the settings say is not known here."""
    schema.pop("default", None)


class Asked(BaseModel):
    """How a picture is to be read. What is left out is as the settings say."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(default="", max_length=255, description="of the picture", examples=["page 1.png"])
    language: Annotated[str, accepted_by(lambda names: names and "+".join(split_names(names)))] = Field(
        default="",
        max_length=LONGEST_LANGUAGE,
        pattern=LANGUAGE,
        description="as Tesseract names them, joined by +, or auto",
        examples=["eng+deu"],
    )
    outputs: str = Field(
        default="",
        max_length=200,
        pattern=OUTPUTS,
        description=f"what is made of the picture beside its counts, separated by commas: {', '.join(NAMES)}",
        examples=["plain_text,pdf"],
    )
    min_confidence: float = Field(
        default=0.0,
        ge=0,
        le=100,
        description="words below this confidence are not counted",
        json_schema_extra=_without_default,
    )
    body_only: bool = Field(default=False, description="headers, footers and page numbers are not counted")
    text_layer: TextLayer | Literal[""] = Field(
        default="",
        description="a PDF's text counts as far as its pages show it (check), as it is (trust), or not at all (ignore)",
    )
    email: Annotated[str, accepted_by(public_address)] = Field(
        default="",
        max_length=254,
        description="who is notified by mail, if that address has been confirmed",
        json_schema_extra={"format": "email"},
    )

    def with_fields(self, fields: dict[str, object]) -> Self:
        """What stands in the body goes before what stands in the address. Raises `ValidationError`."""
        return type(self).model_validate(self.model_dump(exclude_unset=True) | fields)

    @property
    def wishes(self) -> UploadOptions:
        outputs = ",".join(chosen(f"{self.outputs},{COUNTED}")) if self.outputs else ""
        least = self.min_confidence if "min_confidence" in self.model_fields_set else None
        return UploadOptions(
            outputs=outputs, min_confidence=least, body_only=self.body_only, text_layer=self.text_layer
        )


class Link(Asked):
    """A picture that stands somewhere on the public internet."""

    url: str = Field(max_length=2048, description="http or https", json_schema_extra={"format": "uri"})


class Links(BaseModel):
    """Where to go on from here."""

    status: str = Field(description="how the upload fares")
    counts: str | None = Field(default=None, description="the counts, once they are there")
    outputs: dict[str, str] = Field(default={}, description="name of an output -> where it is")


class UploadReport(Status):
    """An upload: how it fares, where its results are, and in the answer to a picture that was sent, its counts."""

    links: Links
    counts: CountsDocument | None = None
