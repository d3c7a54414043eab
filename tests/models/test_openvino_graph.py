"""The forms of a network that OpenVINO runs faster give what the file's own form gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import openvino
import pytest
from onnx import TensorProto, helper, numpy_helper

from vista_fast.models.backend.openvino import openvino_core
from vista_fast.models.backend.openvino_graph import rearrange
from vista_fast.models.ocr.weights import detection_weights

Shape = tuple[int, ...]


def run(model: openvino.Model, batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    compiled = openvino_core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return compiled([batch])[0].copy()


def kinds(model: openvino.Model) -> list[str]:
    return [node.get_type_name() for node in model.get_ordered_ops()]


def check_same(path: Path, shape: Shape, changed: bool) -> None:
    own, other = openvino_core().read_model(path), openvino_core().read_model(path)
    rearrange(other)
    assert (kinds(own) != kinds(other)) is changed
    assert [port.get_names() for port in other.outputs] == [port.get_names() for port in own.outputs]
    batch = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    np.testing.assert_allclose(run(other, batch), run(own, batch), atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 3, 96, 64), (2, 3, 64, 160)])
def test_detection_finds_the_same(shape: Shape) -> None:
    own, other = openvino_core().read_model(detection_weights()), openvino_core().read_model(detection_weights())
    rearrange(other)
    assert "ConvolutionBackpropData" in kinds(own)
    assert "ConvolutionBackpropData" not in kinds(other)
    check_same(detection_weights(), shape, changed=True)


def saved(path: Path, nodes: list[Any], constants: dict[str, Shape], source: Shape) -> Path:
    random = np.random.default_rng(1)
    weights = [
        numpy_helper.from_array(random.normal(size=shape).astype(np.float32), name) for name, shape in constants.items()
    ]
    free = [f"d{at}" if at in (0, 2, 3) else size for at, size in enumerate(source)]
    graph = helper.make_graph(
        nodes,
        "part",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, free)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        weights,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.mark.parametrize(
    ("outputs", "stride", "changed"), [(1, 2, True), (2, 2, False), (1, 1, False)], ids=["as", "wide", "not doubling"]
)
def test_upsampling_of_one_channel_is_merged(outputs: int, stride: int, changed: bool, tmp_path: Path) -> None:
    nodes = [
        helper.make_node("ConvTranspose", ["x", "k"], ["one"], strides=[2, 2]),
        helper.make_node("Add", ["one", "b"], ["two"]),
        helper.make_node("Relu", ["two"], ["three"]),
        helper.make_node("ConvTranspose", ["three", "l"], ["four"], strides=[stride, stride]),
        helper.make_node("Add", ["four", "c"], ["five"]),
        helper.make_node("Sigmoid", ["five"], ["y"]),
    ]
    constants = {"k": (5, 6, 2, 2), "b": (1, 6, 1, 1), "l": (6, outputs, 2, 2), "c": (1, outputs, 1, 1)}
    check_same(saved(tmp_path / "part.onnx", nodes, constants, (1, 5, 4, 6)), (2, 5, 4, 6), changed)


@pytest.mark.parametrize(
    ("kernel", "used_again", "changed"),
    [((4, 6, 3, 3), False, True), ((4, 6, 1, 1), False, False), ((4, 6, 3, 3), True, False)],
    ids=["as", "1 × 1", "used again"],
)
def test_a_convolution_over_two_tensors_is_a_sum(
    kernel: Shape, used_again: bool, changed: bool, tmp_path: Path
) -> None:
    pads = [kernel[2] // 2] * 4
    nodes = [
        helper.make_node("Relu", ["x"], ["other"]),
        helper.make_node("Concat", ["x", "other"], ["both"], axis=1),
        helper.make_node("Conv", ["both", "k", "b"], ["z"], strides=[2, 2], pads=pads),
        helper.make_node("ReduceMax", ["both" if used_again else "z"], ["top"], keepdims=1),
        helper.make_node("Add", ["z", "top"], ["y"]),
    ]
    check_same(saved(tmp_path / "part.onnx", nodes, {"k": kernel, "b": (4,)}, (1, 3, 7, 8)), (2, 3, 7, 8), changed)


@pytest.mark.parametrize("whole_first", [True, False])
@pytest.mark.parametrize("gate_first", [True, False])
def test_a_gate_and_what_it_scales_are_one_product(whole_first: bool, gate_first: bool, tmp_path: Path) -> None:
    factors, terms = ["one", "gate"], ["one", "two"]
    nodes = [
        helper.make_node("Conv", ["x", "k"], ["one"]),
        helper.make_node("GlobalAveragePool", ["one"], ["mean"]),
        helper.make_node("HardSigmoid", ["mean"], ["gate"]),
        helper.make_node("Mul", factors[::-1] if gate_first else factors, ["two"]),
        helper.make_node("Add", terms if whole_first else terms[::-1], ["y"]),
    ]
    path = saved(tmp_path / "part.onnx", nodes, {"k": (6, 5, 1, 1)}, (1, 5, 4, 6))
    check_same(path, (2, 5, 4, 6), changed=True)
    model = openvino_core().read_model(path)
    rearrange(model)
    adds = [node for node in model.get_ordered_ops() if node.get_type_name() == "Add"]
    sides = [node.get_output_partial_shape(0)[2] for node in adds]
    assert sides == [1], "only the gate is added to"


@pytest.mark.parametrize(
    ("product", "total"),
    [(["one", "x"], ["one", "two"]), (["one", "gate"], ["x", "two"]), (["gate", "gate"], ["one", "two"])],
    ids=["by a map", "to another", "of gates"],
)
def test_other_sums_stay(product: list[str], total: list[str], tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Conv", ["x", "k"], ["one"]),
        helper.make_node("GlobalAveragePool", ["one"], ["gate"]),
        helper.make_node("Mul", product, ["two"]),
        helper.make_node("Add", total, ["y"]),
    ]
    path = saved(tmp_path / "part.onnx", nodes, {"k": (5, 5, 1, 1)}, (1, 5, 4, 6))
    check_same(path, (2, 5, 4, 6), changed=False)


def test_a_network_in_half_precision_opens(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Cast", ["x"], ["one"], to=TensorProto.FLOAT16),
        helper.make_node("GlobalAveragePool", ["one"], ["gate"]),
        helper.make_node("Mul", ["one", "gate"], ["two"]),
        helper.make_node("Add", ["one", "two"], ["three"]),
        helper.make_node("Cast", ["three"], ["y"], to=TensorProto.FLOAT),
    ]
    check_same(saved(tmp_path / "part.onnx", nodes, {}, (1, 5, 4, 6)), (2, 5, 4, 6), changed=False)


def test_halves_of_one_tensor_are_not_taken_for_one_another(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Split", ["x"], ["one", "other"], axis=1),
        helper.make_node("GlobalAveragePool", ["one"], ["gate"]),
        helper.make_node("Mul", ["other", "gate"], ["two"]),
        helper.make_node("Add", ["one", "two"], ["y"]),
    ]
    check_same(saved(tmp_path / "part.onnx", nodes, {}, (1, 6, 4, 6)), (2, 6, 4, 6), changed=False)
