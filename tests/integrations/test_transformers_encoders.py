"""The processors of CLIP, SigLIP, LLaVA and InternVL that ``install`` puts in place give what transformers' give; so
does Qwen-VL's with pictures and settings that the engine has no way for."""

from __future__ import annotations

import importlib
import io
import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PilImage

import vista_fast as vf

if find_spec("transformers") is None:
    pytest.skip("needs transformers", allow_module_level=True)

NAMES = {
    "qwen2_vl": "Qwen2VLImageProcessorPil",
    "clip": "CLIPImageProcessorPil",
    "siglip": "SiglipImageProcessorPil",
    "llava": "LlavaImageProcessorPil",
    "got_ocr2": "GotOcr2ImageProcessorPil",
}
TILES = {"crop_to_patches": True, "size": {"height": 112, "width": 112}, "max_patches": 6}
PADDED = {"size": {"shortest_edge": 60}, "crop_size": {"height": 80, "width": 80}}
SHAPES = [(90, 120), (200, 64), (224, 224)]


def theirs_of(family: str, settings: dict[str, Any]) -> Any:
    module = importlib.import_module(f"transformers.models.{family}.image_processing_pil_{family}")
    return getattr(module, NAMES[family])(**settings)


def ours_of(family: str, settings: dict[str, Any]) -> Any:
    return getattr(importlib.import_module("vista_fast.integrations.transformers"), NAMES[family])(**settings)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[vf.Engine]:
    from vista_fast.integrations.transformers.current import current_engine

    with vf.Engine(threads=2) as engine:
        monkeypatch.setattr(current_engine, "_given", engine)
        yield engine


@pytest.mark.parametrize("tensors", ["np", "pt", None])
@pytest.mark.parametrize(
    ("family", "settings", "by_engine"),
    [
        ("clip", {}, True),
        ("clip", PADDED, False),
        ("clip", {"do_center_crop": False, "size": {"height": 64, "width": 48}}, False),
        ("siglip", {}, True),
        ("siglip", {"do_normalize": False}, False),
        ("llava", {"do_pad": True}, True),
        ("llava", {"resample": PilImage.Resampling.BILINEAR}, False),
        ("got_ocr2", TILES, True),
        ("got_ocr2", {}, True),
    ],
)
def test_a_batch_equals_transformers(
    engine: vf.Engine, family: str, settings: dict[str, Any], by_engine: bool, tensors: str | None
) -> None:
    random = np.random.default_rng(9)
    images = [PilImage.fromarray(random.integers(0, 256, (*shape, 3), dtype=np.uint8)) for shape in SHAPES]
    assert_same(family, settings, images, return_tensors=tensors)
    assert (engine.stats()["ops"]["image.preprocess"]["submitted"] > 0) == by_engine


def assert_same(family: str, settings: dict[str, Any], images: Any, **call: Any) -> None:
    ours = ours_of(family, settings)(images=images, **call)
    theirs = theirs_of(family, settings)(images=images, **call)
    assert type(ours) is type(theirs)
    assert set(ours) == set(theirs)
    for name in theirs:
        assert type(ours[name]) is type(theirs[name])
        assert np.shape(ours[name]) == np.shape(theirs[name])
        assert float(np.abs(np.asarray(ours[name], np.float64) - np.asarray(theirs[name], np.float64)).max()) <= 1e-5


def other_modes() -> dict[str, PilImage.Image]:
    """Pictures with true transparency, each in its own way, and pictures of other colours."""
    rgba = PilImage.fromarray(np.random.default_rng(2).integers(0, 256, (50, 64, 4), dtype=np.uint8))
    rgb, palette = rgba.convert("RGB"), rgba.convert("RGB").quantize(7)

    def with_transparent(picture: PilImage.Image, level: Any) -> PilImage.Image:
        file = io.BytesIO()
        picture.save(file, "PNG", transparency=level)
        return PilImage.open(file)

    return {
        "RGBA": rgba,
        "LA": rgba.convert("LA"),
        "P": with_transparent(palette, 3),
        "P of several": with_transparent(palette, bytes(range(0, 210, 30))),
        "RGB": with_transparent(rgb, rgb.getpixel((0, 0))),
        "L with a level": with_transparent(rgb.convert("L"), rgb.convert("L").getpixel((0, 0))),
        "opaque": rgb,
        "L": rgb.convert("L"),
        "1": rgb.convert("1"),
        "CMYK": rgb.convert("CMYK"),
        "YCbCr": rgb.convert("YCbCr"),
        "I;16": PilImage.fromarray(np.arange(0, 64_000, 20, np.uint16).reshape(50, 64)),
    }


