"""The Ops ``segment.encode``, ``segment.decode`` and ``segment.render``."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vista_fast.errors import InvalidArgumentError
from vista_fast.models.backend import check_backend
from vista_fast.models.call_arguments import check_arguments, one_for_all
from vista_fast.models.loading import LoadedOnce, RegisteredOnce, on_device
from vista_fast.models.segmentation.config import SegmentationConfig
from vista_fast.models.segmentation.masks import facts_of, mask_at, overlay
from vista_fast.models.segmentation.model import (
    FEATURES,
    Embedding,
    SegmentationModel,
    decoder_weights,
    encoder_place,
    encoder_weights,
)
from vista_fast.models.segmentation.plain import READER
from vista_fast.models.segmentation.profiles import DECODE_BATCH, MASK_SIDE
from vista_fast.models.segmentation.prompt import Prompt

if TYPE_CHECKING:
    from vista_fast._core import Image
    from vista_fast.engine import Engine

_registered: RegisteredOnce[SegmentationConfig] = RegisteredOnce("segments images")


def register_segmentation(engine: Engine, config: SegmentationConfig) -> None:
    """Give the engine three Ops; once per engine, repeating it with an equal config does nothing.

    That library and weights are here is checked now, and the networks are loaded with the first call.

    - ``segment.encode(image)`` → the ``Embedding``, 16.8 MB. The network takes one image at a time. Calls for one image
      share one run, and the cache keeps it as it does any result.
    - ``segment.decode(image, points=None, labels=None, box=None)`` → ``{"logits": float16 [3, 256, 256], "scores":
      float32 [3]}``; see ``Prompt`` and ``Masks``. Batches the prompts of one length on one image, of whichever flows.
      It encodes the image first, unless somebody still holds that result.
    - ``segment.render(image, logits=[n, 256, 256], shown=0)`` → ``{"facts": n dicts of MaskFacts, "overlay": Image}``:
      masks at the image's size, and the image with the mask of that index tinted.

    Raises:
        InvalidArgumentError: the engine already has them with another config, or the library does not run on that
            device here.
        MissingExtraError: ONNX Runtime, which alone reads the encoder, or the decoder's library is not installed.
        NotFoundError: the weights are not here; the message says how to get them.
    """
    _registered.register(engine, config, lambda: _register(engine, config))


def _register(engine: Engine, config: SegmentationConfig) -> None:
    from vista_fast.engine import BatchPolicy, Op

    check_backend(READER)
    check_backend(config.library, config.device, opens="SAM 2's networks")
    encoder_weights()
    decoder_weights()
    threads = engine.threads
    model = LoadedOnce("segmentation", lambda: SegmentationModel(config, threads=threads))
    embeddings = _Embeddings(weakref.ref(engine))

    def encode(calls: Sequence[Mapping[str, Any]]) -> list[Embedding]:
        return [embeddings.keep(call["image"], model.get().encode(np.asarray(call["image"]))) for call in calls]

    def decode(calls: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        image = calls[0]["image"]
        found = model.get().decode(embeddings.of(image), (image.width, image.height), [_prompt(call) for call in calls])
        return [{"logits": masks.logits, "scores": masks.scores} for masks in found]

    def key_of_prompt(call: Mapping[str, Any]) -> str:
        check_arguments(call, "segment.decode", "points", "labels", "box")
        return f"{call['image'].hash}/{_prompt(call).length}"

    engine.register(
        Op(
            "segment.encode",
            "sam2-hiera-tiny/{}/{}/f32".format(*encoder_place(config)),
            policy=BatchPolicy(max_batch=1, max_delay=0.0),
            run=on_device(encoder_place(config)[1], encode),
            key=one_for_all("segment.encode"),
            timeout=config.timeout,
        )
    )
    engine.register(
        Op(
            "segment.decode",
            "sam2-hiera-tiny/{}/{}/{}/{}/f32".format(*encoder_place(config), config.library, config.runs_on),
            policy=BatchPolicy(max_batch=DECODE_BATCH, max_delay=0.005),
            run=on_device(config.runs_on, decode),
            key=key_of_prompt,
            timeout=config.timeout,
        )
    )
    engine.register(
        Op(
            "segment.render",
            "1",
            policy=BatchPolicy(max_batch=4, max_delay=0.0),
            run=_render,
            key=one_for_all("segment.render", "logits", "shown"),
        )
    )


class _Embeddings:
    """The embeddings that somebody holds: the engine's cache, or a call that is about to decode."""

    def __init__(self, engine: weakref.ref[Engine]) -> None:
        self._engine = engine
        self._held: weakref.WeakValueDictionary[tuple[str, str], npt.NDArray[np.float32]]
        self._held = weakref.WeakValueDictionary()

    def keep(self, image: Image, embedding: Embedding) -> Embedding:
        """Notes the arrays without holding them; gives the embedding back."""
        for name, array in embedding.items():
            self._held[image.hash, name] = array
        return embedding

    def of(self, image: Image) -> Embedding:
        """The embedding of an image, encoded anew when nobody holds it."""
        held = {name: array for name in FEATURES if (array := self._held.get((image.hash, name))) is not None}
        if len(held) == len(FEATURES):
            return held
        engine = self._engine()
        assert engine is not None  # one of its own threads asks
        (embedding,) = engine.submit_many("segment.encode", [{"image": image}], nested=True).result()
        fresh: Embedding = embedding
        return fresh


def _prompt(call: Mapping[str, Any]) -> Prompt:
    size = (call["image"].width, call["image"].height)
    return Prompt.of(size, call.get("points"), call.get("labels"), call.get("box"))


def _render(calls: Sequence[Mapping[str, Any]]) -> list[dict[str, Any] | Exception]:
    return [_rendered(call["image"], call["logits"], call.get("shown", 0)) for call in calls]


def _rendered(image: Image, logits: Any, shown: int) -> dict[str, Any] | Exception:
    from vista_fast._core import Image as CoreImage

    logits = np.asarray(logits)
    if logits.ndim != 3 or logits.shape[1:] != (MASK_SIDE, MASK_SIDE) or not 0 <= shown < len(logits):
        return InvalidArgumentError(
            f"logits must be [n, {MASK_SIDE}, {MASK_SIDE}] with shown below n, got {list(logits.shape)} and {shown}"
        )
    masks = [mask_at(each, (image.width, image.height)) for each in logits]
    facts = [facts_of(mask) for mask in masks]
    return {
        "facts": [{name: getattr(each, name) for name in each.__slots__} for each in facts],
        "overlay": CoreImage.from_array(overlay(np.asarray(image), masks[shown])),
    }
