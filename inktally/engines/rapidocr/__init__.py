"""PP-OCR by the rapidocr package, models in its wheel."""

from inktally.engines.rapidocr.engine import build

__all__ = ["build"]
