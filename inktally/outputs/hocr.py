"""hOCR 1.2: the words in the layout of their pages, as XHTML."""

from xml.etree import ElementTree as ET

from inktally.document import Box, Page
from inktally.outputs.shared.layout import Block, Line, PageLayout, Paragraph, Reading, pages
from inktally.outputs.shared.markup import element, languages, one_line, written
from inktally.outputs.shared.output import Output

XHTML = "http://www.w3.org/1999/xhtml"
DOCUMENT_TYPE = (
    b'<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN"'
    b' "http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">\n'
)
CAPABILITIES = "ocr_page ocr_carea ocr_par ocr_line ocrx_word ocr_header ocr_footer ocr_pageno ocrp_wconf"
SECTIONS = {"header": "ocr_header", "footer": "ocr_footer", "page-number": "ocr_pageno"}


def write(reading: Reading) -> bytes:
    """The whole recognition; boxes in pixels of the picture, `x_wconf` from 0 to 100."""
    tags = languages(reading.recognition.languages)
    html = element(None, "html", xmlns=XHTML, lang=tags[0] if len(tags) == 1 else None)
    _head(html, reading, tags)
    body = element(html, "body")
    for layout in pages(reading.recognition):
        _page(body, layout, reading.counts.source)
    return written(html, DOCUMENT_TYPE)


def _head(html: ET.Element, reading: Reading, tags: list[str]) -> None:
    engine = reading.recognition.engine
    head = element(html, "head")
    element(head, "title", one_line(reading.counts.source))
    element(head, "meta", **{"http-equiv": "Content-Type", "content": "text/html; charset=utf-8"})
    described = {
        "ocr-system": f"{engine.name} {engine.version}",
        "ocr-capabilities": CAPABILITIES,
        "ocr-langs": " ".join("unknown" if tag == "und" else tag for tag in tags) or "unknown",
        "ocr-number-of-pages": len(reading.recognition.pages),
    }
    for name, content in described.items():
        element(head, "meta", name=name, content=content)


def _page(body: ET.Element, layout: PageLayout, source: str) -> None:
    page = layout.page
    division = element(body, "div", class_="ocr_page", id=f"page_{page.number}", title=_page_title(page, source))
    for number, block in enumerate(layout.blocks, 1):
        _block(division, block, f"{page.number}_{number}")


def _page_title(page: Page, source: str) -> str:
    image = one_line(source).replace("\\", "\\\\").replace('"', '\\"')
    title = f'image "{image}"; bbox 0 0 {page.width} {page.height}; ppageno {page.number - 1}'
    return f"{title}; scan_res {page.dpi} {page.dpi}" if page.dpi else title


def _block(parent: ET.Element, block: Block, number: str) -> None:
    if block.kind in SECTIONS:
        parent = element(parent, "div", class_=SECTIONS[block.kind], title=_bbox(block.box))
    area = element(parent, "div", class_="ocr_carea", id=f"block_{number}", title=_bbox(block.box))
    for index, paragraph in enumerate(block.paragraphs, 1):
        _paragraph(area, paragraph, f"{number}_{index}")


def _paragraph(area: ET.Element, paragraph: Paragraph, number: str) -> None:
    parent = element(area, "p", class_="ocr_par", id=f"par_{number}", title=_bbox(paragraph.box))
    for index, line in enumerate(paragraph.lines, 1):
        _line(parent, line, f"{number}_{index}")


def _line(parent: ET.Element, line: Line, number: str) -> None:
    span = element(parent, "span", class_="ocr_line", id=f"line_{number}", title=_bbox(line.box))
    for index, word in enumerate(line.words, 1):
        title = f"{_bbox(word.box)}; x_wconf {round(min(100.0, max(0.0, word.confidence)))}"
        element(span, "span", one_line(word.text), class_="ocrx_word", id=f"word_{number}_{index}", title=title)


def _bbox(box: Box) -> str:
    return f"bbox {box.left} {box.top} {box.left + box.width} {box.top + box.height}"


OUTPUT = Output(
    place=6,
    folder="ocr_hocr",
    suffix=".hocr",
    media_type="text/vnd.hocr+html; charset=utf-8",
    labels={"en": "hOCR"},
    write=write,
)
