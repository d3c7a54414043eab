"""An Image's hash: BLAKE2b's tree over its encoded bytes, or over shape and pixels, as hashlib makes it of nodes."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from pictures import noise

import vista_fast as vf
from vista_fast._core import encoded_hash

LEAF = 65 * 128
INNER = 32


def node(data: bytes, size: int, offset: int, level: int, last: bool) -> bytes:
    return hashlib.blake2b(
        data,
        digest_size=size,
        fanout=0,
        depth=2,
        leaf_size=LEAF,
        node_offset=offset,
        node_depth=level,
        inner_size=INNER,
        last_node=last,
    ).digest()


def tree(head: bytes, data: bytes) -> str:
    starts = range(0, max(len(data), 1), LEAF)
    leaves = [
        node(data[start : start + LEAF], INNER, offset, 0, start == starts[-1]) for offset, start in enumerate(starts)
    ]
    return node(head + b"".join(leaves), 16, 0, 1, True).hex()


def reference(pixels: np.ndarray) -> str:
    return tree(f"vista RGB pixels{pixels.shape[0]}x{pixels.shape[1]}:".encode(), pixels.tobytes())


# 2773 pixels fill a leaf but for a byte; 8320 pixels are three leaves.
@pytest.mark.parametrize(
    "shape",
    [(1, 1), (1, 2773), (1, 2774), (8320, 1), (8320, 3), (1, 8321), (2, 11093), (100, 250), (480, 640), (337, 1003)],
)
def test_it_is_that_of_hashlib(shape: tuple[int, int]) -> None:
    pixels = noise(*shape, 5)
    assert vf.Image.from_array(pixels).hash == reference(pixels)


@pytest.mark.parametrize("size", [0, 1, LEAF - 1, LEAF, LEAF + 1, 9 * LEAF, 20 * LEAF + 77])
def test_that_of_encoded_bytes_is_that_of_hashlib(size: int) -> None:
    data = noise(1, size // 3 + 1, 7).tobytes()[:size]
    assert encoded_hash(data) == tree(b"vista encoded bytes:", data)
    assert encoded_hash(data, "left half") == tree(b"vista part left half:", data)


def test_every_byte_and_the_shape_count() -> None:
    pixels = noise(90, 120, 6)
    hashes = {vf.Image.from_array(pixels).hash, vf.Image.from_array(pixels.reshape(120, 90, 3)).hash}
    for place in np.linspace(0, pixels.size - 1, 37, dtype=int):
        other = pixels.copy()
        other.reshape(-1)[place] ^= 1
        hashes.add(vf.Image.from_array(other).hash)
    assert len(hashes) == 39
