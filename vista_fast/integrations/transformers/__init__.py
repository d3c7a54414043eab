"""The image processors of transformers for Qwen-VL, CLIP, SigLIP, LLaVA and InternVL, computed by ``image.preprocess``.

Trainers and servers that prepare images with transformers' processors get the engine's by one call: pictures of a batch
are computed side by side without the GIL, and one that was seen before is not computed again. The numbers are those of
transformers' Pillow backend, within 1e-5, also where ``install`` stands in for its torchvision backend. The latter
resizes in other arithmetic: it differs from both by two steps of 1/255 in smooth pictures, and for Qwen-VL by up to 23
in noise. ``current`` has the engine, ``pictures`` what all processors share.
"""

from __future__ import annotations

from transformers import AutoConfig, AutoImageProcessor

from vista_fast.engine import Engine
from vista_fast.integrations.transformers.current import current_engine
from vista_fast.integrations.transformers.encoders import (
    CLIPImageProcessor,
    CLIPImageProcessorPil,
    GotOcr2ImageProcessor,
    GotOcr2ImageProcessorPil,
    LlavaImageProcessor,
    LlavaImageProcessorPil,
    SiglipImageProcessor,
    SiglipImageProcessorPil,
)
from vista_fast.integrations.transformers.qwen import Qwen2VLImageProcessor, Qwen2VLImageProcessorPil

__all__ = [
    "MODEL_TYPES",
    "CLIPImageProcessor",
    "CLIPImageProcessorPil",
    "GotOcr2ImageProcessor",
    "GotOcr2ImageProcessorPil",
    "LlavaImageProcessor",
    "LlavaImageProcessorPil",
    "Qwen2VLImageProcessor",
    "Qwen2VLImageProcessorPil",
    "SiglipImageProcessor",
    "SiglipImageProcessorPil",
    "install",
]

_QWEN = (Qwen2VLImageProcessor, Qwen2VLImageProcessorPil)
_PROCESSORS = {
    "qwen2_vl": _QWEN,
    "qwen2_5_vl": _QWEN,
    "qwen3_vl": _QWEN,
    "clip": (CLIPImageProcessor, CLIPImageProcessorPil),
    "siglip": (SiglipImageProcessor, SiglipImageProcessorPil),
    "llava": (LlavaImageProcessor, LlavaImageProcessorPil),
    "internvl": (GotOcr2ImageProcessor, GotOcr2ImageProcessorPil),
}
MODEL_TYPES = tuple(_PROCESSORS)
"""The model types of transformers whose image processor is replaced."""


def install(engine: Engine | None = None) -> None:
    """From now on ``AutoImageProcessor`` and ``AutoProcessor`` give the models of ``MODEL_TYPES`` the processors here.

    Processors that were made before stay as they are. Calling it again changes the engine.

    Args:
        engine: computes from now on, in this process; None makes one per process when it is first needed.
    """
    current_engine.give(engine)
    for model_type, (fast, plain) in _PROCESSORS.items():
        AutoImageProcessor.register(
            type(AutoConfig.for_model(model_type)),
            image_processor_classes={"torchvision": fast, "pil": plain},
            exist_ok=True,
        )
