"""The likeliest classes are those of the whole distribution, whichever library runs the network."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper

from vista_fast.errors import InvalidArgumentError
from vista_fast.models.backend import Classifier, find_backend, open_model, run_single
from vista_fast.models.backend.openvino import OpenVinoModel
from vista_fast.models.ocr.weights import recognition_weights

BACKENDS = ["openvino", "onnxruntime"]


def saved(path: Path, *nodes: Any, outputs: tuple[str, ...] = ("y",)) -> Path:
    """A network from x [items, steps, 7]."""
    free = ["items", "steps", 7]
    graph = helper.make_graph(
        nodes,
        "classes",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, free)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, free) for name in outputs],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def softmax(path: Path, axis: int = 2) -> Path:
    """Of -x."""
    return saved(path, helper.make_node("Neg", ["x"], ["n"]), helper.make_node("Softmax", ["n"], ["y"], axis=axis))


def lines(count: int, width: int = 320) -> npt.NDArray[np.float32]:
    return np.random.default_rng(count).random((count, 3, 48, width), np.float32)


@pytest.mark.parametrize("name", BACKENDS)
def test_of_text_lines(name: str) -> None:
    whole = run_single(find_backend(name)(recognition_weights(), threads=1, precision="f32"), lines(2))
    classifier = Classifier(open_model(recognition_weights(), backend=name, threads=1, logits=True))
    classes, probabilities = classifier.run(lines(2))
    np.testing.assert_array_equal(classes, whole.argmax(axis=2))
    # Three products of bfloat16 are 2^-16 of themselves off: 1.3e-5 of a probability over 32 such lines.
    np.testing.assert_allclose(probabilities, whole.max(axis=2), atol=2e-5)
    assert classifier.metadata["character"]


def test_the_ignored_class_alone_has_no_probability() -> None:
    classifier = Classifier(open_model(recognition_weights(), backend="openvino", threads=1, logits=True))
    classes, probabilities = classifier.run(lines(3))
    blank = int(np.bincount(classes.ravel()).argmax())
    again, fewer = classifier.run(lines(3), ignored=blank)
    np.testing.assert_array_equal(again, classes)
    assert (classes == blank).any()
    np.testing.assert_array_equal(fewer, np.where(classes == blank, 0, probabilities))


@pytest.mark.parametrize("name", BACKENDS)
def test_large_values_do_not_overflow(name: str, tmp_path: Path) -> None:
    classifier = Classifier(open_model(softmax(tmp_path / "net.onnx"), backend=name, threads=1, logits=True))
    scores = np.zeros((1, 2, 7), np.float32)
    scores[0, 0, 3], scores[0, 1, 6] = -1e4, 1e4
    classes, probabilities = classifier.run(scores)
    assert classes.tolist() == [[3, 0]]
    np.testing.assert_allclose(probabilities, [[1, 1 / 6]], rtol=1e-6)


def test_threads_share_a_classifier() -> None:
    classifier = Classifier(open_model(recognition_weights(), backend="openvino", threads=1, logits=True))
    given = [lines(1, 320 + 8 * width) for width in range(8)]
    expected = [classifier.run(line) for line in given]
    with ThreadPoolExecutor(4) as pool:
        for found, wanted in zip(pool.map(classifier.run, given * 2), expected * 2, strict=True):
            np.testing.assert_array_equal(found[0], wanted[0])
            np.testing.assert_allclose(found[1], wanted[1], atol=1e-5)


def test_the_output_keeps_its_name(tmp_path: Path) -> None:
    scores = np.random.default_rng(0).normal(size=(2, 3, 7)).astype(np.float32)
    model = OpenVinoModel(softmax(tmp_path / "net.onnx"), threads=1, precision="f32", logits=True)
    assert model.gives_logits
    np.testing.assert_allclose(model.run({"x": scores})["y"], -scores, atol=1e-6)


def test_a_network_that_ends_otherwise_is_run_as_it_is(tmp_path: Path) -> None:
    end = helper.make_node("Sigmoid", ["x"], ["z"])
    softmax_inside = helper.make_node("Softmax", ["x"], ["y"], axis=2)
    scores = np.random.default_rng(0).normal(size=(2, 3, 7)).astype(np.float32)
    for path in (
        softmax(tmp_path / "over steps.onnx", axis=1),
        saved(tmp_path / "all.onnx", helper.make_node("Softmax", ["x"], ["y"], axis=2)),
        saved(tmp_path / "sigmoid.onnx", helper.make_node("Sigmoid", ["x"], ["y"])),
        saved(tmp_path / "two.onnx", softmax_inside, end, outputs=("y", "z")),
    ):
        model = OpenVinoModel(path, threads=1, precision="f32", logits=True)
        assert not model.gives_logits
        whole = find_backend("onnxruntime")(path, threads=1, precision="f32").run({"x": scores})["y"]
        classes, values = Classifier(model).run(scores)
        np.testing.assert_array_equal(classes, whole.argmax(axis=2))
        np.testing.assert_allclose(values, whole.max(axis=2), atol=1e-6)


def test_logits_are_given_only_where_asked_for(tmp_path: Path) -> None:
    path = softmax(tmp_path / "net.onnx")
    model = OpenVinoModel(path, threads=1, precision="f32")
    assert not model.gives_logits
    scores = np.random.default_rng(0).normal(size=(1, 2, 7)).astype(np.float32)
    np.testing.assert_allclose(model.run({"x": scores})["y"].sum(axis=2), 1, rtol=1e-6)


def test_a_wrong_shape_is_told(tmp_path: Path) -> None:
    classifier = Classifier(open_model(softmax(tmp_path / "net.onnx"), backend="openvino", threads=1, logits=True))
    with pytest.raises(InvalidArgumentError, match="the network takes float32"):
        classifier.run(np.zeros((2, 3, 8), np.float32))
