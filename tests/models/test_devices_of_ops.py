"""The device that a config asks for: what can't be is refused, what can be reaches networks and versions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_grounding_dino import save_small_model

import vista_fast as vf
from vista_fast.errors import AbortedError, InvalidArgumentError, MissingExtraError, ResourceExhaustedError
from vista_fast.models import open_model
from vista_fast.models.backend import check_backend, chosen_backend, registry
from vista_fast.models.backend.halving import run_halving
from vista_fast.models.backend.model import TensorSpec
from vista_fast.models.backend.onnxruntime import OnnxRuntimeModel
from vista_fast.models.backend.tensorrt import target as tensorrt_target
from vista_fast.models.documents import DocumentConfig, LayoutModel, TableModel
from vista_fast.models.documents import ops as documents
from vista_fast.models.grounding import CocoDetector, GroundingConfig, GroundingDino, register_grounding
from vista_fast.models.grounding import ops as grounding
from vista_fast.models.grounding.coco import GRAPH, WEIGHT
from vista_fast.models.grounding.dino import Query
from vista_fast.models.grounding.eager import SIGNATURE, eager_network
from vista_fast.models.ocr import OcrConfig, OcrModel
from vista_fast.models.ocr import ops as ocr
from vista_fast.models.ocr.weights import detection_weights
from vista_fast.models.segmentation import SegmentationConfig
from vista_fast.models.segmentation import ops as segmentation
from vista_fast.models.segmentation.model import SegmentationModel, encoder_weights
from vista_fast.models.segmentation.plain import plain_encoder
from vista_fast.models.weights import fetch_weight

CONFIGS = [OcrConfig, GroundingConfig, SegmentationConfig, DocumentConfig]
FLOAT = np.dtype(np.float32)
WEIGHTS = (GRAPH, WEIGHT, "sam2-hiera-tiny-encoder", "sam2-hiera-tiny-decoder", "pp-layout-cdla", "slanet-1m")

needs_no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="the errors of a machine without a GPU")


@pytest.fixture
def engine() -> Any:
    with vf.Engine(threads=1) as made:
        yield made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_small_model(tmp_path_factory.mktemp("grounding") / "grounding-dino-small")


@pytest.fixture
def on_cuda(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """As if there were a GPU, whose networks run on the CPU; the file and device of each that is opened."""
    opened: list[tuple[str, str]] = []

    def load(path: Path, *, threads: int, precision: Any, device: str) -> OnnxRuntimeModel:
        opened.append((path.name, device))
        return OnnxRuntimeModel(path, threads=threads, precision=precision)

    monkeypatch.setitem(registry._BACKENDS, "onnxruntime", load)
    monkeypatch.setattr(registry, "check_provider", lambda *_: None)
    monkeypatch.setattr(registry, "_sees_gpu", lambda: True)
    return opened


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"backend": "openvino", "device": "cuda"}, r"'openvino' does not run on device 'cuda'; choose .*tensorrt"),
        ({"backend": "tensorrt", "device": "cpu"}, r"'tensorrt' does not run on device 'cpu'; choose .*or 'cuda'"),
        ({"device": "cuda:1"}, r"device must be None, 'cpu' or 'cuda', got 'cuda:1'; of several GPUs .*current"),
        ({"backend": "caffe"}, r"backend must be None or one of openvino, .*got 'caffe'"),
    ],
)
def test_what_can_not_be_is_refused(config: Callable[..., Any], chosen: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        config(**chosen)


@pytest.mark.parametrize("config", CONFIGS)
def test_no_device_takes_what_the_backend_runs_on_first(config: Callable[..., Any]) -> None:
    library = "onnxruntime" if config is SegmentationConfig else "openvino"
    assert (config().device, config().library, config().runs_on) == (None, library, "cpu")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VISTA_FAST_BACKEND", "openvino")
        assert config().library == "openvino"
    assert config(backend="onnxruntime").runs_on == config(backend="onnxruntime", device="cpu").runs_on == "cpu"
    assert config(backend="onnxruntime", device="cuda").runs_on == config(backend="tensorrt").runs_on == "cuda"
    assert config(device="cpu") != config()


@pytest.mark.parametrize(
    ("installed", "able", "name"),
    [
        (("openvino", "tensorrt", "onnxruntime"), ("tensorrt", "onnxruntime"), "tensorrt"),
        (("openvino", "tensorrt", "tensorrt_rtx", "onnxruntime"), ("tensorrt_rtx", "onnxruntime"), "tensorrt_rtx"),
        (("openvino", "tensorrt", "onnxruntime"), ("onnxruntime",), "onnxruntime"),
        (("openvino",), (), "onnxruntime"),
    ],
)
def test_on_a_gpu_the_fastest_that_runs_there_is_taken(
    installed: tuple[str, ...], able: tuple[str, ...], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "is_installed", lambda each: each in installed)
    monkeypatch.setattr(registry, "has_gpu", lambda: True)
    monkeypatch.setattr(registry, "_runs_on_this_gpu", lambda each: each in able or each not in registry.MODULES)
    assert [config(device="cuda").library for config in CONFIGS] == [name] * 4
    assert chosen_backend("cpu") == "openvino"


@pytest.mark.parametrize(
    ("target", "name"), [("sm75", "onnxruntime"), ("sm86", "tensorrt_rtx"), ("sm90", "onnxruntime")]
)
def test_tensorrt_rtx_is_taken_on_a_gpu_where_it_runs_in_f32(
    monkeypatch: pytest.MonkeyPatch, target: str, name: str
) -> None:
    monkeypatch.setattr(registry, "has_gpu", lambda: True)
    monkeypatch.setattr(tensorrt_target, "present_gpu", lambda _: target)
    assert chosen_backend("cuda") == name


def test_a_setting_of_another_device_is_refused_where_ops_are_made(
    engine: vf.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISTA_FAST_BACKEND", "openvino")
    with pytest.raises(InvalidArgumentError, match=r"'openvino' does not run on device 'cuda'.* VISTA_FAST_BACKEND"):
        ocr.register_ocr(engine, OcrConfig(device="cuda"))
    monkeypatch.setenv("VISTA_FAST_BACKEND", "caffe")
    with pytest.raises(InvalidArgumentError, match="unknown backend 'caffe'"):
        ocr.register_ocr(engine, OcrConfig(device="cuda"))


@needs_no_gpu
def test_ops_are_not_made_for_a_device_that_is_not_here(engine: vf.Engine, folder: Path) -> None:
    fetch_weight("sam2-hiera-tiny-encoder")
    fetch_weight("sam2-hiera-tiny-decoder")
    for register, config in (
        (ocr.register_ocr, OcrConfig),
        (segmentation.register_segmentation, SegmentationConfig),
        (documents.register_documents, DocumentConfig),
    ):
        for chosen in ({}, {"backend": "onnxruntime"}):
            with pytest.raises(InvalidArgumentError, match="this onnxruntime does not run on 'cuda'; put its build"):
                register(engine, config(device="cuda", **chosen))
    for model in (folder, "coco"):
        with pytest.raises(InvalidArgumentError, match="this onnxruntime does not run on 'cuda'"):
            register_grounding(engine, GroundingConfig(model=model, device="cuda"))
    with pytest.raises(InvalidArgumentError, match="torch has no device 'cuda' here"):
        register_grounding(engine, GroundingConfig(model=folder, backend="torch", device="cuda"))


REGISTER = [
    (ocr.register_ocr, OcrConfig),
    (segmentation.register_segmentation, SegmentationConfig),
    (documents.register_documents, DocumentConfig),
    (register_grounding, partial(GroundingConfig, model="coco")),
]


@needs_no_gpu
@pytest.mark.parametrize(("register", "config"), REGISTER)
def test_a_library_of_gpus_is_refused_where_there_is_none_when_the_ops_are_made(
    engine: vf.Engine, monkeypatch: pytest.MonkeyPatch, register: Callable[..., Any], config: Callable[..., Any]
) -> None:
    with pytest.raises(InvalidArgumentError, match="'tensorrt_rtx' runs on a GPU, and torch sees none here"):
        register(engine, config(backend="tensorrt_rtx"))
    monkeypatch.setenv("VISTA_FAST_BACKEND", "tensorrt_rtx")
    with pytest.raises(InvalidArgumentError, match="'tensorrt_rtx' runs on a GPU, and torch sees none here"):
        register(engine, config())


@pytest.mark.parametrize(("register", "config"), REGISTER[:3])
def test_a_setting_that_does_not_open_their_files_is_refused_when_the_ops_are_made(
    engine: vf.Engine, monkeypatch: pytest.MonkeyPatch, register: Callable[..., Any], config: Callable[..., Any]
) -> None:
    monkeypatch.setenv("VISTA_FAST_BACKEND", "torch")
    with pytest.raises(InvalidArgumentError, match=r"'torch' opens files of its own only.* or in VISTA_FAST_BACKEND"):
        register(engine, config())


@pytest.mark.parametrize(("register", "config"), [REGISTER[0], REGISTER[3]])
def test_a_precision_that_the_chosen_library_lacks_is_refused_when_the_ops_are_made(
    engine: vf.Engine, monkeypatch: pytest.MonkeyPatch, register: Callable[..., Any], config: Callable[..., Any]
) -> None:
    with pytest.raises(InvalidArgumentError, match="'openvino' runs f32, bf16, mixed, got precision 'f16'"):
        register(engine, config(precision="f16"))
    monkeypatch.setenv("VISTA_FAST_BACKEND", "onnxruntime")
    with pytest.raises(InvalidArgumentError, match="'onnxruntime' runs f32, got precision 'bf16'"):
        register(engine, config(precision="bf16"))


@pytest.mark.parametrize("precision", ["f16", "bf16", "mixed"])
@pytest.mark.parametrize("backend", ["openvino", "torch", "tensorrt_rtx"])
def test_grounding_dino_runs_in_f32_only(
    engine: vf.Engine, folder: Path, monkeypatch: pytest.MonkeyPatch, precision: Any, backend: str
) -> None:
    monkeypatch.setenv("VISTA_FAST_BACKEND", backend)
    monkeypatch.setattr(grounding, "check_backend", lambda *_: None)  # as if all of them ran here
    with pytest.raises(InvalidArgumentError, match=f"Grounding DINO runs in f32 only.* got precision '{precision}'"):
        register_grounding(engine, GroundingConfig(model=folder, precision=precision))
    assert "runs in f32 only" in str(grounding.why_not_here(GroundingConfig(model=folder, precision=precision)))


@pytest.mark.parametrize(
    "config",
    [
        partial(OcrConfig, precision=""),
        partial(OcrConfig, precision="fp32"),
        partial(OcrConfig, detector_precision="fp32"),
        partial(GroundingConfig, precision="fp32"),
    ],
)
def test_a_precision_that_there_is_not_makes_no_config(config: Callable[[], object]) -> None:
    with pytest.raises(InvalidArgumentError, match=r"precision must be one of f32, f16, bf16, mixed, got '(fp32)?'"):
        config()


@needs_no_gpu
def test_a_library_for_gpus_without_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "check_provider", lambda *_: None)
    with pytest.raises(InvalidArgumentError, match="this process may use no NVIDIA GPU; choose device 'cpu'"):
        check_backend("onnxruntime", "cuda")
    with pytest.raises((InvalidArgumentError, MissingExtraError), match="tensorrt_rtx"):
        check_backend("tensorrt_rtx", "cuda")
    check_backend("onnxruntime", "cpu")


def versions(engine: vf.Engine, monkeypatch: pytest.MonkeyPatch, register: Callable[..., Any], config: Any) -> Any:
    """The version of each Op that is registered, by its name."""
    made: dict[str, str] = {}
    monkeypatch.setattr(engine, "register", lambda op: made.update({op.name: op.version}))
    register(engine, config)
    return made


def test_versions_tell_devices_apart(engine: vf.Engine, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in WEIGHTS:
        fetch_weight(name)
    monkeypatch.setattr(ocr, "check_installed", lambda config: None)
    for module in (documents, grounding, segmentation):
        monkeypatch.setattr(module, "check_backend", lambda *_, **__: None)
    for register, config in (
        (ocr._register, OcrConfig),
        (segmentation._register, SegmentationConfig),
        (documents._register, DocumentConfig),
        (grounding._register, lambda **chosen: GroundingConfig(model=folder, **chosen)),
        (grounding._register, lambda **chosen: GroundingConfig(model="coco", **chosen)),
    ):
        found = {
            device: versions(engine, monkeypatch, register, config(backend="onnxruntime", device=device))
            for device in (None, "cpu", "cuda")
        }
        assert found[None] == found["cpu"]
        for name, version in found["cuda"].items():
            assert name == "segment.render" or version != found["cpu"][name]
            assert name == "segment.render" or "/cuda" in version
    tensorrt = versions(engine, monkeypatch, segmentation._register, SegmentationConfig(backend="tensorrt"))
    assert tensorrt["segment.encode"] == "sam2-hiera-tiny/onnxruntime/cpu/f32", "its file is read on the CPU by default"
    assert tensorrt["segment.decode"] == "sam2-hiera-tiny/onnxruntime/cpu/tensorrt/cuda/f32"


def test_networks_are_opened_on_the_device(
    on_cuda: list[tuple[str, str]], pages: list[np.ndarray], folder: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    for name in WEIGHTS:
        fetch_weight(name)
    OcrModel(OcrConfig(backend="onnxruntime", device="cuda", limit_side_len=320), threads=1)
    LayoutModel(DocumentConfig(backend="onnxruntime", device="cuda"), threads=1)
    TableModel(DocumentConfig(device="cuda"), threads=1)
    for backend in ("onnxruntime", "torch"):
        CocoDetector(GroundingConfig(backend=backend, device="cuda"), threads=1)
    assert [device for _, device in on_cuda] == ["cuda"] * 6
    on_cuda.clear()
    monkeypatch.setenv("VISTA_FAST_WEIGHTS", str(tmp_path))
    model = GroundingDino(folder, GroundingConfig(backend="onnxruntime", device="cuda"), threads=1)
    model.detect([Query(pages[0], "a dog.")])
    assert [device for _, device in on_cuda] == ["cuda"]


def test_the_encoder_of_images_is_written_anew_for_a_gpu(
    on_cuda: list[tuple[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("sam2-hiera-tiny-encoder", "sam2-hiera-tiny-decoder"):
        fetch_weight(name)
    monkeypatch.setattr("vista_fast.models.segmentation.plain.exports_folder", lambda: tmp_path)
    model = SegmentationModel(SegmentationConfig(backend="onnxruntime", device="cuda"))
    plain = plain_encoder(encoder_weights())
    assert list(tmp_path.iterdir()) == [plain]
    assert [device for _, device in on_cuda] == ["cuda", "cuda"]
    assert on_cuda[0][0] == plain.name
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    wanted = SegmentationModel(SegmentationConfig(backend="onnxruntime")).encode(image)
    for name, array in model.encode(image).items():
        np.testing.assert_allclose(array, wanted[name], atol=1e-4)


class OutOfMemory:
    """A session of ONNX Runtime that has room for ``most`` items."""

    def __init__(self, session: Any, most: int) -> None:
        self._session, self.most = session, most
        self.ran: list[int] = []

    def run(self, names: None, feed: dict[str, np.ndarray]) -> Any:
        self.ran.append(len(feed["x"]))
        if len(feed["x"]) > self.most:
            raise RuntimeError(
                "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Non-zero status code returned while running Conv node. "
                "bfc_arena.cc:376 void* onnxruntime::BFCArena::AllocateRawInternal(size_t, bool, Stream*) Failed to "
                "allocate memory for requested buffer of size 805306368"
            )
        return self._session.run(names, feed)


def network(most: int, device: str) -> tuple[OnnxRuntimeModel, OutOfMemory]:
    model = OnnxRuntimeModel(detection_weights(), threads=1, precision="f32")
    session = model._session = OutOfMemory(model._session, most)
    model._device = device
    return model, session


def test_onnxruntime_halves_what_does_not_fit_a_gpu() -> None:
    given = np.random.default_rng(0).random((5, 3, 32, 32), np.float32)
    wanted = open_model(detection_weights(), backend="onnxruntime", threads=1).run({"x": given})
    model, session = network(2, "cuda")
    for name, array in model.run({"x": given}).items():
        np.testing.assert_allclose(array, wanted[name], atol=1e-6)
    assert session.ran == [5, 2, 3, 1, 2]
    model, session = network(0, "cuda")
    with pytest.raises(ResourceExhaustedError, match=r"ran out of memory on x \[1, 3, 32, 32\].*BFCArena"):
        model.run({"x": given})
    model, session = network(2, "cpu")
    with pytest.raises(RuntimeError, match="BFCArena"):
        model.run({"x": given})
    assert session.ran == [5], "a CPU's run is the session's"


def test_other_failures_of_onnxruntime_pass_through(monkeypatch: pytest.MonkeyPatch) -> None:
    model, session = network(9, "cuda")

    def fails(*_: Any) -> None:
        raise RuntimeError("Invalid Feed Input Name")

    monkeypatch.setattr(session, "run", fails)
    with pytest.raises(RuntimeError, match="Invalid Feed"):
        model.run({"x": np.zeros((4, 3, 32, 32), np.float32)})


def test_halves_that_do_not_fit_together_are_a_typed_error() -> None:
    """A table's network takes as many steps as its longest table."""

    def run(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        if len(batch["x"]) > 1:
            raise MemoryError("too many")
        return {"y": np.zeros((1, int(batch["x"][0])), np.float32)}

    specs = [TensorSpec("x", (None,), FLOAT)], [TensorSpec("y", (None, None), FLOAT)]
    same = run_halving(run, {"x": np.array([2, 2], np.float32)}, *specs, lambda error: True)
    assert same["y"].shape == (2, 2)
    with pytest.raises(ResourceExhaustedError, match=r"y of its halves differ in shape: too many"):
        run_halving(run, {"x": np.array([2, 3], np.float32)}, *specs, lambda error: True)


def test_grounding_in_torch_halves_what_does_not_fit(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = eager_network(folder)
    random = np.random.default_rng(0)
    ids = np.tile(np.array([101, 200, 1012, 102] + [0] * 12), (3, 1))
    batch = {
        "pixels": random.random((3, 3, 128, 192), np.float32),
        "covered": np.tile(np.array([128, 192]), (3, 1)),
        "input_ids": ids,
        "attention_mask": (ids > 0).astype(np.int64),
        "phrases": np.zeros_like(ids),
        "positions": np.zeros_like(ids),
    }
    assert set(batch) == {spec.name for spec in SIGNATURE.inputs}
    wanted = network.run(batch)
    inner, ran = network._module, []

    def forward(pixels: torch.Tensor, *others: torch.Tensor) -> Any:
        ran.append(len(pixels))
        if len(pixels) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return inner(pixels, *others)

    monkeypatch.setattr(network, "_module", forward)
    found = network.run(batch)
    assert ran == [3, 1, 2, 1, 1]
    for name, array in found.items():
        assert array.dtype == np.float32
        np.testing.assert_allclose(array, wanted[name], atol=1e-3)

    def fails(*_: torch.Tensor) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(network, "_module", fails)
    with pytest.raises(ResourceExhaustedError, match=r"on pixels \[1, 3, 128, 192\], .*can't be split further"):
        network.run(batch)


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (
            ResourceExhaustedError("a network ran out of memory on x [1, 3, 960, 960]"),
            "too little free memory for a call",
        ),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), "failed on the GPU .RuntimeError: CUDA"),
    ],
)
def test_a_gpu_that_fails_aborts_its_calls(
    engine: vf.Engine, on_cuda: list[tuple[str, str]], failure: Exception, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> Any:
        raise failure

    toolbox = vf.Toolbox.default(engine, ocr=OcrConfig(backend="onnxruntime", device="cuda", limit_side_len=320))
    monkeypatch.setattr(OcrModel, "detect", fails)
    with pytest.raises(AbortedError, match=told):
        engine.call("ocr.detect", np.zeros((64, 64, 3), np.uint8))
    image = engine.image(np.full((64, 80, 3), 200, np.uint8))
    with pytest.raises(AbortedError, match=told):
        asyncio.run(toolbox.call(vf.ToolCall("ocr"), images=[image]))


def test_a_cpu_tells_what_failed(engine: vf.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> Any:
        raise ResourceExhaustedError("a network ran out of memory")

    ocr.register_ocr(engine, OcrConfig(backend="onnxruntime", limit_side_len=320))
    monkeypatch.setattr(OcrModel, "detect", fails)
    with pytest.raises(ResourceExhaustedError, match="ran out of memory"):
        engine.call("ocr.detect", np.zeros((64, 64, 3), np.uint8))
