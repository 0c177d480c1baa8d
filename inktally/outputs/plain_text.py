"""The text of a picture, as the engine gave it, in UTF-8."""

from inktally.outputs.shared.output import Output

OUTPUT = Output(
    place=1,
    folder="ocr_plain_text",
    suffix=".txt",
    media_type="text/plain; charset=utf-8",
    labels={"en": "The text", "de": "Der Text"},
    write=lambda reading: reading.recognition.text.encode(),
)
