"""Networks with their products in f16 or bf16: what the conversion does to their outputs, on the CPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from vista_fast.errors import InvalidArgumentError
from vista_fast.models.backend import Array, Precision
from vista_fast.models.backend.openvino import openvino_core
from vista_fast.models.backend.tensorrt.network import read_network
from vista_fast.models.backend.tensorrt.precision import lowered
from vista_fast.models.ocr.weights import detection_weights, recognition_weights


def run(network: bytes, feed: dict[str, Array]) -> list[Array]:
    session = onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"])
    return session.run(None, feed)


def run_bf16(network: bytes, x: Array) -> Array:
    """ONNX Runtime has no bf16 on CPUs."""
    core = openvino_core()
    compiled = core.compile_model(core.read_model(network, b""), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return np.asarray(compiled([x])[0])


@pytest.mark.parametrize(
    ("path", "shape", "f16", "bf16"),
    [(detection_weights(), (1, 3, 128, 160), 2e-3, 5e-3), (recognition_weights(), (2, 3, 48, 320), 2e-2, 4e-1)],
    ids=["detection", "recognition"],
)
def test_outputs_of_ocr_stay_near(path: Path, shape: tuple[int, ...], f16: float, bf16: float) -> None:
    proto = read_network(path).proto
    x = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
    (wanted,) = run(lowered(proto, "f32"), {"x": x})
    (halved,) = run(lowered(proto, "f16"), {"x": x})
    assert halved.dtype == np.float32
    assert 0 < np.abs(halved - wanted).max() < f16
    assert np.abs(run_bf16(lowered(proto, "bf16"), x) - wanted).max() < bf16


def graph(nodes: list[onnx.NodeProto], outputs: list[str], **constants: Array) -> onnx.ModelProto:
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 4])
    results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    weights = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    made = helper.make_graph(nodes, "g", [given], results, weights)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def types(network: bytes) -> dict[str, int]:
    inferred = onnx.shape_inference.infer_shapes(onnx.load_from_string(network), strict_mode=True, data_prop=True)
    values = (*inferred.graph.value_info, *inferred.graph.output)
    return {value.name: value.type.tensor_type.elem_type for value in values}


WEIGHTS = np.full((4, 4), 0.1, np.float32)


@pytest.mark.parametrize("precision", ["f16", "bf16"])
def test_products_are_lowered_and_functions_are_not(precision: Precision) -> None:
    low = TensorProto.FLOAT16 if precision == "f16" else TensorProto.BFLOAT16
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["product"]),
        helper.make_node("Softmax", ["product"], ["attention"]),
        helper.make_node("Exp", ["attention"], ["powers"]),
        helper.make_node("Softmax", ["powers"], ["shares"]),
        helper.make_node("Add", ["shares", "product"], ["sum"]),
    ]
    found = types(lowered(graph(nodes, ["sum", "shares"], w=WEIGHTS), precision))
    assert {name: found[name] for name in ("product", "attention")} == dict.fromkeys(("product", "attention"), low)
    assert {found[name] for name in ("powers", "shares", "sum")} == {TensorProto.FLOAT}


def test_an_output_that_is_read_inside_too_keeps_its_name_and_type() -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["product"]),
        helper.make_node("Relu", ["product"], ["positive"]),
        helper.make_node("Exp", ["product"], ["powers"]),
    ]
    proto = graph(nodes, ["product", "positive", "powers"], w=WEIGHTS)
    x = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
    for result, wanted in zip(run(lowered(proto, "f16"), {"x": x}), run(lowered(proto, "f32"), {"x": x}), strict=True):
        assert result.dtype == np.float32
        np.testing.assert_allclose(result, wanted, atol=2e-3)


def test_arithmetic_on_shapes_and_large_numbers_stay_exact() -> None:
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Mul", ["shape", "many"], ["times"]),
        helper.make_node("Cast", ["times"], ["y"], to=TensorProto.FLOAT),
    ]
    (result,) = run(
        lowered(graph(nodes, ["y"], many=np.array([100_001], np.int64)), "f16"), {"x": np.zeros((2, 4), np.float32)}
    )
    assert result.tolist() == [200_002, 400_004]


def test_scales_of_a_resize_stay_in_f32() -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["product"]),
        helper.make_node("Resize", ["product", "", "scales"], ["y"], mode="nearest"),
    ]
    network = lowered(graph(nodes, ["y"], w=WEIGHTS, scales=np.array([1, 2], np.float32)), "f16")
    assert run(network, {"x": np.ones((1, 4), np.float32)})[0].shape == (1, 8)


def test_a_branch_that_looks_at_a_lowered_tensor_is_refused() -> None:
    branch = helper.make_graph(
        [helper.make_node("Exp", ["product"], ["inner"])],
        "branch",
        [],
        [helper.make_tensor_value_info("inner", TensorProto.FLOAT, None)],
    )
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["product"]),
        helper.make_node("If", ["always"], ["y"], then_branch=branch, else_branch=branch),
    ]
    proto = graph(nodes, ["y"], w=WEIGHTS, always=np.array(True))
    assert lowered(proto, "f32")
    with pytest.raises(InvalidArgumentError, match="If looks at product from within a branch or loop"):
        lowered(proto, "f16")
