"""Networks and Ops with device "cuda" beside the same on the CPU, on a machine with a GPU: not run where there is none.

It runs without the conftest files, and leaves out what needs a library, weights or a compiled core that is not here.
"""

from __future__ import annotations

import gc
import importlib.util
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import vista_fast.models.backend.onnxruntime as onnxruntime_backend
from vista_fast.errors import MissingExtraError, NotFoundError, ResourceExhaustedError, VistaError
from vista_fast.models.backend import (
    Signature,
    TensorSpec,
    TorchModel,
    check_backend,
    open_model,
    run_single,
    save_torch,
)
from vista_fast.models.backend.onnxruntime import OnnxRuntimeModel
from vista_fast.models.ocr.weights import detection_weights, recognition_weights

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU"),
]

FLOAT = np.dtype(np.float32)
SIGNATURE = Signature(
    (TensorSpec("x", (None, 3, None, None), FLOAT), TensorSpec("shift", (None,), FLOAT)),
    (TensorSpec("y", (None, 8, None, None), FLOAT), TensorSpec("mean", (None,), FLOAT)),
    {"character": "a\nb"},
)
WIDE = Signature((TensorSpec("x", (None, 3, None, None), FLOAT),), (TensorSpec("y", (None,), FLOAT),), {})


class Small(torch.nn.Module):
    """Two convolutions; two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Conv2d(3, 16, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(16, 8, 3, padding=1)
        )

    def forward(self, x: torch.Tensor, shift: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y = self.layers(x) + shift[:, None, None, None]
        return y, x.mean(dim=(1, 2, 3)) + shift


class Wide(torch.nn.Module):
    """Takes 64 MiB and more for an item of 512 x 512 pixels, and gives one number."""

    def __init__(self) -> None:
        super().__init__()
        self.product = torch.nn.Conv2d(3, 64, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.product(x).relu().mean(dim=(1, 2, 3))


@pytest.fixture(autouse=True)
def f32_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch's own setting, by which convolutions of f32 are in TF32 else."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


def small() -> Small:
    torch.manual_seed(0)
    return Small().eval()


def batch(count: int, height: int = 24, width: int = 32) -> dict[str, np.ndarray]:
    random = np.random.default_rng(count)
    return {"x": random.random((count, 3, height, width), np.float32), "shift": random.random(count, np.float32)}


def on_the_cpu(given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return TorchModel.of_module(small(), SIGNATURE).run(given)


def assert_same(found: dict[str, np.ndarray], wanted: dict[str, np.ndarray], tolerance: float) -> None:
    assert found.keys() == wanted.keys()
    for name, array in found.items():
        assert (array.dtype, array.shape) == (np.float32, wanted[name].shape)
        np.testing.assert_allclose(array, wanted[name], atol=tolerance, err_msg=name)


@pytest.mark.parametrize(("precision", "tolerance"), [("f32", 1e-4), ("f16", 5e-3), ("bf16", 5e-2)])
def test_a_module_gives_what_it_gives_on_the_cpu(precision: Any, tolerance: float) -> None:
    model = TorchModel.of_module(small(), SIGNATURE, precision=precision, device="cuda")
    for count, height in ((1, 24), (5, 40)):
        assert_same(model.run(batch(count, height)), on_the_cpu(batch(count, height)), tolerance)


def test_threads_share_a_module() -> None:
    model = TorchModel.of_module(small(), SIGNATURE, device="cuda")
    given = [batch(count) for count in range(1, 9)] * 3
    with ThreadPoolExecutor(4) as pool:
        for found, each in zip(pool.map(model.run, given), given, strict=True):
            assert_same(found, on_the_cpu(each), 1e-4)


def test_a_compiled_module_gives_the_same() -> None:
    pytest.importorskip("triton", reason="the inductor writes its kernels with Triton")
    model = TorchModel.of_module(small(), SIGNATURE, device="cuda", compiler="inductor")
    for count, height in ((2, 24), (5, 40), (2, 24)):
        assert_same(model.run(batch(count, height)), on_the_cpu(batch(count, height)), 1e-4)


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
@pytest.mark.parametrize("suffix", [".pt2", ".pt"])
def test_a_file_is_opened_on_the_gpu(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"small{suffix}"
    example = tuple(map(torch.from_numpy, batch(2).values()))
    save_torch(torch.jit.trace(small(), example) if suffix == ".pt" else small(), path, SIGNATURE, batch(2))
    model = open_model(path, device="cuda")
    assert model.metadata["character"] == "a\nb"
    for count, height in ((2, 24), (5, 40)):
        assert_same(model.run(batch(count, height)), on_the_cpu(batch(count, height)), 1e-4)


@pytest.fixture
def memory_for() -> Iterator[Callable[[float], None]]:
    """Sets how many bytes torch may hold on the GPU."""
    total = torch.cuda.get_device_properties(0).total_memory

    def allow(count: float) -> None:
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.set_per_process_memory_fraction(min(1.0, count / total))

    yield allow
    torch.cuda.set_per_process_memory_fraction(1.0)


def test_too_little_memory_halves_the_batch_and_then_is_a_typed_error(memory_for: Callable[[float], None]) -> None:
    torch.manual_seed(0)
    module = Wide()
    given = np.random.default_rng(0).random((64, 3, 512, 512), np.float32)
    reference = TorchModel.of_module(module, WIDE)
    wanted = np.concatenate([run_single(reference, given[first : first + 8]) for first in range(0, 64, 8)])
    model = TorchModel.of_module(module, WIDE, device="cuda")
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    run_single(model, given[:1])
    need = torch.cuda.max_memory_reserved()
    tried: list[int] = []
    hook = module.register_forward_pre_hook(lambda _, inputs: tried.append(len(inputs[0])))
    memory_for(3 * need)
    np.testing.assert_allclose(run_single(model, given), wanted, rtol=1e-3)
    assert tried[0] == 64
    assert len(tried) > 2
    hook.remove()
    memory_for(need / 8)
    with pytest.raises(ResourceExhaustedError, match="can't be split further"):
        run_single(model, given[:2])
    memory_for(float("inf"))
    np.testing.assert_allclose(run_single(model, given[:2]), wanted[:2], rtol=1e-3)


@pytest.fixture
def with_cuda_provider() -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime is built for the CPU; onnxruntime-gpu runs on CUDA")


def weights(find: Callable[[], Path]) -> Path:
    try:
        return find()
    except (MissingExtraError, NotFoundError) as error:
        pytest.skip(str(error))


@pytest.mark.usefixtures("with_cuda_provider")
@pytest.mark.parametrize(
    ("find", "shapes"),
    [
        (detection_weights, [(1, 3, 320, 256), (3, 3, 192, 320)]),
        (recognition_weights, [(1, 3, 48, 320), (4, 3, 48, 448)]),
    ],
)
def test_onnxruntime_gives_what_it_gives_on_the_cpu(
    find: Callable[[], Path], shapes: list[tuple[int, int, int, int]]
) -> None:
    path = weights(find)
    on_gpu = open_model(path, backend="onnxruntime", device="cuda")
    on_cpu = open_model(path, backend="onnxruntime", device="cpu")
    for seed, shape in enumerate(shapes):
        given = np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)
        np.testing.assert_allclose(run_single(on_gpu, given), run_single(on_cpu, given), atol=1e-3)


@pytest.fixture
def within_256_mib(with_cuda_provider: None, monkeypatch: pytest.MonkeyPatch) -> OnnxRuntimeModel:
    """The network of detection, whose session may take so much of the GPU's memory."""
    name, chosen = onnxruntime_backend._provider("cuda")
    limited = (name, {**chosen, "gpu_mem_limit": 256 << 20})  # type: ignore[dict-item]
    monkeypatch.setattr(onnxruntime_backend, "_provider", lambda device: limited)
    return OnnxRuntimeModel(weights(detection_weights), threads=1, precision="f32", device="cuda")


