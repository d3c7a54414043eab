"""Which image files DALI decodes to the pixels of the native decoder."""

from __future__ import annotations

_FRAMES = (0xC0, 0xC1, 0xC2)
"""Markers of JPEG's baseline, extended and progressive frames."""


def decodes_alike(encoded: bytes) -> bool:
    """Whether these bytes are a JPEG of luma and chroma or of grey, or an opaque PNG of RGB or of grey, in 8 bits.

    Of others DALI makes other pixels: it cuts 16 bits to 8 otherwise, and takes what is under a transparent pixel.
    """
    return _plain_png(encoded) or _plain_jpeg(encoded)


def _plain_png(encoded: bytes) -> bool:
    if encoded[:8] != b"\x89PNG\r\n\x1a\n" or len(encoded) < 26:
        return False
    depth, colour = encoded[24], encoded[25]
    return depth == 8 and colour in (0, 2) and not any(chunk in encoded for chunk in (b"tRNS", b"eXIf"))


def _plain_jpeg(encoded: bytes) -> bool:
    if encoded[:2] != b"\xff\xd8":
        return False
    at, coded_as_rgb = 2, False
    while at + 4 <= len(encoded) and encoded[at] == 0xFF:
        marker = encoded[at + 1]
        if marker == 0xFF:  # fills up
            at += 1
            continue
        segment = encoded[at + 4 : at + 2 + int.from_bytes(encoded[at + 2 : at + 4], "big")]
        if marker in _FRAMES and len(segment) >= 6:
            names = segment[6::3]
            return segment[0] == 8 and segment[5] in (1, 3) and names != b"RGB" and not coded_as_rgb
        if marker == 0xEE and segment[:5] == b"Adobe":
            coded_as_rgb = segment[11:12] == b"\0"
        at += 4 + len(segment)
    return False
