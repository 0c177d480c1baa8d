"""Every output by its name: where it is kept, and what writes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from inktally import keys, report
from inktally.outputs import alto, coordinates, counts_csv, hocr, plain_text
from inktally.outputs.layout import Reading


@dataclass(frozen=True)
class Output:
    """`key` takes the picture's name. `write` is None where the picture itself is needed too: a `PdfWriter` does it."""

    key: Callable[[str], str]
    write: Callable[[Reading], bytes] | None


OUTPUTS: Mapping[str, Output] = {
    "plain_text": Output(keys.plain_text, plain_text.write),
    "coordinates_text": Output(keys.coordinates_text, coordinates.as_tsv),
    "coordinates_json": Output(keys.coordinates_json, coordinates.as_json),
    "word_counts": Output(keys.word_counts, lambda reading: report.counts_json(reading.counts)),
    "word_counts_csv": Output(keys.word_counts_csv, counts_csv.write),
    "hocr": Output(keys.hocr, hocr.write),
    "alto": Output(keys.alto, alto.write),
    "pdf": Output(keys.pdf, None),
}
