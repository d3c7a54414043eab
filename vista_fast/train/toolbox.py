"""The tools that the small policy trains with."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vista_fast.engine import Engine
    from vista_fast.tools import Toolbox


def policy_toolbox(engine: Engine) -> Toolbox:
    """``zoom`` and ``ocr`` over ``engine``; text is read in the CPU's fastest precision."""
    from vista_fast.models.backend import native_precision
    from vista_fast.models.ocr import OcrConfig
    from vista_fast.tasks.mini import OCR_SIDE
    from vista_fast.tools import Toolbox

    reading = OcrConfig(precision=native_precision(), limit_side_len=OCR_SIDE, limit_type="max", max_side_len=OCR_SIDE)
    return Toolbox.default(engine, ocr=reading).subset(("zoom", "ocr"))
