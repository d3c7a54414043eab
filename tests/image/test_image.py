"""Image as an object: arrays, DLPack, PIL, encoding, equality, pickling."""

from __future__ import annotations

import copy
import gc
import importlib.util
import io
import pickle

import numpy as np
import pytest
from pictures import noise, scene
from PIL import Image as PilImage

import vista_fast as vf
from vista_fast.errors import InvalidArgumentError, MissingExtraError


def test_arrays_share_memory_and_are_read_only() -> None:
    image = vf.Image.from_array(noise(4, 6, 1))
    array = np.asarray(image)
    assert array.shape == (4, 6, 3)
    assert array.dtype == np.uint8
    assert not array.flags.writeable
    assert np.shares_memory(array, np.asarray(image))
    with pytest.raises(ValueError, match=r"read-only|WRITEABLE"):
        array.setflags(write=True)


def test_an_array_keeps_its_image_alive() -> None:
    pixels = noise(300, 300, 1)
    array = np.asarray(vf.Image.from_array(pixels))
    gc.collect()
    noise(300, 300, 2)
    assert np.array_equal(array, pixels)


def test_copies_on_request() -> None:
    image = vf.Image.from_array(noise(4, 6, 1))
    copied = np.array(image)
    copied[:] = 0
    assert np.asarray(image).any()
    assert np.asarray(image, dtype=np.float32).dtype == np.float32
    assert image.__array__(copy=True).flags.writeable
    assert not image.__array__(copy=False).flags.writeable
    with pytest.raises(ValueError, match="without a copy"):
        image.__array__(np.float32, copy=False)


def test_the_source_array_is_copied() -> None:
    pixels = noise(5, 5, 1)
    image = vf.Image.from_array(pixels)
    before = np.array(image)
    pixels[:] = 0
    assert np.array_equal(np.asarray(image), before)


def test_arrays_of_any_strides() -> None:
    pixels = noise(12, 10, 3)
    for view in (pixels[::-1], pixels[:, ::2], pixels[..., ::-1], pixels.transpose(1, 0, 2), np.asfortranarray(pixels)):
        assert np.array_equal(np.asarray(vf.Image.from_array(view)), view)
    grey = np.broadcast_to(np.arange(6, dtype=np.uint8)[:, None, None], (6, 4, 3))
    assert np.array_equal(np.asarray(vf.Image.from_array(grey)), grey)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((3, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 4, 3), np.int8),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_arrays_that_are_no_image(array: np.ndarray) -> None:
    with pytest.raises(InvalidArgumentError):
        vf.Image.from_array(array)


def test_dlpack_copies() -> None:
    torch = pytest.importorskip("torch")
    pixels = noise(7, 5, 1)
    image = vf.Image.from_array(pixels)
    assert image.__dlpack_device__() == (1, 0)
    assert np.array_equal(np.from_dlpack(image), pixels)
    tensor = torch.from_dlpack(image)
    assert torch.equal(tensor, torch.from_numpy(pixels.copy()))
    tensor.zero_()
    assert np.array_equal(np.asarray(image), pixels)


def test_dlpack_shares_read_only_memory_on_request() -> None:
    image = vf.Image.from_array(noise(7, 5, 1))
    if np.lib.NumpyVersion(np.__version__) < "2.1.0":
        pytest.skip("this numpy does not speak DLPack 1.0")
    array = np.from_dlpack(image, copy=False)
    assert np.shares_memory(array, np.asarray(image))
    assert not array.flags.writeable


def test_dlpack_capsules_that_nobody_takes_are_freed() -> None:
    image = vf.Image.from_array(noise(500, 500, 1))
    for _ in range(200):
        image.__dlpack__(max_version=(1, 0))
        image.__dlpack__(max_version=(1, 0), copy=True)
        image.__dlpack__()
    with pytest.raises(BufferError):
        image.__dlpack__(copy=False)
    with pytest.raises(BufferError):
        image.__dlpack__(dl_device=(2, 0))


def test_to_pil() -> None:
    pixels = noise(6, 9, 1)
    picture = vf.Image.from_array(pixels).to_pil()
    assert picture.mode == "RGB"
    assert np.array_equal(np.asarray(picture), pixels)


def test_encode() -> None:
    pixels = scene(40, 50)
    image = vf.Image.from_array(pixels)
    assert np.array_equal(np.asarray(PilImage.open(io.BytesIO(image.encode("png", level=1)))), pixels)
    for quality, subsampling in ((75, "4:4:4"), (90, "4:2:2"), (40, "4:2:0")):
        ours = image.encode("jpeg", quality=quality, subsampling=subsampling)
        theirs = io.BytesIO()
        PilImage.fromarray(pixels).save(theirs, "JPEG", quality=quality, subsampling=subsampling)
        assert np.array_equal(np.asarray(PilImage.open(io.BytesIO(ours))), np.asarray(PilImage.open(theirs)))


@pytest.mark.parametrize(
    ("file_format", "options"),
    [
        ("gif", {}),
        ("jpeg", {"quality": 0}),
        ("jpeg", {"quality": 101}),
        ("png", {"level": 10}),
        ("jpeg", {"subsampling": "4:1:1"}),
    ],
)
def test_encode_refuses(file_format: str, options: dict[str, object]) -> None:
    with pytest.raises(InvalidArgumentError):
        vf.Image.from_array(scene(4, 4)).encode(file_format, **options)


def test_encode_op_gives_the_same_bytes(engine: vf.Engine) -> None:
    image = vf.Image.from_array(scene(40, 50))
    assert engine.call("image.encode", image) == image.encode()
    assert engine.call("image.encode", image, format="jpeg", quality=80) == image.encode("jpeg", quality=80)


def test_equality_is_by_hash() -> None:
    one, other = vf.Image.from_array(noise(5, 4, 1)), vf.Image.from_array(noise(5, 4, 2))
    assert one == vf.Image.from_array(noise(5, 4, 1))
    assert one != other
    assert one != "image"
    assert len({one, other, vf.Image.from_array(noise(5, 4, 1))}) == 2
    assert len(one.hash) == 32
    turned = vf.Image.from_array(np.zeros((4, 6, 3), np.uint8))
    assert turned != vf.Image.from_array(np.zeros((6, 4, 3), np.uint8))


def test_pickle_keeps_pixels_and_hash() -> None:
    for image in (
        vf.Image.from_array(noise(5, 4, 1)),
        vf.Image.decode(vf.Image.from_array(scene(9, 8)).encode("jpeg")),
    ):
        again = pickle.loads(pickle.dumps(image))
        assert again == image
        assert again.hash == image.hash
        assert np.array_equal(np.asarray(again), np.asarray(image))
        assert copy.deepcopy(image) is image


def test_repr_and_size() -> None:
    image = vf.Image.from_array(noise(5, 4, 1))
    assert repr(image) == f"<vista_fast.Image 4 x 5 {image.hash[:8]}>"
    assert image.bytes >= 60
    with pytest.raises(AttributeError):
        image.width = 3


def test_a_pil_image_without_pillow_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"vista-fast\[tasks\]"):
        vf.Image.from_array(np.zeros((2, 2, 3), np.uint8)).to_pil()
