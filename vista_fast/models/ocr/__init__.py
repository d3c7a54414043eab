"""Text reading with PP-OCRv6: detection finds the lines of an image, recognition reads each."""

from vista_fast.models.ocr.config import OcrConfig
from vista_fast.models.ocr.reader import OcrModel, TextLine, read_text

__all__ = ["OcrConfig", "OcrModel", "TextLine", "read_text"]
