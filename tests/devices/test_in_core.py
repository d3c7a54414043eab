"""``cuda.preprocess``, the native Op, on a device of the host's memory and, in scripts/gpu_check.sh, on a GPU. Its
numbers are compared in tests/devices/test_device_preprocess.py, and what it does with a device is tested in
tests/cpp/ops."""

from __future__ import annotations

import gc
import logging
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from vista_fast.kernels import cuda_library

import vista_fast as vf
from vista_fast._core import CudaPreprocess
from vista_fast.devices import DeviceImage, DeviceStore, DeviceTensor, in_core, register_preprocess


@pytest.fixture(params=["host_library", pytest.param("cuda_library", marks=pytest.mark.gpu)])
def here(request: pytest.FixtureRequest) -> Iterator[tuple[vf.Engine, DeviceStore]]:
    on_host = request.param == "host_library"
    if not on_host and cuda_library.library_path() is None:
        pytest.skip("the CUDA kernels were not built")
    with vf.Engine(threads=1) as engine:
        store = DeviceStore("cpu" if on_host else "cuda")
        library = request.getfixturevalue("host_library") if on_host else None
        register_preprocess(engine, store, budget_bytes=0, library=library)  # or what is held would hide much
        assert "cuda.preprocess" in engine.ops
        yield engine, store


def picture(seed: int = 0) -> vf.Image:
    return vf.Image.from_array(np.random.default_rng(seed).integers(0, 256, (40, 50, 3), dtype=np.uint8))


def ran(engine: vf.Engine) -> dict[str, int]:
    ops: dict[str, Any] = engine.stats()["ops"]
    return {name: ops[name]["batches"] for name in ("cuda.preprocess", "device.preprocess")}


def test_calls_of_device_images_meet_no_python(here: tuple[vf.Engine, DeviceStore]) -> None:
    engine, store = here
    there = store.put(picture())
    for op in ("image.preprocess", "device.preprocess", "cuda.preprocess"):
        assert isinstance(engine.call(op, there)["pixel_values"], DeviceTensor)
    assert ran(engine) == {"cuda.preprocess": 3, "device.preprocess": 0}


def test_an_image_of_the_host_is_copied_first(here: tuple[vf.Engine, DeviceStore]) -> None:
    engine, _ = here
    values = engine.call("device.preprocess", picture(1))["pixel_values"].to_host()
    assert np.abs(values - engine.call("image.preprocess", picture(1))["pixel_values"]).max() <= 2.01 / 255 / 0.26
    assert ran(engine) == {"cuda.preprocess": 0, "device.preprocess": 1}


@pytest.mark.parametrize(
    ("op", "image", "options", "words"),
    [
        ("cuda.preprocess", picture(), {}, "the image is <vista_fast.Image|image is .*; give a DeviceImage"),
        ("cuda.preprocess", "a.png", {}, "the image is a str; give a DeviceImage"),
        ("device.preprocess", "a.png", {}, "the image is a str"),
        ("device.preprocess", picture(), {"patch_size": 0}, "patch_size is 0"),
    ],
)
def test_what_can_not_be_taken_is_named(
    here: tuple[vf.Engine, DeviceStore], op: str, image: Any, options: dict[str, Any], words: str
) -> None:
    engine, _ = here
    with pytest.raises(vf.errors.InvalidArgumentError, match=words):
        engine.submit_many(op, [{"image": image} | options]).result()


def test_calls_that_run_are_joined_and_their_results_are_not_in_the_engines_cache(
    here: tuple[vf.Engine, DeviceStore],
) -> None:
    engine, store = here
    there = store.put(picture(2))
    held = engine.stats()["cache"]["entries"]
    results = engine.submit_many("cuda.preprocess", [{"image": there}] * 20).result()
    assert len({result["pixel_values"].tensor().data_ptr() for result in results}) == 1
    assert engine.stats()["ops"]["cuda.preprocess"]["joined"] == 19
    assert engine.stats()["cache"]["entries"] == held


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_torch_takes_the_memory_itself(here: tuple[vf.Engine, DeviceStore], dtype: str) -> None:
    engine, store = here
    result = engine.call("cuda.preprocess", store.put(picture(3)), dtype=dtype)["pixel_values"]
    tensor = result.tensor()
    assert (tensor.dtype, tuple(tensor.shape), tensor.is_contiguous()) == (getattr(torch, dtype), result.shape, True)
    assert result.device == tensor.device == store.device
    assert result.bytes == tensor.numel() * tensor.element_size()
    again = result.tensor()
    assert again.data_ptr() == tensor.data_ptr()
    engine.close()
    want = tensor.clone()
    del result, tensor
    gc.collect()
    torch.testing.assert_close(again, want, rtol=0, atol=0)


@pytest.mark.gpu
@pytest.mark.parametrize("here", ["cuda_library"], indirect=True)
def test_a_reader_on_a_stream_of_its_own_sees_what_was_written(here: tuple[vf.Engine, DeviceStore]) -> None:
    engine, store = here
    pictures = [picture(seed) for seed in range(8)]
    want = [engine.call("image.preprocess", one)["pixel_values"] for one in pictures]
    streams = [torch.cuda.Stream() for _ in pictures]
    for _ in range(20):
        read = []
        for one, stream in zip(pictures, streams, strict=True):
            with torch.cuda.stream(stream):
                # The memory goes back while the stream still reads it, and is the next one's.
                result = engine.call("cuda.preprocess", store.put(one))
                read.append(result["pixel_values"].tensor().clone())
                del result
        for got, wanted in zip(read, want, strict=True):
            assert np.abs(got.cpu().numpy() - wanted).max() <= 2.01 / 255 / 0.26


