"""The processors of CLIP, SigLIP, LLaVA and InternVL that ``install`` puts in place give what transformers' give."""

from __future__ import annotations

import importlib
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
    ours = ours_of(family, settings)(images=images, return_tensors=tensors)
    theirs = theirs_of(family, settings)(images=images, return_tensors=tensors)
    assert set(ours) == set(theirs)
    for name in theirs:
        assert type(ours[name]) is type(theirs[name])
        assert np.shape(ours[name]) == np.shape(theirs[name])
        assert float(np.abs(np.asarray(ours[name], np.float64) - np.asarray(theirs[name], np.float64)).max()) <= 1e-5
    assert (engine.stats()["ops"]["image.preprocess"]["submitted"] > 0) == by_engine


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
