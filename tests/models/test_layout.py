"""The regions of pages: those of RapidLayout, run beside ours on drawn pages and on a scan."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import document_pages
import numpy as np
import pytest
from peer_packages import peer_packages
from PIL import Image
from sklearn.datasets import load_sample_images

import vista_fast as vf
from vista_fast.errors import InvalidArgumentError, NotFoundError
from vista_fast.models.documents import DocumentConfig, LayoutModel, Regions
from vista_fast.models.documents.ops import register_documents
from vista_fast.models.weights import fetch_weight

PAGES = ("drawn", "two columns", "table", "scan", "photograph", "blank", "one pixel", "strip")


@pytest.fixture(scope="module")
def peers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with peer_packages(tmp_path_factory.mktemp("peers"), "rapid-layout==1.2.1", "scikit-image") as folder:
        yield folder


@pytest.fixture(scope="module")
def rapid_layout(peers: Path) -> Any:
    from rapid_layout import RapidLayout

    return RapidLayout()


@pytest.fixture(scope="module")
def images(peers: Path) -> dict[str, np.ndarray]:
    scan = Image.open(peers / "skimage" / "data" / "page.png").convert("RGB")
    return {
        "drawn": document_pages.page(),
        "two columns": document_pages.page(columns=2),
        "table": document_pages.table(),
        "scan": np.asarray(scan),
        "photograph": np.asarray(load_sample_images().images[0]),
        "blank": np.full((300, 200, 3), 255, np.uint8),
        "one pixel": np.zeros((1, 1, 3), np.uint8),
        "strip": document_pages.page()[:9],
    }


@pytest.fixture(scope="module", params=["openvino", "onnxruntime"])
def model(request: pytest.FixtureRequest) -> LayoutModel:
    fetch_weight("pp-layout-cdla")
    return LayoutModel(DocumentConfig(backend=request.param))


@pytest.mark.parametrize("name", PAGES)
def test_regions_are_rapid_layouts(
    rapid_layout: Any, model: LayoutModel, images: dict[str, np.ndarray], name: str
) -> None:
    theirs = rapid_layout(np.ascontiguousarray(images[name][..., ::-1]))
    ours = model.detect(images[name])
    assert list(ours.labels) == theirs.class_names
    np.testing.assert_allclose(ours.scores, theirs.scores, atol=1e-3)
    np.testing.assert_allclose(ours.boxes, np.array(theirs.boxes).reshape(-1, 4), atol=1e-3)
    assert_inside(ours, images[name])


def assert_inside(found: Regions, image: np.ndarray) -> None:
    assert (found.boxes >= 0).all()
    assert (found.boxes <= np.array([image.shape[1], image.shape[0]] * 2)).all()


def test_a_page_has_the_parts_that_it_was_drawn_with(model: LayoutModel, images: dict[str, np.ndarray]) -> None:
    found = model.detect(images["drawn"])
    assert {"title", "text", "table"} <= set(found.labels)
    left, top, right, bottom = found.boxes[found.labels.index("table")]
    assert (left, top, right, bottom) == pytest.approx((185, 575, 665, 755), abs=20)


def test_thresholds_choose_among_the_candidates(model: LayoutModel, images: dict[str, np.ndarray]) -> None:
    library = model.config.backend
    every = LayoutModel(DocumentConfig(backend=library, score_threshold=0.0, overlap_threshold=1.0))
    few = LayoutModel(DocumentConfig(backend=library, score_threshold=0.9))
    found = every.detect(images["drawn"])
    assert max(found.labels.count(label) for label in set(found.labels)) == 100
    assert_inside(found, images["drawn"])
    assert (few.detect(images["drawn"]).scores > 0.9).all()


@pytest.mark.parametrize(
    "wrong", [{"threads": 0}, {"timeout": 0.0}, {"score_threshold": 1.5}, {"overlap_threshold": -0.1}]
)
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgumentError, match="must"):
        DocumentConfig(**wrong)


def test_missing_weights_say_how_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISTA_FAST_WEIGHTS", str(tmp_path))
    with vf.Engine(threads=1) as engine:
        with pytest.raises(NotFoundError, match=r"vista-fast weights get (pp-layout-cdla|slanet-1m)"):
            vf.Toolbox.default(engine, ocr=None, documents=DocumentConfig())
        assert "layout.detect" not in engine.ops


def test_an_engine_reads_documents_one_way_only() -> None:
    for name in ("pp-layout-cdla", "slanet-1m"):
        fetch_weight(name)
    with vf.Engine(threads=1) as engine:
        register_documents(engine, DocumentConfig())
        register_documents(engine, DocumentConfig())
        with pytest.raises(InvalidArgumentError, match="this engine already reads documents with"):
            register_documents(engine, DocumentConfig(threads=1))
