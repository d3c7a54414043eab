"""Images on a device: budget, order of leaving, events. The device is torch's CPU, and a GPU in the marked test."""

from __future__ import annotations

import io
import threading

import numpy as np
import PIL.Image
import pytest
import torch

import vista_fast as vf
from vista_fast.devices import DeviceImage, DeviceStore
from vista_fast.errors import InvalidArgumentError, NotFoundError, ResourceExhaustedError


def image(seed: int, height: int = 10, width: int = 10) -> vf.Image:
    return vf.Image.from_array(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def test_an_image_goes_there_and_back() -> None:
    host = image(0, 7, 9)
    on_device = DeviceStore("cpu").put(host)
    assert (on_device.width, on_device.height, on_device.bytes, on_device.hash) == (9, 7, 189, host.hash)
    np.testing.assert_array_equal(on_device.to_host(), host)
    assert on_device.pixels().data_ptr() != np.asarray(host).ctypes.data


def test_the_least_recently_used_leaves_first() -> None:
    store = DeviceStore("cpu", budget_bytes=900)
    first, second, third, fourth = (image(seed) for seed in range(4))
    for one in (first, second, third):
        store.put(one)
    store.get(first.hash)
    store.put(fourth)
    assert store.find(second.hash) is None
    assert all(store.find(one.hash) for one in (first, third, fourth))
    assert store.stats() == {"entries": 3, "bytes": 900, "budget": 900}
    with pytest.raises(NotFoundError, match="larger budget_bytes"):
        store.get(second.hash)


def test_an_image_above_the_budget_is_given_but_not_held() -> None:
    store = DeviceStore("cpu", budget_bytes=299)
    assert store.put(image(0)).width == 10
    assert store.stats()["entries"] == 0


def test_an_image_that_does_not_fit_the_device_is_a_typed_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(pixels: object) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 300 bytes")

    store = DeviceStore("cpu")
    with monkeypatch.context() as patch:
        patch.setattr(torch, "from_numpy", full)
        with pytest.raises(ResourceExhaustedError, match=r"does not fit the memory of cpu.*300 bytes.*budget_bytes"):
            store.put(image(0))
    assert store.put(image(0)).bytes == 300


def test_an_equal_image_is_held_once() -> None:
    store = DeviceStore("cpu")
    held = store.put(image(0))
    assert store.put(image(0)) is held
    assert store.hold(held) is held
    assert store.stats() == {"entries": 1, "bytes": 300, "budget": 1 << 30}


def test_the_image_that_was_copied_comes_back_while_there_is_one() -> None:
    buffer = io.BytesIO()
    PIL.Image.fromarray(np.zeros((4, 5, 3), np.uint8)).save(buffer, "PNG")
    host = vf.Image.decode(buffer.getvalue())
    there = DeviceStore("cpu").put(host)
    assert there.to_host() is host
    del host
    copy = there.to_host()
    assert copy.hash != there.hash
    np.testing.assert_array_equal(copy, np.zeros((4, 5, 3), np.uint8))


def test_threads_keep_the_budget() -> None:
    store = DeviceStore("cpu", budget_bytes=1500)

    def use(seed: int) -> None:
        for step in range(200):
            store.put(image((seed * 31 + step) % 12))

    threads = [threading.Thread(target=use, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.stats()["bytes"] == 300 * store.stats()["entries"] <= 1500


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (torch.zeros(2, 2, 3), "float32"),
        (torch.zeros(2, 2, 4, dtype=torch.uint8), r"\[2, 2, 4\]"),
        (torch.zeros(2, 0, 3, dtype=torch.uint8), r"\[2, 0, 3\]"),
        (torch.zeros(2, 4, 3, dtype=torch.uint8)[:, ::2], "contiguous"),
    ],
)
def test_other_pixels_are_refused(pixels: torch.Tensor, message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        DeviceImage(pixels, "0" * 32)


def test_wrong_stores_say_what_is_wrong() -> None:
    with pytest.raises(InvalidArgumentError, match="budget_bytes is -1"):
        DeviceStore("cpu", budget_bytes=-1)
    with pytest.raises(InvalidArgumentError, match="'nonsense'"):
        DeviceStore("nonsense")
    if not torch.cuda.is_available():
        with pytest.raises(InvalidArgumentError, match="0 CUDA devices"):
            DeviceStore("cuda")


@pytest.mark.gpu
def test_a_reader_on_another_stream_waits() -> None:
    """The pixels are written by work that takes long on one stream, and read on another right away."""
    writer, reader = torch.cuda.Stream(), torch.cuda.Stream()
    busy = torch.rand(4096, 4096, device="cuda")
    pixels = torch.zeros(64, 64, 3, dtype=torch.uint8, device="cuda")
    torch.cuda.synchronize()
    with torch.cuda.stream(writer):
        for _ in range(20):
            busy = busy @ busy
        pixels.fill_(7)
        on_device = DeviceImage(pixels, "0" * 32)
    with torch.cuda.stream(reader):
        assert (on_device.pixels() == 7).all().item()
