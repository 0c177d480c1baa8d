"""The text of a picture."""

from inktally.outputs.layout import Reading


def write(reading: Reading) -> bytes:
    """The text as the engine gave it, in UTF-8."""
    return reading.recognition.text.encode()
