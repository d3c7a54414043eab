"""The shapes that reading text gives its networks, for backends that compile them for shapes."""

from __future__ import annotations

from vista_fast.models.backend import Profile
from vista_fast.models.ocr.config import OcrConfig
from vista_fast.models.ocr.frame import GRID, snap
from vista_fast.models.ocr.recognition import LINE_HEIGHT

DETECT_BATCH, RECOGNIZE_BATCH = 4, 8
"""Largest batches: a CPU's cores are full with few calls already, and a larger batch holds up the calls behind it."""

_INPUT = "x"
_STRETCH = 8
"""How many times the limit the longer side of detection's input is at most, where the shorter one was enlarged."""
_NARROW, _WIDE = 320, 2048
"""Widths of recognition's input, in pixels: of most lines, and of nearly all."""
_LOWEST_LINE = 3
"""Height in pixels of the lowest line that is read."""


def detection_profiles(config: OcrConfig) -> tuple[Profile, ...]:
    """The shapes [N, 3, H, W] of ``ocr.detect``: pages of any shape, wide strips, tall strips."""
    longest = snap(max(config.max_side_len, config.min_side_len + GRID))
    limit = snap(config.limit_side_len)
    if config.limit_type == "max":
        longest = min(longest, limit)
        return (_detection(longest, longest, min(limit, longest)),)
    strip = max(snap(_STRETCH * config.limit_side_len), longest)
    return (
        _detection(longest, longest, min(limit, longest)),
        _detection(limit, strip, limit),
        _detection(strip, limit, limit),
    )


def recognition_profiles(config: OcrConfig) -> tuple[Profile, ...]:
    """The shapes [N, 3, 48, W] of ``ocr.recognize``: common widths, then all."""
    longest = max(LINE_HEIGHT * snap(config.max_side_len) // _LOWEST_LINE, _WIDE)
    return tuple(
        Profile.of(
            {
                _INPUT: (
                    (1, 3, LINE_HEIGHT, _NARROW),
                    (RECOGNIZE_BATCH, 3, LINE_HEIGHT, usual),
                    (RECOGNIZE_BATCH, 3, LINE_HEIGHT, most),
                )
            }
        )
        for usual, most in ((_NARROW, _WIDE), (_WIDE, longest))
    )


def _detection(height: int, width: int, usual: int) -> Profile:
    return Profile.of(
        {
            _INPUT: (
                (1, 3, GRID, GRID),
                (DETECT_BATCH, 3, min(usual, height), min(usual, width)),
                (DETECT_BATCH, 3, height, width),
            )
        }
    )
