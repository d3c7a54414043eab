"""Every backend behaves alike behind the one interface."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from vista_fast.errors import InvalidArgumentError, MissingExtraError, NotFoundError
from vista_fast.models import Session, available_backends, find_backend
from vista_fast.models.ocr.weights import detection_weights, recognition_weights

BACKENDS = ["openvino", "onnxruntime"]


@pytest.fixture(params=BACKENDS)
def session(request: pytest.FixtureRequest) -> Session:
    return find_backend(request.param)(detection_weights(), threads=1, precision="f32")


def batch(count: int, side: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random((count, 3, side, side), np.float32)


def test_shapes_are_free(session: Session) -> None:
    assert session(batch(1, 64, 0)).shape == (1, 1, 64, 64)
    assert session(batch(2, 96, 0)).shape == (2, 1, 96, 96)


def test_a_result_owns_its_memory(session: Session) -> None:
    first = session(batch(1, 64, 0))
    kept = first.copy()
    assert not np.array_equal(session(batch(1, 64, 1)), kept)
    np.testing.assert_array_equal(first, kept)


def test_threads_share_a_session(session: Session) -> None:
    inputs = [batch(1, 64, seed) for seed in range(8)]
    expected = [session(array) for array in inputs]
    with ThreadPoolExecutor(4) as pool:
        for result, wanted in zip(pool.map(session, inputs), expected, strict=True):
            np.testing.assert_allclose(result, wanted, atol=1e-6)


def test_f32_means_f32() -> None:
    sessions = [find_backend(name)(detection_weights(), threads=1, precision="f32") for name in BACKENDS]
    one, other = (session(batch(1, 128, 0)) for session in sessions)
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
    with pytest.raises(InvalidArgumentError, match="'caffe'; choose one of onnxruntime, openvino"):
        find_backend("caffe")


@pytest.mark.parametrize("name", BACKENDS)
def test_a_missing_library_names_the_extra(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vista_fast.models.backend.find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"vista-fast\[ocr\]"):
        find_backend(name)


@pytest.mark.parametrize("name", BACKENDS)
def test_a_missing_file_is_a_typed_error(name: str, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"none\.onnx"):
        find_backend(name)(tmp_path / "none.onnx", threads=1, precision="f32")


@pytest.mark.parametrize("name", BACKENDS)
def test_a_broken_file_is_a_typed_error(name: str, tmp_path: Path) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"not a network")
    with pytest.raises(InvalidArgumentError, match=r"broken\.onnx"):
        find_backend(name)(path, threads=1, precision="f32")


def test_onnxruntime_refuses_bf16() -> None:
    with pytest.raises(InvalidArgumentError, match="bf16"):
        find_backend("onnxruntime")(detection_weights(), threads=1, precision="bf16")


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
