"""The built-in suite ``mini``: questions about small print in charts, documents and scenes, with truth by construction.

A policy that sees a picture squeezed to 112 x 112 pixels can tell where the answer stands, one of four regions, but
not read it; the OCR tool reads it, in scenes only after a zoom.
"""

from __future__ import annotations

from vista_fast.tasks.mini.dataset import FAMILIES, SPLITS, MiniDataset, load

__all__ = ["FAMILIES", "SPLITS", "MiniDataset", "load"]
