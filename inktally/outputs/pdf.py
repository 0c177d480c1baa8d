"""Searchable PDFs, made in a sandboxed child: the picture is a stranger's file."""

from pathlib import Path

from inktally.document import PageWarning, Recognition
from inktally.errors import EngineFailed, OutputFailed, PictureError
from inktally.imaging.decoding import DECODERS
from inktally.outputs.shared.output import Output
from inktally.sandbox.shared import sandbox
from inktally.settings import Settings

UNSIGNED = "The PDF was signed. The searchable PDF is another file, so the signature was removed from it."


class SandboxedPdf:
    """A `PdfWriter` that never opens the picture in this process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._sandbox = sandbox(settings, DECODERS)

    def write(self, picture: Path, recognition: Recognition, target: Path) -> tuple[PageWarning, ...]:
        """The recognition goes by a file beside the target: it may be long.

        What ails the picture is no `PictureError` here: its words could be read, so its uploader need not act.
        """
        words = target.with_suffix(".json")
        words.write_text(recognition.model_dump_json(), encoding="utf-8")
        try:
            signed = self._sandbox.call(
                "inktally.outputs.shared.pdf_pages:write",
                {
                    "picture": str(picture),
                    "recognition": str(words),
                    "target": str(target),
                    "max_pixels": self._settings.max_pixels,
                    "max_pages": self._settings.max_pages,
                    "max_page_words": self._settings.max_page_words,
                },
                seconds=self._settings.seconds_for(len(recognition.pages)),
                reads=["picture", "recognition"],
                writes=["target"],
            )
        except (PictureError, EngineFailed) as error:
            raise OutputFailed(f"No searchable PDF could be made: {error}") from error
        return tuple(PageWarning(code="signature", page=number, message=UNSIGNED) for number in signed)


build = SandboxedPdf
OUTPUT = Output(
    place=8,
    folder="ocr_pdf",
    suffix=".pdf",
    media_type="application/pdf",
    labels={"en": "The picture as a searchable PDF", "de": "Das Bild als durchsuchbares PDF"},
    write=None,
)
