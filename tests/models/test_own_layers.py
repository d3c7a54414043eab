"""Layers in our own kernels: which, and that they give what OpenVINO's give."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino
import openvino.opset13 as ops
import pytest

from vista_fast import _core
from vista_fast.errors import InvalidArgumentError
from vista_fast.models.backend import Classifier
from vista_fast.models.backend.convolution_values import UnsupportedNodeError
from vista_fast.models.backend.convolutions import Products, lower
from vista_fast.models.backend.openvino import OpenVinoModel, openvino_core
from vista_fast.models.backend.openvino_graph import rearrange
from vista_fast.models.backend.own_layers import SETTING, first_layers, in_fewer_nodes, take_head, uses_own_kernels
from vista_fast.models.ocr.weights import detection_weights, recognition_weights

pytestmark = pytest.mark.skipif(not _core.network_kernels(), reason="this CPU has no AVX-512 BF16")
KERNELS = _core.network_kernels()
Node = Any
Floats = npt.NDArray[np.float32]


def numbers(*shape: int, seed: int = 0) -> Floats:
    values: Floats = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    return values


def computed(model: openvino.Model, batch: Floats) -> Floats:
    compiled = openvino_core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    values: Floats = compiled([batch])[0].copy()
    return values


def convolved(source: Node, outputs: int, size: int = 1, stride: int = 1, seed: int = 0) -> Node:
    source = source.output(0) if isinstance(source, openvino.Node) else source
    inputs = source.get_partial_shape()[1].get_length()
    kernel = numbers(outputs, inputs, size, size, seed=seed) / np.float32(size * inputs**0.5)
    pads = [size // 2] * 2
    product = ops.convolution(source, ops.constant(kernel), [stride] * 2, pads, pads, [1, 1])
    return ops.add(product, ops.constant(numbers(1, outputs, 1, 1, seed=seed + 1)))


def depthwise(source: Node, channels: int, size: int) -> Node:
    kernel = numbers(channels, 1, 1, size, size) / np.float32(size)
    pads = [size // 2] * 2
    return ops.group_convolution(source, ops.constant(kernel), [1, 1], pads, pads, [1, 1])


def gated(source: Node, channels: int, add: float = 0) -> Node:
    means = ops.reduce_mean(source, ops.constant(np.array([2, 3])), keep_dims=True)
    inner = ops.relu(convolved(means, 4, seed=5))
    gate = ops.hard_sigmoid(
        convolved(inner, channels, seed=6), ops.constant(np.float32(0.2)), ops.constant(np.float32(0.5))
    )
    return ops.multiply(source, ops.add(gate, ops.constant(np.float32(add))) if add else gate)


def upsampled(source: Node) -> Node:
    return ops.interpolate(
        source,
        ops.constant(np.array([1, 1, 2, 2], np.float32)),
        "nearest",
        "scales",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )


def a_residual_block(x: Node) -> Node:
    start = gated(depthwise(ops.relu(convolved(x, 24, 3)), 24, 3), 24)
    hidden = ops.gelu(convolved(start, 48, seed=3), "ERF")
    return ops.add(start, convolved(hidden, 24, seed=4))


def a_stem(x: Node) -> Node:
    start = ops.relu(convolved(x, 12, 3, stride=2))
    pooled = ops.max_pool(start, [1, 1], [1, 1], [0, 0], [0, 0], [2, 2], auto_pad="same_upper").output(0)
    even = ops.convolution(start, ops.constant(numbers(8, 12, 2, 2)), [1, 1], [0, 0], [0, 0], [1, 1], "same_upper")
    joined = ops.add(convolved(pooled, 8, 3, seed=2), even)
    return ops.relu(ops.add(joined, ops.constant(numbers(1, 8, 1, 1))))


def scaled(source: Node, channels: int) -> Node:
    return gated(convolved(source, channels, seed=8), channels)


def gates_of_products(x: Node) -> Node:
    start = ops.relu(convolved(x, 16, 3))
    return convolved(ops.relu(scaled(scaled(start, 16), 16)), 16, seed=4)


def a_pyramid(x: Node) -> Node:
    fine = convolved(x, 16, 3)
    coarse = gated(convolved(fine, 16, 3, stride=2, seed=2), 16, add=1)
    finer = ops.add(gated(fine, 16, add=1), upsampled(coarse))
    joined = ops.concat([upsampled(gated(depthwise(coarse, 16, 7), 16)), depthwise(finer, 16, 7)], 1)
    narrow = ops.sigmoid(convolved(ops.relu(convolved(joined, 24, 3)), 4, seed=9))
    return ops.depth_to_space(narrow, "blocks_first", 2)


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("build", [a_residual_block, a_stem, a_pyramid, gates_of_products])
@pytest.mark.parametrize(("products", "error"), [(3, 1e-4), (1, 3e-2)])
def test_parts_of_networks(build: Callable[[Node], Node], kernels: str, products: Products, error: float) -> None:
    x = ops.parameter([-1, 3, -1, -1], np.float32, "x")
    model = openvino.Model([build(x)], [x], "part")
    network = lower(model.get_ordered_ops(), model.get_results()[0].input_value(0), products, kernels)
    for shape in ((1, 3, 32, 48), (3, 3, 64, 40)):
        batch = numbers(*shape, seed=1)
        expected = computed(model, batch)
        found = network.run(batch, threads=2)
        assert found.shape == expected.shape
        assert np.abs(found - expected).max() < error * np.abs(expected).max()
        np.testing.assert_allclose(network.run(batch[:1], threads=1), found[:1], atol=1e-5 if products == 3 else 0.02)


@pytest.mark.parametrize(("weights", "height"), [(detection_weights, 96), (recognition_weights, 48)])
@pytest.mark.parametrize(("precision", "error"), [("f32", 2e-4), ("bf16", 0.15)])
def test_first_layers_of_pp_ocr(weights: Callable[[], Path], height: int, precision: Any, error: float) -> None:
    def opened() -> openvino.Model:
        model = openvino_core().read_model(weights())
        assert in_fewer_nodes(model)
        rearrange(model)
        return model

    own = first_layers(opened(), precision)
    assert own is not None
    assert (own.rest is None) == (weights is detection_weights)
    batch = numbers(2, 3, height, 320)
    found = own.network.run(batch, threads=2)
    found = found if own.rest is None else computed(own.rest, found)
    expected = computed(opened(), batch)
    assert np.abs(found - expected).max() < error


def test_mixed_does_not_round_pixels() -> None:
    x = ops.parameter([-1, 3, -1, -1], np.float32, "x")
    batch = numbers(1, 3, 32, 40)

    def given(node: Node, precision: Any) -> npt.NDArray[np.float32]:
        own = first_layers(openvino.Model([node], [x], "part"), precision)
        assert own is not None
        assert own.rest is None
        found: npt.NDArray[np.float32] = own.network.run(batch, threads=1)
        return found

    first = ops.relu(convolved(x, 16, 3))
    np.testing.assert_array_equal(given(first, "mixed"), given(first, "f32"))
    assert np.abs(given(first, "bf16") - given(first, "f32")).max() > 1e-4
    second = convolved(first, 8, 3, seed=3)
    assert np.abs(given(second, "mixed") - given(second, "f32")).max() > 1e-4


def test_what_is_unknown_is_left_to_openvino() -> None:
    x = ops.parameter([-1, 3, -1, -1], np.float32, "x")
    known = ops.relu(convolved(ops.relu(convolved(x, 8, 3)), 8, 3))
    unknown = ops.hswish(convolved(known, 8, seed=7))
    half = openvino.Model([unknown], [x], "half")
    expected = computed(half, numbers(1, 3, 20, 20))
    own = first_layers(half, "f32")
    assert own is not None
    assert own.rest is not None
    found = computed(own.rest, own.network.run(numbers(1, 3, 20, 20), threads=1))
    np.testing.assert_allclose(found, expected, atol=1e-4)
    y = ops.parameter([-1, 3, -1, -1], np.float32, "y")
    mostly = convolved(convolved(ops.hswish(convolved(y, 8)), 8), 8)
    assert first_layers(openvino.Model([mostly], [y], "mostly unknown"), "f32") is None
    z = ops.parameter([-1, 3, -1, -1], np.float32, "z")
    whole = openvino.Model([ops.hswish(convolved(z, 8))], [z], "whole")
    with pytest.raises(UnsupportedNodeError, match="HSwish"):
        lower(whole.get_ordered_ops(), whole.get_results()[0].input_value(0), 3)


def test_what_is_added_behind_a_gate_is_not_taken_for_a_bias() -> None:
    x = ops.parameter([-1, 3, -1, -1], np.float32, "x")
    start = ops.relu(convolved(x, 16, 3))
    model = openvino.Model([ops.add(scaled(start, 16), ops.constant(numbers(1, 16, 1, 1)))], [x], "shifted")
    with pytest.raises(UnsupportedNodeError, match="Add of a constant"):
        lower(model.get_ordered_ops(), model.get_results()[0].input_value(0), 3)


@pytest.mark.skipif("amx" not in KERNELS, reason="this CPU has no AMX")
def test_the_setting_leaves_all_to_openvino(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = numbers(1, 3, 64, 96)
    own = OpenVinoModel(detection_weights(), threads=1, precision="f32")
    monkeypatch.setenv(SETTING, "0")
    assert not uses_own_kernels()
    theirs = OpenVinoModel(detection_weights(), threads=1, precision="f32")
    assert (own.inputs, own.outputs) == (theirs.inputs, theirs.outputs)
    (name,) = (spec.name for spec in own.outputs)
    one, other = (model.run({"x": batch})[name] for model in (own, theirs))
    np.testing.assert_allclose(one, other, atol=1e-4)
    assert not np.array_equal(one, other)


@pytest.mark.skipif("amx" not in KERNELS, reason="this CPU has no AMX")
@pytest.mark.parametrize("ignored", [None, 0])
def test_the_head_names_the_same_classes(ignored: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = numbers(3, 3, 48, 320) * 0.1
    found = Classifier(OpenVinoModel(recognition_weights(), threads=2, precision="f32", logits=True)).run(
        batch, ignored=ignored
    )
    monkeypatch.setenv(SETTING, "0")
    model = OpenVinoModel(recognition_weights(), threads=2, precision="f32", logits=True)
    assert model.head is None
    expected = Classifier(model).run(batch, ignored=ignored)
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_allclose(found[1], expected[1], atol=1e-3)


@pytest.mark.parametrize("transposed", [False, True])
def test_a_head_is_taken_off(transposed: bool) -> None:
    x = ops.parameter([-1, -1, 40], np.float32, "x")
    weights, bias = numbers(40, 1000), numbers(1000, seed=1)
    product = ops.matmul(x, ops.constant(weights.T.copy() if transposed else weights), False, transposed)
    model = openvino.Model([ops.add(product, ops.constant(bias))], [x], "head")
    head = take_head(model, "f32")
    assert head is not None
    rows = numbers(70, 40, seed=2)
    logits = rows.astype(np.float64) @ weights + bias
    classes, probabilities = head.run(computed(model, rows[None])[0], threads=2)
    np.testing.assert_array_equal(classes, logits.argmax(axis=1))
    likely = 1 / np.exp(logits - logits.max(axis=1, keepdims=True)).sum(axis=1)
    np.testing.assert_allclose(probabilities, likely, atol=1e-4)
    y = ops.parameter([-1, 40], np.float32, "y")
    assert take_head(openvino.Model([ops.relu(y)], [y], "no head"), "f32") is None


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (lambda net: net.convolution([(7, -1, 0, False)], numbers(4, 3, 1, 1), numbers(4)), "must be a tensor made"),
        (lambda net: net.convolution([(0, -1, 0, False)], numbers(4, 5, 1, 1), numbers(4)), "don't fit 3 channels"),
        (lambda net: net.convolution([(0, -1, 0, False)], numbers(4, 3, 1, 1), numbers(5)), "bias must have 4"),
        (lambda net: net.convolution([], numbers(4, 3, 1, 1), numbers(4)), "takes 1 to 4 tensors, got 0"),
        (
            lambda net: net.convolution([(0, -1, 0, False)], numbers(4, 3, 1, 1) * np.inf, numbers(4)),
            "weights must be finite",
        ),
        (
            lambda net: net.convolution([(0, -1, 0, False)], numbers(4, 3, 1, 1), numbers(4), activation="tanh"),
            "none, relu, gelu or sigmoid, got 'tanh'",
        ),
        (lambda net: net.depthwise(0, numbers(3, 3, 3), numbers(3)), "must not be the network.s input"),
        (lambda net: net.run(numbers(1, 4, 8, 8), threads=1), r"images must be float32 \[n, 3"),
        (lambda net: net.run(numbers(1, 3, 8, 8), threads=0), "threads must be 1 to 1024, got 0"),
        (lambda net: _core.ConvolutionNetwork(3, "sse"), "no 'sse'"),
    ],
)
def test_what_does_not_fit_is_told(step: Callable[[_core.ConvolutionNetwork], object], message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        step(_core.ConvolutionNetwork(3))


def test_an_image_that_is_too_small_is_told() -> None:
    network = _core.ConvolutionNetwork(3)
    network.convolution([(0, -1, 0, False)], numbers(4, 3, 5, 5), numbers(4))
    with pytest.raises(InvalidArgumentError, match="smaller than a kernel of 5 x 5"):
        network.run(numbers(1, 3, 4, 9), threads=1)