def test_onnxruntime_runs_a_batch_that_does_not_fit_in_halves(
    within_256_mib: OnnxRuntimeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, tried = within_256_mib, []
    run = model._run
    monkeypatch.setattr(model, "_run", lambda feed: tried.append(len(feed["x"])) or run(feed))
    # An item's pixels take 3 MiB, and its first features 4 or more.
    given = np.random.default_rng(0).uniform(-1, 1, (64, 3, 512, 512)).astype(np.float32)
    found = run_single(model, given)
    assert tried[0] == 64
    assert min(tried) < 64
    wanted = open_model(detection_weights(), backend="onnxruntime", device="cpu")
    for first in (0, 31, 63):
        part = given[first : first + 1]
        np.testing.assert_allclose(found[first : first + 1], run_single(wanted, part), atol=1e-3)


def test_onnxruntime_without_memory_is_a_typed_error(within_256_mib: OnnxRuntimeModel) -> None:
    model = within_256_mib
    # An item's pixels take 192 MiB.
    with pytest.raises(ResourceExhaustedError, match=r"on x \[1, 3, 4096, 4096\], which can't be split further"):
        run_single(model, np.zeros((2, 3, 4096, 4096), np.float32))


def runs_here(backend: str) -> None:
    try:
        check_backend(backend, "cuda")
    except VistaError as error:
        pytest.skip(str(error))


def drawn_page() -> np.ndarray:
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("RGB", (640, 360), "white")
    draw = ImageDraw.Draw(image)
    for row, text in enumerate(("Total amount due 42.50", "City of March 7310", "Invoice number 4471")):
        draw.text((40, 40 + 100 * row), text, font=ImageFont.load_default(32), fill="black")
    return np.asarray(image)


@pytest.mark.usefixtures("with_cuda_provider")
def test_ocr_reads_what_it_reads_on_the_cpu() -> None:
    for module in ("vista_fast._core", "PIL", "cv2", "pyclipper"):
        pytest.importorskip(module)
    weights(detection_weights)
    weights(recognition_weights)
    import vista_fast as vf
    from vista_fast.models.ocr import OcrConfig
    from vista_fast.models.ocr.ops import register_ocr

    def read(device: Any) -> tuple[np.ndarray, list[str]]:
        with vf.Engine(threads=2) as engine:
            register_ocr(engine, OcrConfig(backend="onnxruntime", device=device))
            image = engine.image(drawn_page())
            quads = engine.call("ocr.detect", image)["quads"]
            calls = [{"image": image, "quad": tuple(quad.ravel().tolist())} for quad in quads]
            return quads, [line["text"] for line in engine.submit_many("ocr.recognize", calls).result()]

    (quads, texts), (wanted, wanted_texts) = read("cuda"), read("cpu")
    assert len(wanted_texts) >= 3
    assert texts == wanted_texts
    np.testing.assert_allclose(quads, wanted, atol=1)


def save_small_model(folder: Path) -> Path:
    """The one of small_grounding_dino.py, which is on no path of imports without the conftest files."""
    spec = importlib.util.spec_from_file_location(
        "small_grounding_dino", Path(__file__).resolve().parents[1] / "small_grounding_dino.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    saved: Path = module.save_small_model(folder)
    return saved


@pytest.mark.parametrize("backend", ["torch", "onnxruntime", "tensorrt", "tensorrt_rtx"])
@pytest.mark.parametrize("caption", ["temple.", "a red flower. leaf."])
def test_grounding_finds_what_it_finds_on_the_cpu(
    caption: str, backend: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("vista_fast._core", "transformers", *(() if backend == "torch" else ("onnx",))):
        pytest.importorskip(module)
    runs_here(backend)
    monkeypatch.setenv("VISTA_FAST_WEIGHTS", str(tmp_path / "weights"))
    import vista_fast as vf
    from vista_fast.models.grounding import GroundingConfig, register_grounding

    folder = save_small_model(tmp_path / "grounding-dino-small")
    pixels = np.random.default_rng(0).integers(0, 256, (128, 192, 3), np.uint8)

    def found(device: Any, threshold: float) -> tuple[np.ndarray, np.ndarray]:
        with vf.Engine(threads=2) as engine:
            on = backend if device == "cuda" else "torch"
            register_grounding(engine, GroundingConfig(model=folder, backend=on, device=device))
            result = engine.call(
                "grounding.detect",
                engine.image(pixels),
                caption=caption,
                box_threshold=threshold,
                nms_threshold=1.0,
            )
        return result["boxes"] / max(pixels.shape), result["scores"]

    _, every = found("cpu", 0.0)
    # Between scores that are far apart, so that rounding moves none past it.
    middle = every[5:-5]
    widest = int(np.argmax(middle[:-1] - middle[1:]))
    threshold = float(middle[widest : widest + 2].mean())
    wanted_boxes, wanted_scores = found("cpu", threshold)
    torch.cuda.init()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    boxes, scores = found("cuda", threshold)
    if backend == "torch":
        assert torch.cuda.max_memory_allocated() > before
    else:
        assert list((tmp_path / "weights" / "exports").glob("*.onnx"))
    assert len(scores) == len(wanted_scores) >= 5
    # Of boxes that score alike either may be first.
    far = np.abs(boxes[:, None] - wanted_boxes[None]).max(axis=2) + np.abs(scores[:, None] - wanted_scores[None])
    nearest = far.argmin(axis=1)
    assert sorted(nearest) == list(range(len(wanted_scores)))
    np.testing.assert_allclose(scores, wanted_scores[nearest], atol=1e-3)
    np.testing.assert_allclose(boxes, wanted_boxes[nearest], atol=1e-3)