@pytest.mark.parametrize("family", NAMES)
def test_pictures_of_any_mode_equal_transformers(engine: vf.Engine, family: str) -> None:
    made = other_modes()
    for picture in made.values():
        assert_same(family, {}, [picture], return_tensors="np")
    assert engine.stats()["ops"]["image.preprocess"]["succeeded"] == len(made)
    assert_same(family, {}, list(made.values()), return_tensors="np")


@pytest.mark.parametrize("shape", [(4, 9, 3), (3, 9, 3), (1, 9, 3), (9, 4, 3)])
def test_arrays_whose_channels_may_be_first_or_last_equal_transformers(
    engine: vf.Engine, shape: tuple[int, int, int]
) -> None:
    pixels = np.random.default_rng(5).integers(0, 256, shape, dtype=np.uint8)
    assert_same("clip", {}, [pixels], return_tensors="np")


LONG = {"size": {"shortest_edge": 18}, "crop_size": {"height": 18, "width": 18}}


@pytest.mark.parametrize(
    ("family", "settings", "call", "shape"),
    [
        ("qwen2_vl", {}, {"temporal_patch_size": 100}, (60, 50)),
        ("qwen2_vl", {}, {"max_pixels": 28 * 28 * 2}, (60, 50)),
        ("got_ocr2", TILES, {"min_patches": 9, "max_patches": 4}, (90, 120)),
        ("siglip", {"image_std": [0.5, -0.5, 0.5]}, {}, (60, 50)),
        # Resized to more than a million pixels in a row.
        ("clip", LONG, {}, (1, 60_000)),
        ("llava", LONG, {}, (1, 60_000)),
    ],
)
def test_what_the_engine_refuses_transformers_computes(
    engine: vf.Engine, family: str, settings: dict[str, Any], call: dict[str, Any], shape: tuple[int, int]
) -> None:
    pixels = np.random.default_rng(6).integers(0, 256, (*shape, 3), dtype=np.uint8)
    assert_same(family, settings, [PilImage.fromarray(pixels)], return_tensors="np", **call)
    assert engine.stats()["ops"]["image.preprocess"]["succeeded"] == 0


@pytest.mark.parametrize(
    ("family", "settings", "shape", "message"),
    [
        ("qwen2_vl", {}, (1, 300), "absolute aspect ratio must be smaller than 200"),
        ("clip", {"image_mean": [0.5, 0.5]}, (40, 40), "mean must have 3 elements"),
    ],
)
def test_what_both_refuse_has_the_error_of_transformers(
    engine: vf.Engine, family: str, settings: dict[str, Any], shape: tuple[int, int], message: str
) -> None:
    picture = PilImage.fromarray(np.zeros((*shape, 3), np.uint8))
    for processor in (ours_of(family, settings), theirs_of(family, settings)):
        with pytest.raises(ValueError, match=message) as caught:
            processor(images=[picture])
        assert caught.type is ValueError


@pytest.mark.parametrize("family", ["clip", "siglip"])
def test_install_is_seen_by_the_auto_classes(family: str, tmp_path: Path) -> None:
    theirs_of(family, {}).save_pretrained(tmp_path)
    program = (
        "from vista_fast.integrations.transformers import install\n"
        "install()\n"
        "from transformers import AutoImageProcessor\n"
        f"print(type(AutoImageProcessor.from_pretrained({str(tmp_path)!r}, backend='pil')).__module__)\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.stdout.strip() == "vista_fast.integrations.transformers.encoders", ran.stderr


def test_threads_share_the_engine_of_the_process() -> None:
    from vista_fast.integrations.transformers.current import CurrentEngine

    current, together = CurrentEngine(), threading.Barrier(8)
    seen: list[vf.Engine] = []

    def ask() -> None:
        together.wait()
        seen.append(current.get())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(engine) for engine in seen}) == 1
    seen[0].close()
