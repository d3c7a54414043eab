"""The built-in suite ``mini``: questions about small print in charts, documents and scenes, with truth by construction.

A policy that sees a picture squeezed to 112 x 112 pixels can tell where the answer stands, one of four regions, but
not read it; the OCR tool reads it, in scenes only after a zoom.
"""

from __future__ import annotations

from vista_fast.tasks.mini.dataset import FAMILIES, SPLITS, MiniDataset, load
from vista_fast.tasks.mini.picture import OCR_SIDE

__all__ = ["FAMILIES", "OCR_SIDE", "SPLITS", "MiniDataset", "load"]
