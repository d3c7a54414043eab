"""How images come in: whatever the source, and decoded once when many threads open it."""

from __future__ import annotations

import base64
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine_gate import WAIT

import vista_fast as vf
from vista_fast._core import encoded_hash
from vista_fast.engine import images
from vista_fast.errors import InvalidArgumentError, NotFoundError

THREADS = 32
DECODE = vf.Image.decode


class HeldUpDecoder:
    """Stands for Image.decode: counts, and decodes once it is let."""

    def __init__(self) -> None:
        self.counted = 0
        self.begun, self.let = threading.Event(), threading.Event()

    def decode(self, encoded: bytes, *, hash: str, **options: Any) -> vf.Image:
        self.counted += 1
        self.begun.set()
        assert self.let.wait(WAIT)
        return DECODE(encoded, hash=hash, **options)


@pytest.fixture
def decoder(monkeypatch: pytest.MonkeyPatch) -> HeldUpDecoder:
    decoder = HeldUpDecoder()
    monkeypatch.setattr(images.Image, "decode", decoder.decode)
    return decoder


def open_on_all_threads(store: images.ImageStore, encoded: bytes, decoder: HeldUpDecoder) -> list[Future[vf.Image]]:
    """Opens on every thread, and lets the decoder go on when all have come so far."""
    together = threading.Barrier(THREADS + 1)

    def open_one() -> vf.Image:
        together.wait(WAIT)
        return store.open(encoded)

    with ThreadPoolExecutor(THREADS) as pool:
        opened = [pool.submit(open_one) for _ in range(THREADS)]
        together.wait(WAIT)
        assert decoder.begun.wait(WAIT)
        decoder.let.set()
    return opened


def test_many_threads_decode_once(decoder: HeldUpDecoder) -> None:
    encoded = vf.Image.from_array(np.full((40, 30, 3), 7, np.uint8)).encode("jpeg")
    opened = open_on_all_threads(images.ImageStore(1 << 20), encoded, decoder)
    assert decoder.counted == 1
    assert len({id(each.result()) for each in opened}) == 1


def test_an_image_larger_than_the_budget_is_decoded_for_each(decoder: HeldUpDecoder) -> None:
    encoded = vf.Image.from_array(np.full((40, 30, 3), 7, np.uint8)).encode("jpeg")
    decoder.let.set()
    store = images.ImageStore(100)
    assert store.open(encoded) is not store.open(encoded)
    assert decoder.counted == 2


def test_bytes_that_cannot_be_decoded_fail_for_all_and_are_tried_again(decoder: HeldUpDecoder) -> None:
    store = images.ImageStore(1 << 20)
    opened = open_on_all_threads(store, b"\xff\xd8\xff no JPEG", decoder)
    assert all(isinstance(each.exception(), InvalidArgumentError) for each in opened)
    counted = decoder.counted
    with pytest.raises(InvalidArgumentError):
        store.open(b"\xff\xd8\xff no JPEG")
    assert decoder.counted == counted + 1


