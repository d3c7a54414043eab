"""Engines at work, on a machine with a GPU: not run where there is none, so nothing here is known to pass before."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from vista_fast.errors import InvalidArgumentError, ResourceExhaustedError
from vista_fast.models import find_backend
from vista_fast.models.backend import EngineCache, Precision, Profile, TensorRtModel, run_single
from vista_fast.models.backend.tensorrt.library import is_installed, load_library
from vista_fast.models.backend.tensorrt.target import offered_targets, present_gpu
from vista_fast.models.ocr.weights import detection_weights

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU"),
]

PROFILES = (
    Profile.of({"x": ((1, 3, 32, 32), (4, 3, 64, 96), (8, 3, 128, 128))}),
    Profile.of({"x": ((1, 3, 32, 160), (4, 3, 64, 192), (16, 3, 1024, 1024))}),
)


@pytest.fixture(scope="session", params=["tensorrt", "tensorrt_rtx"])
def library(request: pytest.FixtureRequest) -> str:
    if not is_installed(request.param):
        pytest.skip(f"{request.param} is not installed")
    offered = offered_targets(load_library(request.param))
    if offered is not None and present_gpu(request.param) not in offered:
        pytest.skip(f"{request.param} does not run on {present_gpu(request.param)}")
    return request.param


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> EngineCache:
    return EngineCache(tmp_path_factory.mktemp("engines"))


@pytest.fixture
def model(library: str, cache: EngineCache) -> TensorRtModel:
    return opened(library, cache)


def opened(library: str, cache: EngineCache, precision: Precision = "f32") -> TensorRtModel:
    return TensorRtModel(detection_weights(), precision=precision, profiles=PROFILES, library=library, cache=cache)


def batch(count: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((count, 3, height, width), np.float32)


@pytest.fixture(scope="session")
def wanted() -> Iterator[object]:
    """What the CPU gives."""
    reference = find_backend("onnxruntime")(detection_weights(), threads=4, precision="f32")
    return lambda given: run_single(reference, given)


@pytest.mark.parametrize(("precision", "tolerance"), [("f32", 1e-4), ("f16", 5e-3), ("bf16", 5e-2)])
def test_outputs_are_those_of_the_cpu(
    library: str, cache: EngineCache, wanted: object, precision: Precision, tolerance: float
) -> None:
    model = opened(library, cache, precision)
    for shape in ((1, 64, 64), (8, 128, 96), (2, 64, 256)):
        np.testing.assert_allclose(run_single(model, batch(*shape)), wanted(batch(*shape)), atol=tolerance)


def test_graphs_and_growing_buffers_change_nothing(model: TensorRtModel, wanted: object) -> None:
    """Each shape runs by itself, is captured, replayed, and met again after buffers have moved."""
    shapes = [(1, 64, 64), (1, 64, 64), (1, 64, 64), (2, 64, 64), (1, 64, 64), (8, 128, 128), (1, 64, 64), (2, 64, 256)]
    for seed, shape in enumerate(shapes * 2):
        given = batch(*shape, seed=seed)
        np.testing.assert_allclose(run_single(model, given), wanted(given), atol=1e-4)


def test_threads_share_an_engine(model: TensorRtModel, wanted: object) -> None:
    given = [batch(1 + seed % 3, 64, 64 + 32 * (seed % 2), seed) for seed in range(24)]
    with ThreadPoolExecutor(4) as pool:
        for result, array in zip(pool.map(lambda array: run_single(model, array), given), given, strict=True):
            np.testing.assert_allclose(result, wanted(array), atol=1e-4)


def test_tensors_on_the_device_stay_there(model: TensorRtModel, wanted: object) -> None:
    given = batch(2, 64, 64)
    (name,) = (spec.name for spec in model.outputs)
    results = [model.run_on_device({"x": torch.from_numpy(given).cuda()})[name] for _ in range(4)]
    assert all(result.is_cuda for result in results)
    assert torch.from_dlpack(results[0]).data_ptr() == results[0].data_ptr()
    for result in results:
        np.testing.assert_allclose(result.cpu().numpy(), wanted(given), atol=1e-4)
    with pytest.raises(InvalidArgumentError, match="input x is on cpu"):
        model.run_on_device({"x": torch.from_numpy(given)})


def test_shapes_outside_all_profiles_are_refused(model: TensorRtModel) -> None:
    with pytest.raises(InvalidArgumentError, match=r"not built for x \[17, 3, 64, 64\]"):
        run_single(model, batch(17, 64, 64))


def test_too_little_memory_halves_the_batch_and_then_is_a_typed_error(
    model: TensorRtModel, library: str, cache: EngineCache, wanted: object
) -> None:
    given = batch(16, 512, 512)
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    run_single(model, given[:1])
    need = torch.cuda.max_memory_reserved()
    total = torch.cuda.get_device_properties(0).total_memory
    try:
        torch.cuda.empty_cache()
        torch.cuda.set_per_process_memory_fraction(min(1.0, 3 * need / total))
        np.testing.assert_allclose(run_single(model, given), wanted(given), atol=1e-4)
        torch.cuda.empty_cache()
        torch.cuda.set_per_process_memory_fraction(need / total / 8)
        with pytest.raises(ResourceExhaustedError, match="can't be split further"):
            run_single(opened(library, cache), batch(1, 1024, 1024))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    np.testing.assert_allclose(run_single(model, given[:2]), wanted(given[:2]), atol=1e-4)


def test_an_engine_that_the_library_refuses_is_built_anew(library: str, cache: EngineCache, tmp_path: Path) -> None:
    own = EngineCache(tmp_path)
    model = opened(library, own)
    (path,) = tmp_path.glob("*.engine")
    good = path.read_bytes()
    from vista_fast.models.backend.tensorrt.compile import recipe

    made = recipe(detection_weights(), PROFILES, "f32", library, None, own)
    path.unlink()
    own.get(made.key, lambda: b"not an engine")
    again = opened(library, own)
    assert len(path.read_bytes()) > len(good) // 2
    given = batch(1, 64, 64)
    np.testing.assert_allclose(run_single(again, given), run_single(model, given), atol=1e-4)
