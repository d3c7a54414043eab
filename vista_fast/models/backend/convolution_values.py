"""What the nodes of a network stand for, before they become steps of a ``ConvolutionNetwork``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from vista_fast.models.backend.openvino_graph import values_of

Weights = npt.NDArray[np.float32]
Pads = tuple[int, int, int, int]
Activation = Literal["none", "relu", "gelu", "sigmoid"]


class UnsupportedNodeError(Exception):
    """A node that the kernels don't know, or not in this place."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """What a step has made, times the numbers of a gate, each value standing for a square of 2^upsampling pixels; or,
    pooled, of 2 x 2 pixels the largest, at the top left."""

    index: int
    gate: int = -1
    upsampling: int = 0
    pooled: bool = False

    @property
    def plain(self) -> bool:
        return self.gate < 0 and self.upsampling == 0 and not self.pooled


@dataclass(frozen=True, slots=True)
class Joined:
    """Tensors one behind the other along channels."""

    parts: tuple[Tensor, ...]


@dataclass(frozen=True, slots=True)
class Window:
    stride: tuple[int, int]
    pads: Pads | None

    @property
    def trivial(self) -> bool:
        return self.stride == (1, 1) and self.pads == (0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Product:
    """A convolution that what comes behind it may still become a part of."""

    inputs: tuple[Tensor, ...]
    window: Window
    weights: Weights
    bias: Weights
    activation: Activation = "none"
    second: tuple[Weights, Weights, Activation] | None = None
    residual: bool = False
    scale: int = -1
    plus: int = -1
    plus_upsampling: int = 0

    @property
    def activated(self) -> bool:
        return (self.second[2] if self.second else self.activation) != "none"

    @property
    def pointwise(self) -> bool:
        return self.weights.shape[2:] == (1, 1) and self.window.trivial

    @property
    def summed(self) -> bool:
        return self.residual or self.plus >= 0

    @property
    def linear(self) -> bool:
        """Whether the means of what comes out are the product of those of what goes in."""
        made = self.pointwise and not self.activated and not self.second and not self.summed and self.scale < 0
        return made and len(self.inputs) == 1 and self.inputs[0].plain


@dataclass(frozen=True, slots=True)
class Depthwise:
    input: int
    window: Window
    weights: Weights
    bias: Weights
    relu: bool = False


@dataclass(frozen=True, slots=True)
class Means:
    """The means of a tensor over an image, or what two small layers make of them: a gate in the making. Or the means of
    a ``linear`` product of that tensor, which has the key ``product`` and has not been made."""

    of: int
    linear: tuple[Weights, Weights] | None = None
    product: str = ""
    layers: tuple[tuple[Weights, Weights], ...] = ()
    rectified: bool = False
    slope: float | None = None
    offset: float = 0.0
    add: float = 0.0


Value = Tensor | Joined | Product | Depthwise | Means


def key_of(output: Any) -> str:
    return f"{output.get_node().get_name()}:{output.get_index()}"


def layer_behind(means: Means, weights: Weights, bias: Weights) -> tuple[Weights, Weights]:
    """A layer over means, as one over what they are the linear product of."""
    if means.linear is None or means.layers:
        return weights, bias
    before, shift = means.linear
    return weights @ before, weights @ shift + bias


def is_used(output: Any) -> bool:
    return len(output.get_target_inputs()) > 0


def is_single(output: Any, axis: int) -> bool:
    """Whether an axis is known to have one place."""
    shape = output.get_partial_shape()
    return shape.rank.is_static and axis < len(shape) and shape[axis].is_static and shape[axis].get_length() == 1


def weights_of(node: Any, at: int) -> Weights:
    weights = values_of(node.input_value(at).get_node())
    if weights is None:
        raise UnsupportedNodeError("weights that are computed")
    return weights


def per_channel(shift: Weights, bias: Weights) -> Weights:
    if shift.size not in (1, bias.size) or (shift.size > 1 and (shift.ndim != 4 or shift.shape[1] != bias.size)):
        raise UnsupportedNodeError("Add of no number for each channel")
    return np.broadcast_to(shift.reshape(-1), bias.shape).astype(np.float32)


def check_undilated(node: Any) -> None:
    if any(each != 1 for each in node.get_attributes()["dilations"]):
        raise UnsupportedNodeError("dilated convolution")


def window_of(node: Any) -> Window:
    about = node.get_attributes()
    first, second = about["strides"]
    pads: Pads | None = (*about["pads_begin"], *about["pads_end"])
    mode = about["auto_pad"].lower()
    if mode == "same_upper":
        pads = None
    elif mode == "valid":
        pads = (0, 0, 0, 0)
    elif mode not in ("explicit", "notset"):
        raise UnsupportedNodeError(f"pads {mode}")
    return Window((first, second), pads)
