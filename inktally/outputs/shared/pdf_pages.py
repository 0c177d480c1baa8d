"""What the sandboxed child does for a searchable PDF: the picture as pages, and their words as a text layer.

JPEGs are kept byte for byte, bilevel pages become G4, others PNG or JPEG, whichever is smaller. A PDF keeps its own
pages, and those that brought their text with them stay as they are; but where that text is not true, or no text at all,
the page becomes its picture.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import img2pdf
from pikepdf import Name, Object, Page as PdfPage, Pdf, Rectangle, String
from PIL import ExifTags, Image

from inktally.document import CERTAIN, NOT_DECODED, Page, Recognition
from inktally.imaging.decoding.document import Limits, open_document
from inktally.imaging.decoding.formats import Kind, kind_of
from inktally.outputs.shared.inkless_font import InklessFont
from inktally.outputs.shared.layout import pages
from inktally.outputs.shared.markup import languages
from inktally.outputs.shared.signatures import without_signatures
from inktally.outputs.shared.text_layer import text_layer

POINTS_PER_INCH = 72
USUAL_DPI = 300  # of a scan that does not say
LONGEST_SIDE, SHORTEST_SIDE = 14_400, 3  # points; what PDF readers promise to show
JPEG = b"\xff\xd8\xff"
JPEG_QUALITY = 85
PLAIN_TURNS = frozenset((None, 1, 3, 6, 8))  # EXIF orientations that mirror nothing

Layout = Callable[[int, int, tuple[float, float]], tuple[float, float, float, float]]


def write(
    picture: str, recognition: str, target: str, max_pixels: int, max_pages: int, max_page_words: int
) -> list[int]:
    """Write the searchable PDF of `picture` to `target`, by the recognition in a JSON file.

    Gives the pages of signatures that had to be removed. Raises `PictureError`.
    """
    read = Recognition.model_validate_json(Path(recognition).read_bytes())
    limits = Limits(max_pixels=max_pixels, max_pages=max_pages, max_page_words=max_page_words)
    with ExitStack() as open_files:
        pdf, redrawn = _document(Path(picture), read, limits, open_files)
        unsigned = without_signatures(pdf)
        _add_text(pdf, read, redrawn)
        tags = languages(read.languages)
        if len(tags) == 1:
            pdf.Root.Lang = String(tags[0])
        pdf.save(target, deterministic_id=True)
        return unsigned


def _document(picture: Path, read: Recognition, limits: Limits, open_files: ExitStack) -> tuple[Pdf, set[int]]:
    """The picture as a PDF without our text, and the numbers of pages that are no longer their own but pictures.

    Its streams are read when it is saved, from files that stay open.
    """
    folder = Path(open_files.enter_context(TemporaryDirectory()))
    if kind_of(picture) is Kind.PDF:
        pdf = open_files.enter_context(Pdf.open(picture))
        untrue = _untrue(picture, read, limits)
        for page, file in zip(untrue, _encoded(picture, untrue, limits, folder), strict=True):
            drawn = open_files.enter_context(Pdf.open(file)).pages[0]
            pdf.pages[page.number - 1] = drawn
        return pdf, {page.number for page in untrue}
    pdf = open_files.enter_context(Pdf.new())
    for file in _as_it_is(picture, read, folder) or _encoded(picture, read.pages, limits, folder):
        pdf.pages.extend(open_files.enter_context(Pdf.open(file)).pages)
    return pdf, set()


def _untrue(picture: Path, read: Recognition, limits: Limits) -> list[Page]:
    """The pages whose own text says other than they show, or nothing that is text: it must not be found in them."""
    told = {warning.page for warning in read.warnings if warning.code == "text-layer"}
    untrue = []
    with open_document(picture, limits) as document:
        for page in read.pages:
            layer = document.layer(page.number)
            if layer and (page.number in told or any(run.broken for run in layer.runs)):
                untrue.append(page.model_copy(update={"dpi": round(layer.dpi)}))
    return untrue


def _add_text(pdf: Pdf, read: Recognition, redrawn: set[int]) -> None:
    """All words of pictures; of pages with text of their own what was read besides."""
    pictures = redrawn | {page.number for page in read.pages if page.source == "picture"}
    words = tuple(word for word in read.words if word.page in pictures or word.confidence < CERTAIN)
    font = InklessFont(pdf)
    for layout in pages(read.model_copy(update={"words": words})):
        if layout.blocks:
            page = pdf.pages[layout.page.number - 1]
            _lay_over(page, text_layer(pdf, layout, font))
            page.rotate(_clockwise(layout.page), relative=True)
    font.finish()


def _lay_over(page: PdfPage, form: Object) -> None:
    """Put the form onto what a reader shows of the page, upright as it is shown."""
    name = page.add_resource(form, Name.XObject, Name("/InktallyText"))
    placed = page.calc_form_xobject_placement(
        form, name, Rectangle(page.cropbox), invert_transformations=True, allow_shrink=True, allow_expand=True
    )
    page.contents_add(b"q\n", prepend=True)
    page.contents_add(b"\nQ\n" + placed)


def _clockwise(page: Page) -> int:
    """By how many degrees the page must be turned to be upright: as it was before it was read."""
    turns = (step.parameters.get("degrees", 0) for step in page.steps if step.name == "turn")
    return -90 * round(sum(float(anticlockwise) for anticlockwise in turns) / 90)


def _as_it_is(picture: Path, read: Recognition, folder: Path) -> list[Path]:
    """A JPEG as a PDF of one page, not encoded anew; nothing when it is none, or one that PDF readers do not show."""
    with picture.open("rb") as file:
        is_jpeg = file.read(len(JPEG)) == JPEG
    if not is_jpeg or len(read.pages) != 1:
        return []
    target = folder / "page.pdf"
    try:
        with Image.open(picture) as image:
            if image.getexif().get(ExifTags.Base.Orientation) not in PLAIN_TURNS:
                return []
        _convert(picture, target, read.pages[0])
    except Exception:  # noqa: BLE001 - there are many odd JPEGs; what remains is to encode its pixels
        return []
    return [target]


def _encoded(picture: Path, wanted: Sequence[Page], limits: Limits, folder: Path) -> list[Path]:
    """A PDF of each page, from its pixels; one at a time, so that memory holds one page of however many.

    A page that could not be decoded is blank.
    """
    files = []
    with open_document(picture, limits) as document:
        for page in wanted:
            if page.reason == NOT_DECODED:
                pixels = Image.new("1", (page.width, page.height), 1)
            else:
                pixels = Image.fromarray(document.page(page.number).image.pixels)
            encoded = _smallest(pixels, folder)
            target = folder / f"{page.number}.pdf"
            _convert(encoded, target, page)
            encoded.unlink()
            files.append(target)
    return files


def _smallest(image: Image.Image, folder: Path) -> Path:
    """The pixels in a file: G4 for black on white, which nothing beats, else what is smaller, PNG or JPEG."""
    colours = image.getcolors(2)
    if colours and {colour for _, colour in colours} <= {0, 255, (0, 0, 0), (255, 255, 255)}:
        image.convert("1").save(folder / "page.tiff", compression="group4")
        return folder / "page.tiff"
    files = folder / "page.png", folder / "page.jpg"
    image.save(files[0])
    image.save(files[1], quality=JPEG_QUALITY)
    smaller, larger = sorted(files, key=lambda file: file.stat().st_size)
    larger.unlink()
    return smaller


def _convert(image: Path, target: Path, page: Page) -> None:
    with target.open("wb") as file:
        img2pdf.convert(
            str(image),
            outputstream=file,
            layout_fun=_layout(page),
            rotation=img2pdf.Rotation.ifvalid,
            first_frame_only=True,
            nodate=True,
        )


def _layout(page: Page) -> Layout:
    """The size of a page in points, by its resolution; pages beyond what readers show are scaled down, or up."""

    def layout(width: int, height: int, _stated: tuple[float, float]) -> tuple[float, float, float, float]:
        scale = max(POINTS_PER_INCH / (page.dpi or USUAL_DPI), SHORTEST_SIDE / min(width, height))
        scale = min(scale, LONGEST_SIDE / max(width, height))
        size = width * scale, height * scale
        return (max(size[0], SHORTEST_SIDE), max(size[1], SHORTEST_SIDE), *size)

    return layout
