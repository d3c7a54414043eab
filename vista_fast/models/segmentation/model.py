"""The two networks of SAM 2 (arXiv 2408.00714): the encoder's features of an image, and the masks of a prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from vista_fast.models.backend import Device, Tensors, check_signature, open_model
from vista_fast.models.made_network import open_made
from vista_fast.models.segmentation.config import SegmentationConfig
from vista_fast.models.segmentation.plain import READER, plain_encoder
from vista_fast.models.segmentation.profiles import MASK_SIDE, decoder_profiles
from vista_fast.models.segmentation.prompt import SIDE, Prompt
from vista_fast.models.weights import find_weight

Embedding: TypeAlias = Mapping[str, npt.NDArray[np.float32]]
"""What the encoder says of an image: FEATURES; 16.8 MB."""

FEATURES: Mapping[str, tuple[int, ...]] = {
    "image_embed": (1, 256, 64, 64),
    "high_res_feats_0": (1, 32, 256, 256),
    "high_res_feats_1": (1, 64, 128, 128),
}
_PROMPT: Tensors = {
    "point_coords": (None, None, 2),
    "point_labels": (None, None),
    "mask_input": (None, 1, MASK_SIDE, MASK_SIDE),
    "has_mask_input": (1,),
}
_MASKS: Tensors = {"masks": (None, 3, MASK_SIDE, MASK_SIDE), "iou_predictions": (None, 3)}

_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)


@dataclass(frozen=True, slots=True)
class Masks:
    """Three readings of one prompt: the object, a part of it, or what it is a part of.

    Attributes:
        logits: float16 [3, 256, 256] over the whole image, above 0 on the object, in [-32, 32].
        scores: float32 [3], the network's estimate of each mask's overlap with the true one.
    """

    logits: npt.NDArray[np.float16]
    scores: npt.NDArray[np.float32]


class SegmentationModel:
    """The two networks, loaded. Safe to call from several threads."""

    def __init__(self, config: SegmentationConfig | None = None, *, threads: int | None = None) -> None:
        """Load the networks. ``threads`` is the budget where ``config.threads`` is None; its default is all cores."""
        self.config = config = config or SegmentationConfig()
        budget = config.threads or threads
        encoder, decoder = encoder_weights(), decoder_weights()
        library, device = encoder_place(config)
        load = partial(open_model, backend=library, threads=budget, device=device)
        self._encoder = load(encoder) if device == "cpu" else open_made(partial(plain_encoder, encoder), load)
        self._decoder = open_model(
            decoder, backend=config.library, threads=budget, device=config.device, profiles=decoder_profiles()
        )
        check_signature(self._encoder, encoder, {"image": (1, 3, SIDE, SIDE)}, FEATURES)
        check_signature(self._decoder, decoder, {**FEATURES, **_PROMPT}, _MASKS)

    def encode(self, image: npt.NDArray[np.uint8]) -> Embedding:
        """The features of an image [H, W, 3] RGB. The network takes one image at a time."""
        features = self._encoder.run({"image": network_image(image)})
        return {name: np.require(features[name], requirements="O") for name in FEATURES}

    def decode(self, embedding: Embedding, size: tuple[int, int], prompts: Sequence[Prompt]) -> list[Masks]:
        """The masks of prompts on one image of that (width, height). The prompts must have one length.

        What else is in the batch moves logits by at most 0.001 before they are rounded, and scores by at most 0.0001.
        """
        inputs = [prompt.network_input(size) for prompt in prompts]
        count = len(prompts)
        found = self._decoder.run(
            {
                **embedding,
                "point_coords": np.stack([coordinates for coordinates, _ in inputs]),
                "point_labels": np.stack([labels for _, labels in inputs]),
                "mask_input": np.zeros((count, 1, MASK_SIDE, MASK_SIDE), np.float32),
                "has_mask_input": np.zeros(1, np.float32),
            }
        )
        logits = found["masks"].astype(np.float16)
        return [Masks(logits[index].copy(), found["iou_predictions"][index].copy()) for index in range(count)]


def network_image(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """The encoder's input [1, 3, 1024, 1024]: the image stretched to the square, without rounding to whole values on
    the way, then normalised by the mean and deviation of ImageNet."""
    from PIL import Image

    # One plane after the other: in float32 a large image takes much memory.
    planes = (Image.fromarray(image[..., channel].astype(np.float32)) for channel in range(3))
    resized: Any = np.stack([np.asarray(plane.resize((SIDE, SIDE), Image.Resampling.BILINEAR)) for plane in planes])
    normalised: npt.NDArray[np.float32] = (resized / np.float32(255) - _MEAN[:, None, None]) / _DEVIATION[:, None, None]
    return normalised[None]


def encoder_place(config: SegmentationConfig) -> tuple[str, Device]:
    """The library and the device that run the encoder."""
    return (config.library, "cuda") if config.device == "cuda" else (READER, "cpu")


def encoder_weights() -> Path:
    """The file of the encoder. Raises NotFoundError, which says how to get it."""
    return find_weight("sam2-hiera-tiny-encoder")


def decoder_weights() -> Path:
    """The file of the decoder. Raises NotFoundError, which says how to get it."""
    return find_weight("sam2-hiera-tiny-decoder")
