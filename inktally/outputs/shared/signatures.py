"""Signatures of a PDF: they hold for the very bytes that were signed, so a file made of that must not show them."""

from collections.abc import Iterator

from pikepdf import Array, Dictionary, Name, Object, Pdf

DEEPEST = 20  # fields within fields


def without_signatures(pdf: Pdf) -> list[int]:
    """Remove all signatures, and the pages (from 1) they were on; a signature that is on none counts for the first."""
    form = pdf.Root.get(Name.AcroForm)
    if not isinstance(form, Dictionary):
        return []
    signed = {field.objgen for field in _fields(form.get(Name.Fields), 0) if Name.V in field}
    if not signed:
        return []
    shown = [number for number, page in enumerate(pdf.pages, 1) if _take_off(page.obj, signed)]
    _take_out(form, Name.Fields, signed)
    for name in (Name.SigFlags, Name.XFA):
        if name in form:
            del form[name]
    if Name.Perms in pdf.Root:
        del pdf.Root.Perms
    return shown or [1]


def _fields(fields: Object | None, depth: int) -> Iterator[Object]:
    """Those of signatures, with all that they are shown by."""
    if not isinstance(fields, Array) or depth > DEEPEST:
        return
    for field in fields:
        if not isinstance(field, Dictionary):
            continue
        if field.get(Name.FT) == Name.Sig:
            yield field
        yield from _fields(field.get(Name.Kids), depth + 1)


def _take_off(page: Object, signed: set[tuple[int, int]]) -> bool:
    """From the annotations of a page; whether there were any."""
    return _take_out(page, Name.Annots, signed)


def _take_out(holder: Object, name: Name, signed: set[tuple[int, int]]) -> bool:
    before = holder.get(name)
    if not isinstance(before, Array):
        return False
    left = [each for each in before if not _is_of(each, signed)]
    holder[name] = Array(left)
    return len(left) < len(before)


def _is_of(annotation: Object, signed: set[tuple[int, int]]) -> bool:
    parent = annotation.get(Name.Parent) if isinstance(annotation, Dictionary) else None
    return annotation.objgen in signed or (parent is not None and parent.objgen in signed)
