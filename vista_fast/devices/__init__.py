"""Images on a device: held there within a budget of bytes of their own, and worked on there by DALI and Triton.

==========  ============================================================================================
module      what it holds
==========  ============================================================================================
image       ``DeviceImage``, ``DeviceTensor``: what lies on a device, and the event after which it may be read
store       ``DeviceStore``: the images that a device holds, least recently used first out
region      boxes of numbers as boxes of pixels, by the rule of the native Ops
calls       the arguments of calls over such images
dali        ``DaliExecutor``: batches of decode, zoom and normalise in DALI pipelines
ops         ``register_dali``: the Ops ``dali.decode``, ``dali.zoom``, ``dali.resize``, ``dali.normalise`` over a store
in_core     the native Op ``cuda.preprocess``, where the CUDA kernels were built
preprocess  ``register_preprocess``: the Op ``device.preprocess``, Qwen-VL's patches in one launch
==========  ============================================================================================

A call runs where its image lives: once these Ops are registered, ``image.zoom``, ``image.resize`` and
``image.preprocess`` of a DeviceImage are theirs, for tools too.

A device is a CUDA device, or torch's CPU, whose streams are done when a call returns: on it the same code is tested.
``scripts/gpu_check.sh`` runs the tests on a CUDA device.
"""

from __future__ import annotations

from vista_fast.devices.dali import DaliExecutor
from vista_fast.devices.image import DeviceImage, DeviceTensor
from vista_fast.devices.ops import register_dali
from vista_fast.devices.preprocess import register_preprocess
from vista_fast.devices.store import DeviceStore

__all__ = [
    "DaliExecutor",
    "DeviceImage",
    "DeviceStore",
    "DeviceTensor",
    "register_dali",
    "register_preprocess",
]