@pytest.fixture
def engine(host_library: Path) -> Iterator[vf.Engine]:
    with vf.Engine(threads=1) as engine:
        register_preprocess(engine, DeviceStore("cpu"), library=host_library)
        yield engine


def test_the_array_keeps_to_the_protocol_of_dlpack(engine: vf.Engine) -> None:
    array = engine.call("cuda.preprocess", DeviceStore("cpu").put(picture(4)))["pixel_values"]._array
    assert array.__dlpack_device__() == (1, 0)
    assert array.dtype == "float32"
    np.testing.assert_array_equal(np.from_dlpack(array), torch.from_dlpack(array).numpy())
    for wrong, words in [
        ({"copy": True}, "copy it afterwards"),
        ({"dl_device": (2, 0)}, "another device"),
        ({"stream": 0}, "stream 0 means"),
        ({"stream": 2}, "stream 2 means"),
    ]:
        with pytest.raises(BufferError, match=words):
            array.__dlpack__(**wrong)


def test_an_engine_that_is_dropped_goes(host_library: Path) -> None:
    engine = vf.Engine(threads=1)
    register_preprocess(engine, DeviceStore("cpu"), library=host_library)
    held = weakref.ref(engine)
    del engine
    gc.collect()
    assert held() is None


@pytest.mark.parametrize("closed", [False, True])
def test_an_image_is_released_when_its_work_is_done(host_library: Path, closed: bool) -> None:
    engine, store = vf.Engine(threads=1), DeviceStore("cpu", budget_bytes=0)
    register_preprocess(engine, store, library=host_library)
    pixels = torch.zeros(30, 30, 3, dtype=torch.uint8)
    held = weakref.ref(pixels)
    image = DeviceImage(pixels, "1" * 32)
    engine.call("cuda.preprocess", image)["pixel_values"].tensor()
    del image, pixels
    if closed:
        engine.close()
        del engine
        gc.collect()
    else:
        engine.submit("image.resize", picture(), size=(1, 1)).result()  # its worker is done with the call before
        store.put(picture(1))  # releases, as every call into the core does
    assert held() is None


@pytest.mark.parametrize("broken", ["no library", "other numbers"])
def test_without_a_library_that_works_the_other_kernels_are_used(
    host_library: Path,
    broken: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if broken == "no library":
        host_library = tmp_path / "other.so"
        host_library.write_text("text")
    else:
        monkeypatch.setattr(in_core, "_most_off", lambda *_: float("nan"))
    with vf.Engine(threads=1) as engine, caplog.at_level(logging.WARNING):
        store = DeviceStore("cpu")
        register_preprocess(engine, store, library=host_library)
        values = engine.call("image.preprocess", store.put(picture()))["pixel_values"].to_host()
        want = engine.call("image.preprocess", picture())["pixel_values"]
        assert engine.stats()["ops"]["device.preprocess"]["batches"] == 1
    assert np.abs(values - want).max() <= 1.01 / 255 / 0.26
    assert "other kernels are used" in caplog.text


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what happens without a GPU")
def test_the_library_of_the_kernels_says_that_there_is_no_gpu() -> None:
    library = cuda_library.library_path()
    if library is None:
        pytest.skip("the CUDA kernels were not built; make cuda-compile builds them")
    with pytest.raises(vf.errors.OpError, match=r"CUDA's driver .*install|cuda:0"):
        CudaPreprocess(library=str(library), device=0, budget_bytes=1 << 20, max_batch=1)


def test_an_op_may_be_of_several_engines(host_library: Path) -> None:
    op = CudaPreprocess(library=str(host_library), device=-1, budget_bytes=1 << 20, max_batch=1)
    assert op.name == "cuda.preprocess"
    there = DeviceStore("cpu").put(picture(5))
    with vf.Engine(threads=1) as engine, vf.Engine(threads=1) as other:
        for each in (engine, other):
            each.register_native(op, DeviceImage, DeviceImage.in_core)
            with pytest.raises(vf.errors.InvalidArgumentError, match="registered already"):
                each.register_native(op, DeviceImage, DeviceImage.in_core)
        one, another = (each.call("cuda.preprocess", there)["pixel_values"] for each in (engine, other))
    assert one.tensor().data_ptr() == another.tensor().data_ptr()


def test_an_op_runs_without_an_engine(host_library: Path) -> None:
    op = CudaPreprocess(library=str(host_library), device=-1, budget_bytes=1 << 20, max_batch=1)
    pixels = DeviceStore("cpu").put(picture(6)).in_core()
    good, bad, none = op.run([{"image": pixels}, {"image": pixels, "patch_size": 0}, {}])
    assert good["grid_thw"] == (1, 4, 6)
    assert isinstance(bad, vf.errors.InvalidArgumentError)
    assert "image is None" in str(none)
    assert op.run([]) == []
    with pytest.raises(vf.errors.OpError, match="open -1"):
        CudaPreprocess(library=str(host_library), device=0, budget_bytes=1 << 20, max_batch=1)
