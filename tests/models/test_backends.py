"""Every backend behaves alike behind the one interface."""

from __future__ import annotations

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from vista_fast.errors import InvalidArgumentError, MissingExtraError, NotFoundError
from vista_fast.models import Model, available_backends, find_backend, open_model
from vista_fast.models.backend import (
    Device,
    Precision,
    check_backend,
    check_signature,
    native_precision,
    registry,
    run_single,
)
from vista_fast.models.backend.choice import EXTRAS, RUNS_ON, choose
from vista_fast.models.backend.registry import has_gpu
from vista_fast.models.ocr.weights import detection_weights, recognition_weights

BACKENDS = ["openvino", "onnxruntime"]


@pytest.fixture(params=BACKENDS)
def model(request: pytest.FixtureRequest) -> Model:
    return find_backend(request.param)(detection_weights(), threads=1, precision="f32")


def batch(count: int, side: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random((count, 3, side, side), np.float32)


def test_shapes_are_free(model: Model) -> None:
    assert run_single(model, batch(1, 64, 0)).shape == (1, 1, 64, 64)
    assert run_single(model, batch(2, 96, 0)).shape == (2, 1, 96, 96)


def test_a_result_owns_its_memory(model: Model) -> None:
    first = run_single(model, batch(1, 64, 0))
    kept = first.copy()
    assert not np.array_equal(run_single(model, batch(1, 64, 1)), kept)
    np.testing.assert_array_equal(first, kept)


def test_threads_share_a_model(model: Model) -> None:
    inputs = [batch(1, 64, seed) for seed in range(8)]
    expected = [run_single(model, array) for array in inputs]
    with ThreadPoolExecutor(4) as pool:
        for result, wanted in zip(pool.map(lambda array: run_single(model, array), inputs), expected, strict=True):
            np.testing.assert_allclose(result, wanted, atol=1e-6)


def test_f32_means_f32() -> None:
    models = [find_backend(name)(detection_weights(), threads=1, precision="f32") for name in BACKENDS]
    one, other = (run_single(model, batch(1, 128, 0)) for model in models)
    np.testing.assert_allclose(one, other, atol=1e-4)


@pytest.mark.parametrize("name", BACKENDS)
def test_metadata_of_the_model_file(name: str) -> None:
    characters = (
        find_backend(name)(recognition_weights(), threads=1, precision="f32").metadata["character"].splitlines()
    )
    assert len(characters) == 18_708
    assert characters[:3] == ["!", '"', "#"]


def test_all_installed_backends_are_offered() -> None:
    assert available_backends() == ("openvino", "onnxruntime")


def test_an_unknown_backend_is_refused() -> None:
    with pytest.raises(
        InvalidArgumentError, match="'caffe'; choose one of onnxruntime, openvino, tensorrt, tensorrt_rtx"
    ):
        find_backend("caffe")


@pytest.mark.parametrize(("name", "extra"), EXTRAS.items())
def test_a_missing_library_names_the_extra(name: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vista_fast.models.backend.registry.find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=rf"backend '{name}' needs .*vista-fast\[{extra}\]"):
        find_backend(name)


def test_a_setting_that_names_an_absent_backend_is_a_typed_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISTA_FAST_BACKEND", "tensorrt")
    with pytest.raises(MissingExtraError, match="pip install tensorrt"):
        available_backends()
    with pytest.raises(MissingExtraError, match="pip install tensorrt"):
        open_model(detection_weights())


@pytest.mark.parametrize("name", BACKENDS)
def test_a_missing_file_is_a_typed_error(name: str, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"none\.onnx"):
        find_backend(name)(tmp_path / "none.onnx", threads=1, precision="f32")


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("content", ["nothing", "words", "a part", "changed bytes"])
def test_a_broken_file_is_a_typed_error(name: str, content: str, tmp_path: Path) -> None:
    whole = detection_weights().read_bytes()
    path = tmp_path / "broken.onnx"
    path.write_bytes(
        {
            "nothing": b"",
            "words": b"not a network",
            "a part": whole[: len(whole) // 3],
            "changed bytes": b"\xff" * 4096 + whole[4096:],
        }[content]
    )
    with pytest.raises(InvalidArgumentError, match=r"broken\.onnx can't be loaded .*; get the file again"):
        find_backend(name)(path, threads=1, precision="f32")


def test_a_model_says_what_it_takes_and_gives(model: Model) -> None:
    assert [(spec.name, spec.dtype, len(spec.shape)) for spec in model.inputs] == [("x", np.float32, 4)]
    assert model.inputs[0].shape[1] == 3
    assert len(model.outputs) == 1
    pages = (None, 3, None, None)
    check_signature(model, detection_weights(), {"x": pages}, {model.outputs[0].name: (None, None, None, None)})
    found = re.escape("has the inputs x float32 [any, 3, any, any], wanted ")
    for name, shape in (("image", pages), ("x", (None, 1, None, None)), ("x", (None, 3, 48))):
        with pytest.raises(InvalidArgumentError, match=found + re.escape(f"{name} float32 [any, ")):
            check_signature(model, detection_weights(), {name: shape}, {})


def test_what_does_not_fit_an_input_is_a_typed_error(model: Model) -> None:
    with pytest.raises(InvalidArgumentError, match="the network takes x; got y"):
        model.run({"y": batch(1, 64, 0)})
    with pytest.raises(InvalidArgumentError, match=r"input x is float64 \[1, 3, 64, 64\]; the network takes float32"):
        run_single(model, batch(1, 64, 0).astype(np.float64))
    with pytest.raises(InvalidArgumentError, match=r"input x is float32 \[1, 4, 64, 64\]"):
        run_single(model, np.zeros((1, 4, 64, 64), np.float32))


def test_a_setting_chooses_the_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    assert type(open_model(detection_weights(), threads=1)).__name__ == "OpenVinoModel"
    monkeypatch.setenv("VISTA_FAST_BACKEND", "onnxruntime")
    assert available_backends() == ("onnxruntime", "openvino")
    assert type(open_model(detection_weights(), threads=1)).__name__ == "OnnxRuntimeModel"
    assert type(open_model(detection_weights(), backend="openvino", threads=1)).__name__ == "OpenVinoModel"
    monkeypatch.setenv("VISTA_FAST_BACKEND", "caffe")
    with pytest.raises(InvalidArgumentError, match="unknown backend 'caffe'"):
        open_model(detection_weights())


ALL = tuple(RUNS_ON)


@pytest.mark.parametrize(
    ("installed", "device", "gpu", "name"),
    [
        (ALL, "cpu", True, "openvino"),
        (("onnxruntime", "tensorrt"), "cpu", True, "onnxruntime"),
        (ALL, "cuda", True, "tensorrt"),
        (("openvino", "onnxruntime", "tensorrt_rtx"), "cuda", True, "tensorrt_rtx"),
        (("openvino", "onnxruntime"), "cuda", True, "onnxruntime"),
        (ALL, "cuda", False, "onnxruntime"),
        (("openvino",), "cuda", True, "onnxruntime"),
        ((), "cpu", False, "openvino"),
    ],
)
def test_the_fastest_that_is_here_is_chosen(installed: tuple[str, ...], device: Device, gpu: bool, name: str) -> None:
    assert choose(installed, device=device, gpu=gpu).name == name


def test_a_setting_goes_before_speed_and_a_file_before_a_setting() -> None:
    assert choose(ALL, setting="onnxruntime", gpu=True).name == "onnxruntime"
    assert choose(ALL, setting="openvino", suffix=".ort", gpu=True).name == "onnxruntime"
    assert choose(ALL, setting="openvino", suffix=".pt2", gpu=True).name == "torch"


def test_a_hidden_gpu_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert not has_gpu()


def test_a_device_that_a_library_does_not_run_on_is_refused() -> None:
    for name in BACKENDS:
        with pytest.raises(InvalidArgumentError, match="cuda"):
            find_backend(name)(detection_weights(), threads=1, precision="f32", device="cuda")


@pytest.mark.parametrize(
    ("name", "precision", "able"),
    [("openvino", "f16", "tensorrt, tensorrt_rtx"), ("onnxruntime", "bf16", "openvino, tensorrt, tensorrt_rtx")],
)
def test_a_precision_that_a_library_lacks_is_refused(name: str, precision: Precision, able: str) -> None:
    with pytest.raises(InvalidArgumentError, match=rf"'{name}' runs .*, got precision '{precision}'; .*: {able}$"):
        find_backend(name)(detection_weights(), threads=1, precision=precision)
    with pytest.raises(InvalidArgumentError, match=f"got precision '{precision}'"):
        check_backend(name, "cpu", precision)


@pytest.mark.parametrize("name", BACKENDS)
def test_a_precision_that_there_is_not_is_refused(name: str) -> None:
    with pytest.raises(InvalidArgumentError, match="precision must be one of f32, f16, bf16, mixed, got 'fp32'"):
        find_backend(name)(detection_weights(), threads=1, precision="fp32")  # type: ignore[arg-type]


def test_the_precision_of_training_is_one_that_the_chosen_backend_has(monkeypatch: pytest.MonkeyPatch) -> None:
    class Capable:
        def get_property(self, device: str, name: str) -> list[str]:
            return ["FP32", "BF16"]

    monkeypatch.setattr(registry, "openvino_core", Capable)
    monkeypatch.delenv("VISTA_FAST_BACKEND", raising=False)
    assert native_precision() == "bf16"
    monkeypatch.setenv("VISTA_FAST_BACKEND", "onnxruntime")
    assert native_precision() == "f32"


_INTERRUPTED_AFTER_UNLOADING = """
import signal, threading, time
from vista_fast.models import find_backend
from vista_fast.models.ocr.weights import detection_weights

sessions = [find_backend({name!r})(detection_weights(), threads=1, precision="f32")]
unload = threading.Thread(target=sessions.clear)
unload.start()
unload.join()
try:
    signal.pthread_kill(threading.get_ident(), signal.SIGINT)
    time.sleep(60)
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.parametrize("name", BACKENDS)
def test_ctrl_c_after_another_thread_has_unloaded_a_network(name: str) -> None:
    script = _INTERRUPTED_AFTER_UNLOADING.format(name=name)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (0, "interrupted\n"), done.stderr
