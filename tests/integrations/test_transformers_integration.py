"""The processors that ``install`` puts in place give what transformers' own give."""

from __future__ import annotations

import subprocess
import sys
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

SHAPES = [(480, 640), (33, 41), (56, 56), (300, 90), (1, 1)]


def pictures() -> list[np.ndarray]:
    random = np.random.default_rng(4)
    return [random.integers(0, 256, (*shape, 3), dtype=np.uint8) for shape in SHAPES]


def theirs_of(**settings: Any) -> Any:
    # Here and below transformers is imported when tests run, not when they are collected: it imports Triton, and the
    # tests of the kernels choose its interpreter first.
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    return Qwen2VLImageProcessorPil(**settings)


def ours_of(**settings: Any) -> Any:
    from vista_fast.integrations.transformers import Qwen2VLImageProcessorPil

    return Qwen2VLImageProcessorPil(**settings)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[vf.Engine]:
    from vista_fast.integrations.transformers.current import current_engine

    with vf.Engine(threads=2) as engine:
        monkeypatch.setattr(current_engine, "_given", engine)
        yield engine


def computed(engine: vf.Engine) -> int:
    stats = engine.stats()["ops"]["image.preprocess"]
    return int(stats["succeeded"] - stats["cached"] - stats["joined"])


def assert_same(ours: Any, theirs: Any) -> None:
    assert set(ours) == set(theirs) == {"pixel_values", "image_grid_thw"}
    for name in theirs:
        assert type(ours[name]) is type(theirs[name])
        assert ours[name].dtype == theirs[name].dtype
        assert ours[name].shape == theirs[name].shape
    assert np.array_equal(ours["image_grid_thw"], theirs["image_grid_thw"])
    assert float(np.abs(np.asarray(ours["pixel_values"]) - np.asarray(theirs["pixel_values"])).max()) <= 1e-5


@pytest.mark.parametrize("tensors", ["np", "pt"])
@pytest.mark.parametrize(
    "form",
    [
        PilImage.fromarray,
        lambda pixels: pixels,
        lambda pixels: np.ascontiguousarray(np.moveaxis(pixels, -1, 0)),
    ],
    ids=["PIL", "channels last", "channels first"],
)
def test_a_batch_equals_transformers(engine: vf.Engine, form: Any, tensors: str) -> None:
    images = [form(pixels) for pixels in pictures()[:4]]
    ours = ours_of()(images=images, return_tensors=tensors)
    assert_same(ours, theirs_of()(images=images, return_tensors=tensors))
    assert computed(engine) == 4
    ours_of()(images=images, return_tensors=tensors)
    assert computed(engine) == 4, "what was seen before is not computed again"


def test_settings_of_other_models(engine: vf.Engine) -> None:
    settings = {
        "patch_size": 16,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "size": {"shortest_edge": 64 * 64, "longest_edge": 300 * 300},
    }
    images = [PilImage.fromarray(pixels) for pixels in pictures()]
    ours = ours_of(**settings)(images=images, return_tensors="np")
    assert_same(ours, theirs_of(**settings)(images=images, return_tensors="np"))
    assert computed(engine) == len(images)


@pytest.mark.parametrize(
    ("form", "options"),
    [
        (lambda pixels: PilImage.fromarray(pixels).convert("L"), {}),
        (lambda pixels: PilImage.fromarray(np.dstack([pixels, pixels[..., 0]])), {}),
        (lambda pixels: pixels.astype(np.float32) / 255, {"do_rescale": False}),
        (lambda pixels: pixels[:28, :28], {"do_resize": False}),
        (lambda pixels: pixels, {"do_normalize": False}),
        (lambda pixels: pixels, {"resample": PilImage.Resampling.BILINEAR}),
    ],
    ids=["grey", "alpha", "floats", "no resize", "no normalisation", "bilinear"],
)
def test_whatever_transformers_takes(engine: vf.Engine, form: Any, options: dict[str, Any]) -> None:
    image = form(pictures()[0])
    ours = ours_of()(images=[image], return_tensors="np", **options)
    assert_same(ours, theirs_of()(images=[image], return_tensors="np", **options))


@pytest.mark.parametrize("most", [10**9, float("inf")])
def test_a_limit_that_is_none_leaves_pictures_to_the_engine(engine: vf.Engine, most: float) -> None:
    images = [PilImage.fromarray(pixels) for pixels in pictures()]
    ours = ours_of(max_pixels=most)(images=images, return_tensors="np")
    assert_same(ours, theirs_of(max_pixels=most)(images=images, return_tensors="np"))
    assert computed(engine) == len(images)


@pytest.mark.parametrize(("side", "by_engine"), [(112, True), (140, False)])
def test_a_picture_above_the_limit_of_the_engine_is_not_made_smaller(
    engine: vf.Engine, monkeypatch: pytest.MonkeyPatch, side: int, by_engine: bool
) -> None:
    from vista_fast.integrations.transformers import qwen

    monkeypatch.setattr(qwen, "_MOST_PIXELS", 112 * 112)
    image = PilImage.fromarray(np.random.default_rng(8).integers(0, 256, (side, side, 3), dtype=np.uint8))
    ours = ours_of(max_pixels=10**9)(images=[image], return_tensors="np")
    assert_same(ours, theirs_of(max_pixels=10**9)(images=[image], return_tensors="np"))
    assert computed(engine) == by_engine


@pytest.mark.parametrize("backend", ["pil", "torchvision"])
def test_install_is_seen_by_the_auto_classes(backend: str, tmp_path: Path) -> None:
    theirs_of().save_pretrained(tmp_path)
    program = (
        "from vista_fast.integrations.transformers import install\n"
        "install()\n"
        "from transformers import AutoImageProcessor\n"
        f"processor = AutoImageProcessor.from_pretrained({str(tmp_path)!r}, backend={backend!r})\n"
        "print(type(processor).__module__)\n"
        f"processor.save_pretrained({str(tmp_path / 'again')!r})\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.stdout.strip() == "vista_fast.integrations.transformers.qwen", ran.stderr
    plain = subprocess.run(
        [
            sys.executable,
            "-c",
            "from transformers import AutoImageProcessor\n"
            f"print(type(AutoImageProcessor.from_pretrained({str(tmp_path / 'again')!r}, backend='pil')).__module__)",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert plain.stdout.strip().startswith("transformers.models.qwen2_vl"), plain.stderr
