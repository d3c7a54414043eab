"""Which layers of a network our own kernels run in place of OpenVINO's."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from vista_fast import _core
from vista_fast.errors import InvalidArgumentError
from vista_fast.models.backend.convolution_values import UnsupportedNodeError
from vista_fast.models.backend.convolutions import Products, known_nodes, lower
from vista_fast.models.backend.model import Precision
from vista_fast.models.backend.openvino_graph import source_of, values_of
from vista_fast.models.backend.openvino_split import behind, is_convolution, narrow_places

SETTING = "VISTA_FAST_OWN_KERNELS"
"""The environment variable that leaves all layers to OpenVINO where it is 0."""


@dataclass(frozen=True, slots=True)
class OwnLayers:
    """A network's first layers, a ``ConvolutionNetwork``, and an ``openvino.Model`` of what is behind them, if there is
    anything."""

    network: Any
    rest: Any | None


def uses_own_kernels() -> bool:
    """Whether this CPU runs them faster than OpenVINO's, which takes AMX, and VISTA_FAST_OWN_KERNELS is not 0."""
    return os.environ.get(SETTING) != "0" and "amx" in _core.network_kernels()


def mostly_convolutions(model: Any) -> bool:
    """Whether an ``openvino.Model`` is worth a look: of one input, with more convolutions than other products."""
    kinds = [node.get_type_name() for node in model.get_ops()]
    products = sum(kinds.count(kind) for kind in ("MatMul", "LSTMSequence", "GRUSequence", "RNNSequence"))
    return len(model.inputs) == 1 and sum(map(is_convolution, model.get_ops())) > products


def in_fewer_nodes(model: Any) -> bool:
    """Puts nodes such as Gelu in place of what they are made of, in an ``openvino.Model``; whether this version of the
    library does so."""
    try:
        # What openvino.convert_model does to a file, which besides reports its use over the network.
        from openvino._offline_transformations import apply_moc_transformations
    except ImportError:
        return False
    apply_moc_transformations(model, cf=False, smart_reshape=True)
    return True


def take_head(model: Any, precision: Precision) -> Any | None:
    """The ``ClassHead`` that a network of one output ends with, a linear layer over its last axis, and takes it off the
    model in place: the output is then what the head takes, under the same name. None where it ends otherwise."""
    import openvino.opset13 as ops

    result = model.get_results()[0]
    add = result.input_value(0).get_node()
    product = source_of(add, 0).get_node() if add.get_type_name() == "Add" else None
    if len(model.get_results()) != 1 or product is None or product.get_type_name() != "MatMul":
        return None
    weights, bias = values_of(product.input_value(1).get_node()), values_of(add.input_value(1).get_node())
    about, features = product.get_attributes(), product.input_value(0)
    rank = features.get_partial_shape().rank
    if weights is None or bias is None or weights.ndim != 2 or rank.is_dynamic:
        return None
    if not about["transpose_b"]:
        weights = np.ascontiguousarray(weights.T)
    if bias.size != len(weights) or bias.shape[-1:] != (bias.size,):
        return None
    try:
        head = _core.ClassHead(weights, bias.reshape(-1), products=products_in(precision))
    except InvalidArgumentError:  # it has no finite weights
        return None
    if about["transpose_a"]:
        axes = [*range(rank.get_length() - 2), rank.get_length() - 1, rank.get_length() - 2]
        features = ops.transpose(features, ops.constant(np.array(axes))).output(0)
    features.set_names(result.input_value(0).get_names())
    result.input(0).replace_source_output(features)
    model.validate_nodes_and_infer_types()
    return head


def products_in(precision: Precision) -> Products:
    """Of bfloat16, for a product in a precision: in "mixed" as in "bf16" one, but for ``products_of_pixels``."""
    return 3 if precision == "f32" else 1


def products_of_pixels(precision: Precision) -> Products:
    """In the convolutions of a network's input. Its values have more than bfloat16's 8 bits, their rounding moves all
    that comes after them, and they have few channels: "mixed" does not round them."""
    return 1 if precision == "bf16" else 3


def first_layers(model: Any, precision: Precision) -> OwnLayers | None:
    """As many layers as the kernels know; the model is then used up. None where that is less than half of a network's
    convolutions."""
    nodes = model.get_ordered_ops()
    known = known_nodes(nodes)
    convolutions = sum(map(is_convolution, nodes))
    whole = known == len(nodes) and len(model.outputs) == 1
    places = [len(nodes) - 1] if whole else [at for at in narrow_places(nodes) if at < known]
    for end in reversed(places):
        if 2 * sum(map(is_convolution, nodes[: end + 1])) < convolutions or model.get_sinks():
            break
        output = model.get_results()[0].input_value(0) if whole else nodes[end].output(0)
        try:
            network = lower(nodes[: end + 1], output, products_in(precision), of_pixels=products_of_pixels(precision))
        except (UnsupportedNodeError, InvalidArgumentError):
            continue  # a value that no step can make, such as a mean
        return OwnLayers(network, None if whole else behind(model, output))
    return None
