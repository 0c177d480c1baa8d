"""ALTO 4.4 (www.loc.gov/standards/alto): the words in the layout of their pages, as libraries keep them.

Headers and footers stand in the margins, as the standard wants it, and so do page numbers, in the margin that they are
nearer to; a tag says which they are. `Processing` names the engine and the steps before it; `OCRProcessing` is
deprecated since 4.0.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from xml.etree import ElementTree as ET

from inktally.document import Box, Engine, Page, SectionKind, Step, Word
from inktally.outputs.shared.layout import Block, Line, PageLayout, Paragraph, Reading, around, pages
from inktally.outputs.shared.markup import element, languages, one_line, written
from inktally.outputs.shared.output import Output

NAMESPACE = "http://www.loc.gov/standards/alto/ns-v4#"
SCHEMA = "http://www.loc.gov/standards/alto/v4/alto-4-4.xsd"
MARGINALIA: tuple[SectionKind, ...] = ("header", "footer", "page-number")


def write(reading: Reading) -> bytes:
    """The whole recognition; lengths in pixels of the picture, confidences from 0 to 1."""
    layouts = pages(reading.recognition)
    alto = element(
        None,
        "alto",
        **{
            "xmlns": NAMESPACE,
            "xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance",
            "xsi:schemaLocation": f"{NAMESPACE} {SCHEMA}",
            "SCHEMAVERSION": "4.4",
        },
    )
    _description(alto, reading)
    _tags(alto, layouts)
    layout = element(alto, "Layout")
    for each in layouts:
        _page(layout, each, reading.recognition.engine)
    return written(alto)


def _description(alto: ET.Element, reading: Reading) -> None:
    description = element(alto, "Description")
    element(description, "MeasurementUnit", "pixel")
    image = element(description, "sourceImageInformation")
    element(image, "fileName", one_line(reading.counts.source))
    engine = reading.recognition.engine
    for page in reading.recognition.pages:
        for number, step in enumerate(page.steps, 1):
            _step(description, f"page_{page.number}_step_{number}", step)
        _engine(description, page, engine)


def _step(description: ET.Element, identity: str, step: Step) -> None:
    processing = element(description, "Processing", ID=identity)
    _facts(
        processing,
        ("processingCategory", "preOperation"),
        ("processingStepDescription", step.name),
        ("processingStepSettings", _settings(step.parameters) or None),
    )
    element(element(processing, "processingSoftware"), "softwareName", "Inktally")


def _engine(description: ET.Element, page: Page, engine: Engine) -> None:
    processing = element(description, "Processing", ID=f"page_{page.number}_recognition")
    _facts(
        processing,
        ("processingCategory", "contentGeneration"),
        ("processingStepDescription", f"recognition from the {page.source}"),
        ("processingStepDescription", page.reason or None),
        ("processingStepSettings", _settings({"languages": "+".join(engine.languages), **engine.options})),
    )
    version = engine.version if page.engine in {"", engine.name} else None
    software = element(processing, "processingSoftware")
    _facts(software, ("softwareName", page.engine or engine.name), ("softwareVersion", version))


def _facts(parent: ET.Element, *facts: tuple[str, str | None]) -> None:
    """Elements with a text each, which may be empty; None leaves one out."""
    for tag, text in facts:
        if text is not None:
            element(parent, tag, text)


def _settings(parameters: Mapping[str, float | int | str]) -> str:
    return "; ".join(f"{name}={value}" for name, value in parameters.items())


def _tags(alto: ET.Element, layouts: Sequence[PageLayout]) -> None:
    used = {block.kind for layout in layouts for block in layout.blocks}
    if used.isdisjoint(MARGINALIA):
        return
    tags = element(alto, "Tags")
    for kind in MARGINALIA:
        if kind in used:
            element(tags, "StructureTag", ID=_tag(kind), LABEL=kind)


def _tag(kind: SectionKind) -> str | None:
    return None if kind == "body" else f"tag_{kind}"


def _page(parent: ET.Element, layout: PageLayout, engine: Engine) -> None:
    page = layout.page
    tags = languages(page.languages or engine.languages)
    steps = [f"page_{page.number}_step_{number}" for number in range(1, len(page.steps) + 1)]
    quality = None if page.quality is None else round(min(1.0, max(0.0, page.quality)), 4)
    element_of_page = element(
        parent,
        "Page",
        ID=f"page_{page.number}",
        PROCESSINGREFS=" ".join([*steps, f"page_{page.number}_recognition"]),
        HEIGHT=page.height,
        WIDTH=page.width,
        PHYSICAL_IMG_NR=page.number,
        PC=quality,
        LANG=tags[0] if len(tags) == 1 else None,
        OTHERLANGS=" ".join(tags) if len(tags) > 1 else None,
    )
    numbered = [(f"page_{page.number}_block_{number}", block) for number, block in enumerate(layout.blocks, 1)]
    for space, blocks in _spaces(page, numbered):
        _space(element_of_page, space, blocks, page)


def _spaces(page: Page, numbered: Sequence[tuple[str, Block]]) -> Iterator[tuple[str, list[tuple[str, Block]]]]:
    """The parts of a page in the order of the standard; the print space is always there."""
    parts: dict[str, list[tuple[str, Block]]] = {"TopMargin": [], "BottomMargin": [], "PrintSpace": []}
    for identity, block in numbered:
        parts[_space_of(page, block)].append((identity, block))
    return ((space, blocks) for space, blocks in parts.items() if blocks or space == "PrintSpace")


def _space_of(page: Page, block: Block) -> str:
    if block.kind == "body":
        return "PrintSpace"
    is_high = block.box.top + block.box.height / 2 < page.height / 2
    return "TopMargin" if block.kind == "header" or (block.kind == "page-number" and is_high) else "BottomMargin"


def _space(parent: ET.Element, name: str, blocks: Sequence[tuple[str, Block]], page: Page) -> None:
    whole = Box(left=0, top=0, width=page.width, height=page.height)
    space = element(parent, name, **_place(around(block.box for _, block in blocks) if blocks else whole))
    for identity, block in blocks:
        composed = element(space, "ComposedBlock", ID=identity, TAGREFS=_tag(block.kind), **_place(block.box))
        for number, paragraph in enumerate(block.paragraphs, 1):
            _paragraph(composed, paragraph, f"{identity}_{number}")


def _paragraph(parent: ET.Element, paragraph: Paragraph, identity: str) -> None:
    text = element(parent, "TextBlock", ID=identity, **_place(paragraph.box))
    for number, line in enumerate(paragraph.lines, 1):
        _line(text, line, f"{identity}_{number}")


def _line(parent: ET.Element, line: Line, identity: str) -> None:
    text_line = element(parent, "TextLine", ID=identity, **_place(line.box))
    _string(text_line, line.words[0], f"{identity}_1")
    for number, (before, word) in enumerate(pairwise(line.words), 2):
        end = before.box.left + before.box.width
        element(text_line, "SP", HPOS=end, VPOS=before.box.top, WIDTH=max(0, word.box.left - end))
        _string(text_line, word, f"{identity}_{number}")


def _string(parent: ET.Element, word: Word, identity: str) -> None:
    confidence = round(min(100.0, max(0.0, word.confidence)) / 100, 4)
    element(parent, "String", ID=identity, CONTENT=one_line(word.text), WC=confidence, **_place(word.box))


def _place(box: Box) -> dict[str, int]:
    return {"HPOS": box.left, "VPOS": box.top, "WIDTH": box.width, "HEIGHT": box.height}


OUTPUT = Output(
    place=7,
    folder="ocr_alto",
    suffix=".xml",
    media_type="application/xml",
    labels={"en": "ALTO"},
    write=write,
)
