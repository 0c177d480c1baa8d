"""Every output by its name: where it is kept, what writes it, and what type it is."""

from __future__ import annotations

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
    """`key` takes the picture's name. `write` is None where the picture itself is needed too: a `PdfWriter` does it."""

    key: Callable[[str], str]
    write: Callable[[Reading], bytes] | None
    media_type: str


OUTPUTS: Mapping[str, Output] = {
    "plain_text": Output(keys.plain_text, plain_text.write, TEXT),
    "coordinates_text": Output(keys.coordinates_text, coordinates.as_tsv, TABLE),
    "coordinates_json": Output(keys.coordinates_json, coordinates.as_json, JSON),
    "word_counts": Output(keys.word_counts, lambda reading: counts_json(reading.counts), JSON),
    "word_counts_csv": Output(keys.word_counts_csv, counts_csv.write, CSV),
    "hocr": Output(keys.hocr, hocr.write, HOCR),
    "alto": Output(keys.alto, alto.write, XML),
    "pdf": Output(keys.pdf, None, PDF),
}
