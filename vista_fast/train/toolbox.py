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

    return Toolbox.default(engine, ocr=OcrConfig.at_side(OCR_SIDE, native_precision())).subset(("zoom", "ocr"))
