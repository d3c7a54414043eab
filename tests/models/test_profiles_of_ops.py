"""Every Op opens its networks with profiles that hold what it then runs, on a backend that compiles for shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from small_grounding_dino import save_small_model

from vista_fast.errors import InvalidArgumentError
from vista_fast.models.backend import Array, BackendName, Precision, Profile, registry
from vista_fast.models.backend.choice import RUNS_ON
from vista_fast.models.backend.onnxruntime import OnnxRuntimeModel
from vista_fast.models.documents import DocumentConfig, LayoutModel
from vista_fast.models.grounding import CocoDetector, GroundingConfig
from vista_fast.models.grounding.coco import GRAPH, WEIGHT
from vista_fast.models.grounding.dino import GroundingDino, Query
from vista_fast.models.ocr import OcrConfig, OcrModel
from vista_fast.models.segmentation import Prompt, SegmentationConfig
from vista_fast.models.segmentation.model import FEATURES, SegmentationModel
from vista_fast.models.weights import fetch_weight

Shapes = dict[str, tuple[int, ...]]


class Watched:
    """A network that runs on the CPU, opened as if it were to be compiled for its profiles."""

    opened: list[Watched]
    """All of one test."""

    def __init__(
        self, path: Path, *, threads: int, precision: Precision, device: str, profiles: Sequence[Profile]
    ) -> None:
        assert device == "cuda"
        self.path, self.profiles, self.precision = path, profiles, precision
        self.calls: list[Shapes] = []
        self._model = OnnxRuntimeModel(path, threads=threads, precision="f32")
        self.inputs, self.outputs, self.metadata = self._model.inputs, self._model.outputs, self._model.metadata
        self.opened.append(self)

    def run(self, batch: Mapping[str, Array], /) -> dict[str, Array]:
        shapes = {name: array.shape for name, array in batch.items()}
        vary = {spec.name for spec in self.inputs if None in spec.shape}
        told = {name for profile in self.profiles for name, _ in profile.ranges}
        assert vary <= told <= set(shapes), "profiles name the inputs whose shapes vary"
        assert not vary or any(profile.holds(shapes) for profile in self.profiles), (shapes, self.profiles)
        self.calls.append(shapes)
        return self._model.run(batch)


@pytest.fixture(params=["tensorrt", "tensorrt_rtx"])
def compiled(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The name of a backend that needs profiles."""
    watched = type("Watched", (Watched,), {"opened": []})
    monkeypatch.setattr(Watched, "opened", watched.opened, raising=False)
    monkeypatch.setitem(registry._BACKENDS, request.param, watched)
    monkeypatch.setattr(registry, "is_installed", lambda name: True)
    return request.param


def test_the_names_of_backends_are_those_of_the_registry() -> None:
    assert set(get_args(BackendName)) == set(registry._BACKENDS) == set(RUNS_ON)


def test_ocr(compiled: BackendName, pages: list[np.ndarray]) -> None:
    config = OcrConfig(backend=compiled, precision="f16", limit_side_len=320)
    model = OcrModel(config, threads=1)
    quads = model.detect(pages[:2])[0][0]
    model.recognize([(pages[0], quads[0])])
    detection, recognition = Watched.opened
    assert {call["x"] for call in detection.calls} == {(2, 3, 320, 320)}, "on a GPU a batch runs as one"
    assert len(recognition.calls) == 1
    assert detection.precision == recognition.precision == "f16"


def test_segmentation(compiled: BackendName) -> None:
    fetch_weight("sam2-hiera-tiny-encoder")
    fetch_weight("sam2-hiera-tiny-decoder")
    model = SegmentationModel(SegmentationConfig(backend=compiled), threads=1)
    sizes = {"image_embed": (256, 64, 64), "high_res_feats_0": (32, 256, 256), "high_res_feats_1": (64, 128, 128)}
    nothing = {name: np.zeros((1, *sizes[name]), np.float32) for name in FEATURES}
    model.decode(nothing, (64, 48), [Prompt.of((64, 48), [(x, 5)], box=(1, 1, 9, 9)) for x in (3, 4)])
    model.decode(nothing, (64, 48), [Prompt.of((64, 48), [(x, 5) for x in range(40)])])
    (decoder,) = Watched.opened
    assert [call["point_labels"] for call in decoder.calls] == [(2, 3), (1, 40)]


def test_layout(compiled: BackendName, pages: list[np.ndarray]) -> None:
    fetch_weight("pp-layout-cdla")
    LayoutModel(DocumentConfig(backend=compiled), threads=1).detect(pages[0])
    (network,) = Watched.opened
    assert len(network.calls) == 1


def test_coco(compiled: BackendName, pages: list[np.ndarray]) -> None:
    fetch_weight(GRAPH)
    fetch_weight(WEIGHT)
    detector = CocoDetector(GroundingConfig(backend=compiled, max_batch=3), threads=1)
    detector.detect(pages[:3])
    detector.detect(pages[:1])
    (network,) = Watched.opened
    assert [len(call["input"][1:]) for call in network.calls] == [3, 3]


def test_grounding(
    compiled: BackendName, pages: list[np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISTA_FAST_WEIGHTS", str(tmp_path / "weights"))
    folder = save_small_model(tmp_path / "small")
    model = GroundingDino(folder, GroundingConfig(backend=compiled, max_batch=2), threads=1)
    model.detect([Query(pages[0], "a cup. a table."), Query(pages[1], "a dog.")])
    model.detect([Query(pages[0], " ".join(f"thing {number}." for number in range(20)))])
    (network,) = Watched.opened
    assert len(network.calls) == 2


def test_a_backend_that_there_is_not_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match=r"one of openvino, .*tensorrt_rtx, torch, got 'caffe'"):
        GroundingConfig(backend="caffe")  # type: ignore[arg-type]
