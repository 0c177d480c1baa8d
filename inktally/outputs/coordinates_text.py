"""Where each recognised word stands, as a table of tab-separated text."""

from inktally.outputs.shared import coordinates
from inktally.outputs.shared.output import Output

OUTPUT = Output(
    place=5,
    folder="ocr_coords",
    suffix=".txt",
    media_type="text/tab-separated-values; charset=utf-8",
    labels={"en": "Every word and its place (table)", "de": "Jedes Wort und seine Stelle (Tabelle)"},
    write=coordinates.as_tsv,
)
