"""Every output by its name: where it is kept, what writes it, and what type it is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from inktally import keys
from inktally.outputs import alto, coordinates, counts_csv, hocr, plain_text
from inktally.outputs.layout import Reading
from inktally.outputs.word_counts import counts_json

TEXT, TABLE = "text/plain; charset=utf-8", "text/tab-separated-values; charset=utf-8"
CSV, HOCR = "text/csv; charset=utf-8", "text/vnd.hocr+html; charset=utf-8"
JSON, XML, PDF = "application/json", "application/xml", "application/pdf"


@dataclass(frozen=True)
class Output:
    """`folder` is below output/. `write` is None where the picture itself is needed too: a `PdfWriter` does it."""

    folder: str
    suffix: str
    write: Callable[[Reading], bytes] | None
    media_type: str

    def key(self, name: str) -> str:
        """Where it is kept for the picture of this name."""
        return keys.output(self.folder, name, self.suffix)


OUTPUTS: Mapping[str, Output] = {
    "plain_text": Output("ocr_plain_text", ".txt", plain_text.write, TEXT),
    "coordinates_text": Output("ocr_coords", ".txt", coordinates.as_tsv, TABLE),
    "coordinates_json": Output("ocr_coords", ".json", coordinates.as_json, JSON),
    "word_counts": Output("word_counts", ".json", lambda reading: counts_json(reading.counts), JSON),
    "word_counts_csv": Output("word_counts", ".csv", lambda reading: counts_csv.table(reading.counts), CSV),
    "hocr": Output("ocr_hocr", ".hocr", hocr.write, HOCR),
    "alto": Output("ocr_alto", ".xml", alto.write, XML),
    "pdf": Output("ocr_pdf", ".pdf", None, PDF),
}
