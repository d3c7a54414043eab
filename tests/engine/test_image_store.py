"""Images that many threads open at once are decoded once."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pytest
from engine_gate import WAIT

import vista_fast as vf
from vista_fast.engine import images
from vista_fast.errors import InvalidArgumentError

THREADS = 32
DECODE = vf.Image.decode


class HeldUpDecoder:
    """Stands for Image.decode: counts, and decodes once it is let."""

    def __init__(self) -> None:
        self.counted = 0
        self.begun, self.let = threading.Event(), threading.Event()

    def decode(self, encoded: bytes, *, hash: str) -> vf.Image:
        self.counted += 1
        self.begun.set()
        assert self.let.wait(WAIT)
        return DECODE(encoded, hash=hash)


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
