"""Tools: what the policy can call, and the Toolbox through which an episode calls it."""

from vista_fast.tools.documents import Layout, Table
from vista_fast.tools.grounding import Ground, GroundingDinoTool
from vista_fast.tools.perception import EasyOcr, ImageRotateTool, ImageZoomInTool, Ocr, Rotate, Zoom
from vista_fast.tools.segmentation import Sam2, Segment
from vista_fast.tools.tool import CallContext, Tool, ToolFailure
from vista_fast.tools.toolbox import Toolbox

__all__ = [
    "CallContext",
    "EasyOcr",
    "Ground",
    "GroundingDinoTool",
    "ImageRotateTool",
    "ImageZoomInTool",
    "Layout",
    "Ocr",
    "Rotate",
    "Sam2",
    "Segment",
    "Table",
    "Tool",
    "ToolFailure",
    "Toolbox",
    "Zoom",
]