def test_an_image_that_came_while_the_lock_was_awaited_is_not_decoded_again(
    decoder: HeldUpDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded = vf.Image.from_array(np.full((40, 30, 3), 7, np.uint8)).encode("jpeg")
    decoder.let.set()
    store = images.ImageStore(1 << 20)
    opened = [store.open(encoded)]
    # As another thread saw it that looked before the first had decoded.
    looks: list[str] = []
    find = store._images.find
    monkeypatch.setattr(store._images, "find", lambda key: find(key) if looks else looks.append(key))
    opened.append(store.open(encoded))
    assert len(looks) == decoder.counted == 1
    assert opened[0] is opened[1]


def test_an_interrupt_ends_its_own_thread_alone(decoder: HeldUpDecoder, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted = threading.Event()

    def interrupt_the_first(encoded: bytes, **options: Any) -> vf.Image:
        image = decoder.decode(encoded, **options)
        if not interrupted.is_set():
            interrupted.set()
            raise KeyboardInterrupt
        return image

    monkeypatch.setattr(images.Image, "decode", interrupt_the_first)
    store = images.ImageStore(1 << 20)
    encoded = vf.Image.from_array(np.full((40, 30, 3), 7, np.uint8)).encode("jpeg")
    opened = open_on_all_threads(store, encoded, decoder)
    failed = [each for each in opened if each.exception() is not None]
    assert [type(each.exception()) for each in failed] == [KeyboardInterrupt]
    assert len({id(each.result()) for each in opened if each not in failed}) == 1
    assert decoder.counted == 2


def test_the_hash_of_a_part_is_that_of_no_file() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    encoded = vf.Image.from_array(pixels).encode("jpeg")
    asked = b"region=(0.0, 0.0, 16.0, 16.0) at_least=None"
    with vf.Engine(threads=1) as engine:
        part = engine.image(encoded, region=(0, 0, 16, 16))
        forged = [encoded + asked, encoded + b" " + asked, asked + b":" + encoded]
        assert part.hash not in [encoded_hash(each) for each in forged]
        whole = [engine.image(each) for each in forged[:2]]
        assert [(image.width, image.height) for image in whole] == [(64, 64)] * 2
        asked_otherwise = [engine.image(encoded), engine.image(encoded, region=(0, 0, 16, 17))]
        asked_otherwise.append(engine.image(encoded, at_least=(16, 16)))
        assert len({part.hash, *(image.hash for image in asked_otherwise)}) == 4
        decoded = vf.Image.decode(encoded, region=(0, 0, 16, 16))
        assert np.array_equal(np.asarray(decoded), np.asarray(part))
        assert decoded.hash == vf.Image.from_array(np.asarray(part)).hash != part.hash


@pytest.mark.parametrize("dtype", ["bfloat16", "float32", "int64"])
def test_a_tensor_that_holds_no_bytes_is_refused(dtype: str) -> None:
    torch = pytest.importorskip("torch")

    tensor = torch.zeros((3, 8, 8), dtype=getattr(torch, dtype))
    with vf.Engine(threads=1) as engine:
        for open_it in (engine.image, lambda source: engine.call("image.zoom", source, box=(0, 0, 4, 4))):
            with pytest.raises(InvalidArgumentError, match=rf"dtype torch\.{dtype} is no image; give uint8 .*round"):
                open_it(tensor)


def test_the_image_of_a_call_may_be_any_source_or_a_hash(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from PIL import Image as PilImage

    pixels = np.random.default_rng(2).integers(0, 256, (12, 20, 3), dtype=np.uint8)
    encoded = vf.Image.from_array(pixels).encode("png")
    path = tmp_path / "picture.png"
    path.write_bytes(encoded)
    sources = {
        "Image": vf.Image.from_array(pixels),
        "path": path,
        "text": str(path),
        "bytes": encoded,
        "data URL": "data:image/png;base64," + base64.b64encode(encoded).decode(),
        "PIL": PilImage.fromarray(pixels),
        "ndarray": pixels,
        "tensor": torch.from_numpy(pixels).permute(2, 0, 1),
    }
    with vf.Engine(threads=1) as engine:
        held = engine.image(encoded)
        for name, source in {**sources, "hash": held.hash}.items():
            zoomed = engine.call("image.zoom", source, box=(2, 3, 12, 9))
            assert np.array_equal(np.asarray(zoomed), pixels[3:9, 2:12]), name
            call = {"image": source, "box": (2, 3, 12, 9)}
            assert engine.call("image.zoom", **call) == zoomed, name
            assert engine.submit_many("image.zoom", [call]).result() == [zoomed], name
            assert call["image"] is source
        with pytest.raises(NotFoundError, match="no image with hash"):
            engine.call("image.zoom", "0" * 32)
        with pytest.raises(NotFoundError, match="no image with hash"):
            engine.submit("image.zoom", image="0" * 32).result(WAIT)
        with pytest.raises(InvalidArgumentError, match="torch tensor of shape"):
            engine.call("image.zoom", torch.zeros((12, 20, 3), dtype=torch.uint8))
