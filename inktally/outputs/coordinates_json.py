"""Where each recognised word stands, and how each page was read, as JSON."""

from inktally.outputs.shared import coordinates
from inktally.outputs.shared.output import Output

OUTPUT = Output(
    place=4,
    folder="ocr_coords",
    suffix=".json",
    media_type="application/json",
    labels={"en": "Every word and its place (JSON)", "de": "Jedes Wort und seine Stelle (JSON)"},
    write=coordinates.as_json,
)
