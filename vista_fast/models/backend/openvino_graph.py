"""Parts of networks in a form that OpenVINO runs faster on a CPU, with the same results but for rounding.

What is not found in a network is left as it is. All are parts of PP-OCR's detection.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Weights = npt.NDArray[np.float32]


def rearrange(model: Any) -> None:
    """Changes an ``openvino.Model`` in place."""
    for result in model.get_results():
        _merge_upsampling(result)
    for node in model.get_ordered_ops():
        if node.get_type_name() == "Convolution":
            _split_concatenation(node)
        elif node.get_type_name() == "Add":
            _merge_gate(node)
    model.validate_nodes_and_infer_types()


def without_softmax(model: Any) -> bool:
    """Takes the softmax over the last axis off the end of a network of one output, in place; False where it does not
    end with one, and where that is all there is."""
    result = model.get_results()[0]
    softmax = _before(result)
    if len(model.get_results()) != 1 or softmax.get_type_name() != "Softmax":
        return False
    rank = softmax.output(0).get_partial_shape().rank
    if rank.is_dynamic or softmax.get_attributes()["axis"] not in (-1, rank.get_length() - 1):
        return False
    logits = softmax.input_value(0)
    if logits.get_node().get_type_name() == "Parameter":
        return False
    logits.set_names(result.input_value(0).get_names())
    result.input(0).replace_source_output(logits)
    return True


def _merge_upsampling(result: Any) -> None:
    """Transposed convolution, ReLU, transposed convolution to one channel, sigmoid, each doubling the sides: two 1 × 1
    convolutions and a sigmoid at the small size, then one move of the values to their places.

    By itself the second writes, for every output, 16 lanes of which it needs one.
    """
    import openvino.opset13 as ops

    sigmoid = _before(result)
    last = _doubling(_before(sigmoid)) if sigmoid.get_type_name() == "Sigmoid" else None
    relu = _before(last[0]) if last is not None else None
    first = _doubling(_before(relu)) if relu is not None and relu.get_type_name() == "Relu" else None
    if first is None or last is None or last[1].shape[1] != 1:
        return
    start, kernel, shift = first
    _, final, offset = last
    inner, middle = kernel.shape[:2]
    # Channels of the first are (row, column, channel); of the second (row, column, row within, column within).
    spread = kernel.transpose(2, 3, 1, 0).reshape(4 * middle, inner, 1, 1)
    gathered = np.zeros((4, 4, 4, middle), np.float32)
    for place in range(4):
        gathered[place, :, place] = final[:, 0].transpose(1, 2, 0).reshape(4, middle)
    wide = ops.relu(_convolved(start.input_value(0), spread, np.tile(shift, 4)))
    narrow = ops.sigmoid(_convolved(wide.output(0), gathered.reshape(16, 4 * middle, 1, 1), np.tile(offset, 16)))
    placed = ops.depth_to_space(ops.depth_to_space(narrow, "blocks_first", 2), "blocks_first", 2)
    placed.set_friendly_name(sigmoid.get_friendly_name())
    placed.output(0).set_names(result.input_value(0).get_names())
    result.input(0).replace_source_output(placed.output(0))


def _doubling(node: Any) -> tuple[Any, Weights, Weights] | None:
    """The transposed convolution that doubles the sides and of which ``node`` adds the shift, its kernel
    [inputs, outputs, 2, 2], and the shift [outputs]."""
    shift = values_of(node.input_value(1).get_node()) if node.get_type_name() == "Add" else None
    if shift is None:
        return None
    convolution = _before(node)
    if convolution.get_type_name() != "ConvolutionBackpropData":
        return None
    kernel = values_of(convolution.input_value(1).get_node())
    about = convolution.get_attributes()
    plain = about["strides"] == [2, 2] and not any(about["pads_begin"] + about["pads_end"] + about["output_padding"])
    if kernel is None or kernel.shape[2:] != (2, 2) or not plain or shift.size != kernel.shape[1]:
        return None
    return convolution, kernel, shift.reshape(-1)


def _convolved(source: Any, kernel: Weights, shift: Weights) -> Any:
    import openvino.opset13 as ops

    product = ops.convolution(source, ops.constant(np.ascontiguousarray(kernel)), [1, 1], [0, 0], [0, 0], [1, 1])
    return ops.add(product, ops.constant(shift.reshape(1, -1, 1, 1)))


def _split_concatenation(convolution: Any) -> None:
    """A convolution over the channels of two tensors of unknown sizes: the sum of one over each.

    Where sizes are unknown, OpenVINO concatenates channels value by value.
    """
    import openvino.opset13 as ops

    concatenation = _before(convolution)
    kernel = values_of(convolution.input_value(1).get_node())
    if concatenation.get_type_name() != "Concat" or kernel is None or kernel.shape[2:] == (1, 1):
        return
    parts = concatenation.input_values()
    channels = parts[0].get_partial_shape()[1]
    users = concatenation.output(0).get_target_inputs()
    if len(parts) != 2 or channels.is_dynamic or parts[0].get_partial_shape().is_static or len(users) != 1:
        return
    about, at = convolution.get_attributes(), channels.get_length()
    if concatenation.get_attributes()["axis"] != 1 or kernel.shape[1] <= at:
        return
    halves = [
        ops.convolution(
            part,
            ops.constant(np.ascontiguousarray(weights)),
            about["strides"],
            about["pads_begin"],
            about["pads_end"],
            about["dilations"],
            about["auto_pad"],
        )
        for part, weights in zip(parts, (kernel[:, :at], kernel[:, at:]), strict=True)
    ]
    total = ops.add(*halves)
    for user in convolution.output(0).get_target_inputs():
        user.replace_source_output(total.output(0))


def _merge_gate(add: Any) -> None:
    """x + x · gate, where a gate is a number for each channel: x · (1 + gate).

    OpenVINO makes two passes over memory of the first, and one of the second, for what is added to it too.
    """
    import openvino.opset13 as ops

    if add.get_output_element_type(0).to_string() != "f32":
        return
    for at in (0, 1):
        product, whole = _before(add, at), source_of(add, 1 - at)
        if product.get_type_name() != "Multiply":
            continue
        for gate in (0, 1):
            shape = product.input_value(gate).get_partial_shape()
            per_channel = shape.rank.is_static and len(shape) == 4 and all(shape[axis] == 1 for axis in (2, 3))
            if per_channel and _same(source_of(product, 1 - gate), whole):
                raised = ops.add(product.input_value(gate), ops.constant(np.float32(1)))
                gated = ops.multiply(add.input_value(1 - at), raised)
                for user in add.output(0).get_target_inputs():
                    user.replace_source_output(gated.output(0))
                return


def _same(one: Any, other: Any) -> bool:
    """Whether two handles are of one output of one node."""
    same_node = one.get_node().get_name() == other.get_node().get_name()
    return bool(same_node and one.get_index() == other.get_index())


def _before(node: Any, at: int = 0) -> Any:
    """The node of an input, past those that do nothing."""
    return source_of(node, at).get_node()


def source_of(node: Any, at: int) -> Any:
    """The output that an input takes, past the nodes that do nothing."""
    source = node.input_value(at)
    while source.get_node().get_type_name() == "Identity":
        source = source.get_node().input_value(0)
    return source


def values_of(node: Any) -> Weights | None:
    """The values of a constant of float32, None for another node."""
    while node.get_type_name() == "Identity":
        node = node.input_value(0).get_node()
    if node.get_type_name() != "Constant" or node.get_element_type().to_string() != "f32":
        return None
    values: Weights = node.get_data().copy()
    return values
