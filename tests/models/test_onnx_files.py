"""ONNX files that share tensors: what they compute, what lies on disk, and who may write at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from vista_fast.models.backend import find_backend, run_single
from vista_fast.models.onnx_files import share_tensors

WEIGHTS = np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32)


def saved(path: Path, name: str) -> Path:
    """A product with WEIGHTS, whatever they are called, and a shift that is too small to share."""
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", name], ["product"]), helper.make_node("Add", ["product", "shift"], ["y"])],
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 64])],
        [numpy_helper.from_array(WEIGHTS, name), numpy_helper.from_array(np.ones(64, np.float32), "shift")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    return path


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
def test_the_networks_compute_the_same_and_hold_equal_tensors_once(backend: str, tmp_path: Path) -> None:
    paths = [saved(tmp_path / f"{name}.onnx", name) for name in ("one", "other")]
    for path in paths:
        share_tensors(path)
        assert path.stat().st_size < WEIGHTS.nbytes / 4
    (stored,) = (tmp_path / "tensors").iterdir()
    assert stored.read_bytes() == WEIGHTS.tobytes()
    batch = np.random.default_rng(1).normal(size=(3, 64)).astype(np.float32)
    for path in paths:
        model = find_backend(backend)(path, threads=1, precision="f32")
        np.testing.assert_allclose(run_single(model, batch), batch @ WEIGHTS + 1, atol=1e-4)


def test_a_tensor_that_was_cut_short_is_written_again(tmp_path: Path) -> None:
    share_tensors(saved(tmp_path / "one.onnx", "one"))
    (stored,) = (tmp_path / "tensors").iterdir()
    stored.write_bytes(b"short")
    share_tensors(saved(tmp_path / "other.onnx", "other"))
    assert stored.read_bytes() == WEIGHTS.tobytes()


def test_several_may_store_the_same_tensor_at_once(tmp_path: Path) -> None:
    paths = [saved(tmp_path / f"{index}.onnx", f"w{index}") for index in range(24)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(share_tensors, paths))
    (stored,) = (tmp_path / "tensors").iterdir()
    assert stored.read_bytes() == WEIGHTS.tobytes()
