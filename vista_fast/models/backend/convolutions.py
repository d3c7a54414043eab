"""A network of convolutions, read from an ``openvino.Model``, as our own kernels run it on a CPU with AMX."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from vista_fast import _core
from vista_fast.errors import InvalidArgumentError
from vista_fast.models.backend.convolution_values import (
    Activation,
    Depthwise,
    Joined,
    Means,
    Product,
    Tensor,
    UnsupportedNodeError,
    Value,
    Weights,
    Window,
    check_undilated,
    is_single,
    is_used,
    key_of,
    layer_behind,
    per_channel,
    weights_of,
    window_of,
)
from vista_fast.models.backend.openvino_graph import source_of, values_of

Products = Literal[1, 3]

_ACTIVATIONS: dict[str, Activation] = {"Relu": "relu", "Gelu": "gelu", "Sigmoid": "sigmoid"}


@dataclass(slots=True)
class _Lowering:
    """Nodes in their order become values, and values, when they are needed, steps of a network."""

    network: Any
    products: Products
    of_pixels: Products
    values: dict[str, Value] = field(default_factory=dict)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    gates: dict[str, int] = field(default_factory=dict)
    convolved: set[int] = field(default_factory=set)
    blends: dict[tuple[int, int], int] = field(default_factory=dict)

    def add(self, node: Any) -> None:
        """Raises UnsupportedNodeError."""
        try:
            self._add(node)
        except KeyError as error:  # of what is no tensor, or of an attribute that an older operation lacks
            raise UnsupportedNodeError(f"{node.get_type_name()} without {error}") from error

    def _add(self, node: Any) -> None:
        kind = node.get_type_name()
        if kind in ("Constant", "Result"):
            return
        known = getattr(self, f"_add_{kind}", None)
        if kind in _ACTIVATIONS:
            self.values[key_of(node.output(0))] = self._activated(node, _ACTIVATIONS[kind])
        elif known is not None:
            self.values[key_of(node.output(0))] = known(node)
        else:
            raise UnsupportedNodeError(kind)

    def tensor(self, output: Any) -> Tensor:
        """The tensor of an output, made now if it was not before."""
        key = key_of(output)
        value = self.values[key]
        if isinstance(value, Tensor):
            return value
        if key not in self.tensors:
            self.tensors[key] = self._made(value)
            self.convolved.add(self.tensors[key].index)
        return self.tensors[key]

    def _made(self, value: Value) -> Tensor:
        if isinstance(value, Product):
            return Tensor(
                self.network.convolution(
                    [(part.index, part.gate, part.upsampling, part.pooled) for part in value.inputs],
                    value.weights,
                    value.bias,
                    activation=value.activation,
                    stride=value.window.stride,
                    pads=value.window.pads,
                    second=value.second,
                    residual=value.residual,
                    scale=value.scale,
                    plus=value.plus,
                    plus_upsampling=value.plus_upsampling,
                    products=self.of_pixels if any(part.index == 0 for part in value.inputs) else self.products,
                )
            )
        if isinstance(value, Depthwise):
            return Tensor(
                self.network.depthwise(
                    value.input,
                    value.weights,
                    value.bias,
                    relu=value.relu,
                    stride=value.window.stride,
                    pads=value.window.pads,
                )
            )
        raise UnsupportedNodeError(f"{type(value).__name__} as a tensor")

    def plain(self, output: Any) -> int:
        """The index of a tensor without a gate or an upsampling that is still to come."""
        tensor = self.tensor(output)
        if tensor.upsampling:
            raise UnsupportedNodeError("upsampling before this")
        return self._gated(tensor)

    def _gated(self, tensor: Tensor) -> int:
        """The index of a tensor that its gate has been multiplied into, or that has been pooled."""
        if tensor.gate < 0 and not tensor.pooled:
            return tensor.index
        key = (tensor.index, tensor.gate)
        if key not in self.blends:
            self.blends[key] = (
                self.network.max_pool(tensor.index, kernel=(2, 2), stride=(1, 1), pads=None)
                if tensor.pooled
                else self.network.blend(tensor.index, gate=tensor.gate)
            )
        return self.blends[key]

    def _gate(self, output: Any) -> int | None:
        key, value = key_of(output), self.values[key_of(output)]
        if not isinstance(value, Means) or value.slope is None:
            return None
        if key not in self.gates:
            (first, first_bias), (second, second_bias) = value.layers
            self.gates[key] = self.network.gate(
                value.of,
                first,
                first_bias,
                second,
                second_bias,
                slope=value.slope,
                offset=value.offset,
                add=value.add,
            )
        return self.gates[key]

    def _add_Parameter(self, node: Any) -> Value:
        return Tensor(0)

    def _add_Convolution(self, node: Any) -> Value:
        weights = weights_of(node, 1)
        check_undilated(node)
        source = source_of(node, 0)
        value = self.values[key_of(source)]
        bias = np.zeros(weights.shape[0], np.float32)
        window = window_of(node)
        small = weights.shape[2:] == (1, 1) and window.trivial
        if isinstance(value, Means):
            ready = len(value.layers) == 0 or (len(value.layers) == 1 and value.rectified)
            if not small or value.slope is not None or not ready:
                raise UnsupportedNodeError("Convolution of means")
            return replace(value, layers=(*value.layers, layer_behind(value, weights[:, :, 0, 0], bias)))
        if small and isinstance(value, Product) and self._can_chain(source, value):
            return replace(value, second=(weights, bias, "none"))
        if isinstance(value, Joined):
            return Product(value.parts, window, weights, bias)
        return Product((self.tensor(source),), window, weights, bias)

    def _add_GroupConvolution(self, node: Any) -> Value:
        weights = weights_of(node, 1)
        check_undilated(node)
        if weights.ndim != 5 or weights.shape[1:3] != (1, 1):
            raise UnsupportedNodeError("GroupConvolution of several channels")
        bias = np.zeros(weights.shape[0], np.float32)
        return Depthwise(self.plain(source_of(node, 0)), window_of(node), weights[:, 0, 0], bias)

    def _add_Add(self, node: Any) -> Value:
        for at in (0, 1):
            constant = values_of(node.input_value(at).get_node())
            if constant is not None:
                return self._shifted(source_of(node, 1 - at), constant)
        return self._summed(source_of(node, 0), source_of(node, 1))

    def _shifted(self, source: Any, shift: Weights) -> Value:
        value = self.values[key_of(source)]
        if isinstance(value, Means) and value.slope is not None and shift.size == 1:
            return replace(value, add=value.add + float(shift.reshape(())))
        if isinstance(value, Means) and value.slope is None and len(value.layers) == 1 + value.rectified:
            weights, bias = value.layers[-1]
            return replace(value, layers=(*value.layers[:-1], (weights, bias + per_channel(shift, bias))))
        if isinstance(value, Product) and not value.activated and value.scale < 0 and self._absorbs(source, value):
            if value.second:
                weights, bias, then = value.second
                return replace(value, second=(weights, bias + per_channel(shift, bias), then))
            return replace(value, bias=value.bias + per_channel(shift, value.bias))
        if isinstance(value, Depthwise) and not value.relu and self._absorbs(source, value):
            return replace(value, bias=value.bias + per_channel(shift, value.bias))
        raise UnsupportedNodeError("Add of a constant")

    def _summed(self, *sources: Any) -> Value:
        if any(is_single(sources[0], axis) != is_single(sources[1], axis) for axis in (2, 3)):
            raise UnsupportedNodeError("Add that repeats a pixel")
        values = [self.values[key_of(source)] for source in sources]
        for at in (1, 0):
            product, other = values[at], values[1 - at]
            if not isinstance(product, Product) or not self._absorbs(sources[at], product):
                continue
            if product.activated or product.summed:
                continue
            made = other if isinstance(other, Tensor) else self.tensor(sources[1 - at])
            as_it_is = not made.upsampling and not made.pooled and made.index > 0
            if product.pointwise and product.inputs == (made,) and as_it_is and product.scale < 0:
                return replace(product, residual=True)
            if made.gate < 0 and not made.pooled and made.index > 0:
                return replace(product, plus=made.index, plus_upsampling=made.upsampling)
        one, two = (self.tensor(source) for source in sources)
        if one.upsampling:
            one, two = two, one
        if one.upsampling or one.pooled or two.pooled:
            raise UnsupportedNodeError("Add of two upsampled or pooled tensors")
        added = self._gated(two)
        return Tensor(self.network.blend(one.index, gate=one.gate, other=added, upsampling=two.upsampling))

    def _activated(self, node: Any, activation: Activation) -> Value:
        source = source_of(node, 0)
        value = self.values[key_of(source)]
        if isinstance(value, Means) and activation == "relu" and len(value.layers) == 1 and not value.rectified:
            return replace(value, rectified=True)
        if activation == "gelu" and node.get_attributes()["approximation_mode"].upper() != "ERF":
            raise UnsupportedNodeError("Gelu by tanh")
        if isinstance(value, Product) and not value.activated and self._absorbs(source, value):
            if value.second:
                weights, bias, _ = value.second
                return replace(value, second=(weights, bias, activation))
            return replace(value, activation=activation)
        if isinstance(value, Depthwise) and activation == "relu" and self._absorbs(source, value):
            return replace(value, relu=True)
        raise UnsupportedNodeError(f"{activation} of a {type(value).__name__}")

    def _add_ReduceMean(self, node: Any) -> Value:
        axes = node.input_value(1).get_node()
        if axes.get_type_name() != "Constant" or sorted(axes.get_data().reshape(-1).tolist()) != [2, 3]:
            raise UnsupportedNodeError("ReduceMean over other axes")
        if not node.get_attributes()["keep_dims"]:
            raise UnsupportedNodeError("ReduceMean that drops axes")
        source = source_of(node, 0)
        value = self.values[key_of(source)]
        if isinstance(value, Product) and value.linear and self._may_be_scaled(source):
            index = value.inputs[0].index
            if index in self.convolved:
                return Means(index, (value.weights[:, :, 0, 0], value.bias), key_of(source))
        tensor = self.tensor(source)
        if tensor.index not in self.convolved or not tensor.plain:
            raise UnsupportedNodeError("ReduceMean of what is no convolution's own")
        return Means(tensor.index)

    def _add_HardSigmoid(self, node: Any) -> Value:
        value = self.values[key_of(source_of(node, 0))]
        slope, offset = (values_of(node.input_value(at).get_node()) for at in (1, 2))
        if not isinstance(value, Means) or len(value.layers) != 2 or value.slope is not None:
            raise UnsupportedNodeError("HardSigmoid outside a gate")
        if slope is None or offset is None:
            raise UnsupportedNodeError("HardSigmoid outside a gate")
        return replace(value, slope=float(slope.reshape(())), offset=float(offset.reshape(())))

    def _add_Multiply(self, node: Any) -> Value:
        sources = [source_of(node, at) for at in (0, 1)]
        for source, other in (sources, sources[::-1]):
            gate = self._gate(other) if key_of(other) in self.values else None
            value = self.values.get(key_of(source))
            if gate is not None and isinstance(value, Product) and self._is_of(other, source):
                return replace(value, scale=gate)
            if gate is not None and key_of(source) in self.values:
                tensor = self.tensor(source)
                if tensor.plain and tensor.index > 0:
                    return replace(tensor, gate=gate)
        raise UnsupportedNodeError("Multiply without a gate")

    def _add_MaxPool(self, node: Any) -> Value:
        about = node.get_attributes()
        if about["rounding_type"] != "floor" or any(each != 1 for each in about["dilations"]):
            raise UnsupportedNodeError("MaxPool that rounds up or is dilated")
        if is_used(node.output(1)):
            raise UnsupportedNodeError("MaxPool for its indices")
        window = window_of(node)
        source = self.plain(source_of(node, 0))
        kernel = tuple(about["kernel"])
        if kernel == (2, 2) and window == Window((1, 1), None) and source > 0:
            return Tensor(source, pooled=True)
        return Tensor(self.network.max_pool(source, kernel=kernel, stride=window.stride, pads=window.pads))

    def _add_Interpolate(self, node: Any) -> Value:
        about = node.get_attributes()
        wanted = {
            "mode": "nearest",
            "shape_calculation_mode": "scales",
            "coordinate_transformation_mode": "asymmetric",
            "nearest_mode": "floor",
        }
        if any(about[name] != value for name, value in wanted.items()) or any(about["pads_begin"] + about["pads_end"]):
            raise UnsupportedNodeError("Interpolate of another kind")
        scales = values_of(node.input_value(1).get_node())
        if scales is None or node.get_input_size() != 2 or scales.size != 4:
            raise UnsupportedNodeError("Interpolate by sizes, or along some axes")
        power = float(np.log2(scales[2]))
        if tuple(scales) != (1, 1, 2**power, 2**power) or power not in range(9):
            raise UnsupportedNodeError("Interpolate by no power of 2")
        tensor = self.tensor(source_of(node, 0))
        if tensor.pooled:
            raise UnsupportedNodeError("Interpolate of what is pooled")
        return replace(tensor, upsampling=tensor.upsampling + int(power))

    def _add_Concat(self, node: Any) -> Value:
        parts = tuple(self.tensor(source_of(node, at)) for at in range(node.get_input_size()))
        if node.get_attributes()["axis"] != 1 or len(parts) > 4 or any(part.index == 0 for part in parts):
            raise UnsupportedNodeError("Concat of another kind")
        return Joined(parts)

    def _add_DepthToSpace(self, node: Any) -> Value:
        about = node.get_attributes()
        if about["mode"] != "blocks_first":
            raise UnsupportedNodeError("DepthToSpace of depth first")
        source = self.plain(source_of(node, 0))
        return Tensor(self.network.depth_to_space(source, block=about["block_size"]))

    def _can_chain(self, source: Any, value: Product) -> bool:
        """Whether a second product may follow within a step."""
        alone = value.activated and not value.second and not value.summed and value.scale < 0
        return alone and value.pointwise and self._absorbs(source, value)

    def _is_of(self, gate: Any, product: Any) -> bool:
        """Whether a gate is of the means of that product, which has not been made."""
        means = self.values[key_of(gate)]
        key = key_of(product)
        return isinstance(means, Means) and means.product == key and key not in self.tensors

    def _may_be_scaled(self, source: Any) -> bool:
        """Whether a product goes to its means and to one multiplication, with a gate made of them."""
        users = sorted(port.get_node().get_type_name() for port in source.get_target_inputs())
        return users == ["Multiply", "ReduceMean"] and key_of(source) not in self.tensors

    def _absorbs(self, source: Any, value: Value) -> bool:
        """Whether what takes this output is the only one, and it has not been made."""
        return len(source.get_target_inputs()) == 1 and key_of(source) not in self.tensors


def lower(
    nodes: Sequence[Any], output: Any, products: Products, kernels: str = "", of_pixels: Products | None = None
) -> Any:
    """The ``ConvolutionNetwork`` that gives ``output`` of a graph.

    Args:
        nodes: the graph's nodes in their order, up to the one of ``output``.
        output: an output of one of them.
        products: of bfloat16 for each of numbers, as ``ConvolutionNetwork`` has them.
        kernels: as ``ConvolutionNetwork`` has them.
        of_pixels: products in the convolutions of the network's own input; None for as many as in others.

    Raises:
        UnsupportedNodeError: the kernels don't know one of the nodes.
        InvalidArgumentError: its weights are not finite, or it does not fit what is before it.
    """
    lowering = _Lowering(_network(nodes, kernels), products, of_pixels or products)
    for node in nodes:
        lowering.add(node)
    lowering.network.set_output(lowering.plain(output))
    return lowering.network


def known_nodes(nodes: Sequence[Any]) -> int:
    """How many of a graph's nodes, from the first, the kernels know."""
    try:
        lowering = _Lowering(_network(nodes, ""), 1, 1)
        for at, node in enumerate(nodes):
            try:
                lowering.add(node)
            except (UnsupportedNodeError, InvalidArgumentError):
                return at
    except UnsupportedNodeError:
        return 0
    return len(nodes)


def _network(nodes: Sequence[Any], kernels: str) -> Any:
    inputs = [node for node in nodes if node.get_type_name() == "Parameter"]
    shape = inputs[0].get_partial_shape() if len(inputs) == 1 else None
    if shape is None or shape.rank.is_dynamic or len(shape) != 4 or shape[1].is_dynamic:
        raise UnsupportedNodeError("inputs other than one [n, channels, h, w]")
    if inputs[0].get_element_type().to_string() != "f32":
        raise UnsupportedNodeError("an input of another type")
    return _core.ConvolutionNetwork(shape[1].get_length(), kernels)
