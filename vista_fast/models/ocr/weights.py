"""The PP-OCR weights that reading text takes."""

from __future__ import annotations

from pathlib import Path

from vista_fast.models.weights import find_weight


def detection_weights() -> Path:
    """The detection network, `[N, 3, H, W]` to `[N, 1, H, W]`. Raises MissingExtraError or NotFoundError."""
    return find_weight("pp-ocrv6-det-small")


def recognition_weights() -> Path:
    """The recognition network, `[N, 3, 48, W]` to `[N, T, classes]`. Raises MissingExtraError or NotFoundError."""
    return find_weight("pp-ocrv6-rec-small")
