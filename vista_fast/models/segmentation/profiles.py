"""The shapes that segmentation gives its decoder, for backends that compile it for shapes."""

from __future__ import annotations

from vista_fast.models.backend import Profile

DECODE_BATCH = 8
"""Prompts in a batch: the cores of a CPU are full with two, and each takes memory while it is decoded."""
MASK_SIDE = 256
"""Side of the square masks that the decoder gives, each of which covers the whole image."""

_FEW, _MANY = 4, 256
"""Points of a prompt, a box being two: of nearly all prompts, and of any that a policy may plausibly give."""


def decoder_profiles() -> tuple[Profile, ...]:
    """The shapes of ``segment.decode``: prompts of few points, then of many. The features of an image are fixed."""
    return tuple(_decoder(usual, most) for usual, most in ((2, _FEW), (_FEW, _MANY)))


def _decoder(usual: int, most: int) -> Profile:
    mask = (1, MASK_SIDE, MASK_SIDE)
    return Profile.of(
        {
            "point_coords": ((1, 1, 2), (DECODE_BATCH, usual, 2), (DECODE_BATCH, most, 2)),
            "point_labels": ((1, 1), (DECODE_BATCH, usual), (DECODE_BATCH, most)),
            "mask_input": ((1, *mask), (DECODE_BATCH, *mask), (DECODE_BATCH, *mask)),
        }
    )
