"""What each file in inktally/outputs/ says of its output."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from inktally import keys
from inktally.outputs.shared.layout import Reading


@dataclass(frozen=True)
class Output:
    """`folder` is below output/. `labels` are for people: language of the page (en, de) -> text; en is a must.

    `write` is None where the picture itself is needed too: a `PdfWriter` does it. Pages list outputs by `place`.
    """

    place: int
    folder: str
    suffix: str
    media_type: str
    labels: Mapping[str, str]
    write: Callable[[Reading], bytes] | None

    def key(self, name: str) -> str:
        """Where it is kept for the picture of this name."""
        return keys.output(self.folder, name, self.suffix)
