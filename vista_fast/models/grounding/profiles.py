"""The shapes that grounding gives its network, for backends that compile it for shapes."""

from __future__ import annotations

from vista_fast.models.backend import Profile

_SHORT, _USUAL, _LONGEST = 16, 32, 256
"""Tokens of a caption, padded; BERT's part of the network takes no more than 256."""


def grounding_profiles(canvas: tuple[int, int], max_batch: int, longest: int = _LONGEST) -> tuple[Profile, ...]:
    """The shapes of ``grounding.detect`` on canvases of that height and width, in pixels.

    Args:
        canvas: of the exported network.
        max_batch: most calls in one run of the network.
        longest: most tokens of a caption.
    """
    image = (3, *canvas)
    usual = min(_USUAL, longest)
    tokens = ((1, min(_SHORT, longest)), (max_batch, usual), (max_batch, longest))
    return (
        Profile.of(
            {
                "pixels": ((1, *image), (max_batch, *image), (max_batch, *image)),
                "covered": ((1, 2), (max_batch, 2), (max_batch, 2)),
                **dict.fromkeys(("input_ids", "attention_mask", "phrases", "positions"), tokens),
            }
        ),
    )
