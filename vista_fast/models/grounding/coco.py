"""A detector of the 80 COCO classes in plain calls: NanoDet-g (https://github.com/RangiLyu/nanodet, Apache-2.0).

Its file comes from an npm package in the format of TensorFlow.js, and is made into an ONNX file at the first use. It
finds large and middling things in photographs (22.9 mAP on COCO), and knows nothing of drawings and charts.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vista_fast._core import lay_planes
from vista_fast.errors import InvalidArgumentError
from vista_fast.models.backend import Model, Profile, open_model
from vista_fast.models.grounding.boxes import without_doubles
from vista_fast.models.grounding.config import GroundingConfig
from vista_fast.models.grounding.dino import Detections, Pixels
from vista_fast.models.grounding.tfjs import REVISION, to_onnx
from vista_fast.models.grounding.vocabulary import COCO_CLASSES
from vista_fast.models.made_network import open_made
from vista_fast.models.onnx_files import onnx_package
from vista_fast.models.part_file import part_file
from vista_fast.models.weights import exports_folder, find_weight
from vista_fast.models.weights.catalogue import WEIGHTS

GRAPH, WEIGHT = "nanodet-g-coco-graph", "nanodet-g-coco-weights"
NAME = "nanodet-g-coco"

_SIDE = 416
_STRIDES = (8, 16, 32)
_OUTPUTS = {
    "Identity": "scores8",
    "Identity_1": "scores16",
    "Identity_2": "scores32",
    "Identity_3": "sides8",
    "Identity_4": "sides16",
    "Identity_5": "sides32",
}
_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)
"""Of red, green and blue, in units of 255."""
_LOWEST = 0.05
"""Scores below this are noise."""
_OVERLAP = 0.6
_MOST = 100


class CocoDetector:
    """The network, loaded. Safe to call from several threads."""

    def __init__(self, config: GroundingConfig | None = None, *, threads: int | None = None) -> None:
        """Load the network.

        Raises:
            NotFoundError: its weights are not on this machine; the message says how to get them.
            InvalidArgumentError: the library does not run on that device here, or is too far off in that precision.
            MissingExtraError: a library is not installed.
        """
        config = config or GroundingConfig()
        check_bound(config)
        self._network: Model = open_made(
            network_file,
            partial(
                open_model,
                backend=config.coco_library,
                threads=config.threads or threads,
                precision=config.precision,
                device=config.device,
                profiles=coco_profiles(config.max_batch),
            ),
        )

    def detect(self, images: Sequence[Pixels]) -> list[Detections]:
        """Everything found in each image [H, W, 3] RGB, best first: at most 100 things that score 0.05 or more.

        Of two boxes of one class that overlap by more than 0.6 the better one is kept. Boxes are clamped to the image.
        """
        outputs = self._network.run({"input": np.stack([_network_input(image) for image in images])})
        scores = np.concatenate([outputs[f"scores{stride}"] for stride in _STRIDES], axis=1)
        boxes = np.concatenate([_boxes(outputs[f"sides{stride}"], stride) for stride in _STRIDES], axis=1)
        return [_kept(image, *each) for image, *each in zip(images, scores, boxes, strict=True)]


def coco_profiles(max_batch: int) -> tuple[Profile, ...]:
    """The shapes of ``grounding.coco``: a batch of any size up to that one."""
    image = (_SIDE, _SIDE)
    return (Profile.of({"input": ((1, 3, *image), (max_batch, 3, *image), (max_batch, 3, *image))}),)


def check_bound(config: GroundingConfig) -> None:
    """That scores and boxes stay as near to f32's as the config says.

    Raises InvalidArgumentError for bf16 on TensorRT, where all that lies between operators is rounded too: scores move
    by up to 0.07.
    """
    if config.precision == "bf16" and config.coco_library.startswith("tensorrt"):
        raise InvalidArgumentError(
            f"in 'bf16' {config.coco_library} moves what the detector of COCO's classes finds too far from f32; take "
            "precision 'f16' there"
        )


def check_here() -> None:
    """Loads nothing.

    Raises:
        MissingExtraError: the package that makes the network's file is not installed, and the file is not there yet.
        NotFoundError: the detector's weights are not on this machine.
    """
    find_weight(GRAPH)
    find_weight(WEIGHT)
    if not _made().is_file():
        onnx_package()


def network_file() -> Path:
    """The ONNX file, made now if it is not there. Raises NotFoundError when the weights are not on this machine."""
    graph, weights, path = find_weight(GRAPH), find_weight(WEIGHT), _made()
    if not path.is_file():
        with part_file(path) as part:
            to_onnx(graph, weights, part, _OUTPUTS)
    return path


def _made() -> Path:
    return exports_folder() / f"{NAME}-{REVISION}-{WEIGHTS[GRAPH].sha256[:12]}-{WEIGHTS[WEIGHT].sha256[:12]}.onnx"


def _network_input(pixels: Pixels) -> npt.NDArray[np.float32]:
    """Blue, green and red [3, 416, 416] of an image stretched to the square."""
    planes = np.empty((3, _SIDE, _SIDE), np.float32)
    lay_planes(pixels, (_SIDE, _SIDE), mean=_MEAN, std=_STD, canvas=planes)
    return planes[::-1]


def _boxes(sides: npt.NDArray[np.float32], stride: int) -> npt.NDArray[np.float32]:
    """Boxes [n, cells, 4] in the network's pixels, from how far each side is from its cell's centre.

    A distance is the mean of a distribution over whole strides (generalized focal loss, arXiv 2006.04388).
    """
    batch, cells, values = sides.shape
    logits = sides.reshape(batch, cells, 4, values // 4)
    odds = np.exp(logits - logits.max(axis=3, keepdims=True))
    far = (odds / odds.sum(axis=3, keepdims=True)) @ np.arange(values // 4, dtype=np.float32) * stride
    rows, columns = np.divmod(np.arange(cells), _SIDE // stride)
    centres = (np.stack([columns, rows], axis=1) + 0.5).astype(np.float32) * stride
    found: npt.NDArray[np.float32] = np.concatenate([centres - far[..., :2], centres + far[..., 2:]], axis=2)
    return found


def _kept(image: Pixels, scores: npt.NDArray[np.float32], boxes: npt.NDArray[np.float32]) -> Detections:
    height, width = image.shape[:2]
    cells, classes = np.nonzero(scores >= _LOWEST)
    best = scores[cells, classes]
    # Moved apart by class, so that only boxes of one class overlap.
    stays = without_doubles(boxes[cells] + 4 * _SIDE * classes[:, None].astype(np.float32), best, _OVERLAP)[:_MOST]
    scale = np.array([width, height, width, height], np.float32) / _SIDE
    found: npt.NDArray[np.float32] = np.clip(boxes[cells[stays]] * scale, 0, scale * _SIDE).astype(np.float32)
    return Detections(found, best[stays], tuple(COCO_CLASSES[index] for index in classes[stays]))
