"""What the benchmark of OCR stands on: different pictures, parts of equal work, and a count of different characters."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

FOLDER = Path(__file__).resolve().parent.parent / "benchmarks"


@pytest.fixture
def ocr(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(FOLDER))
    return import_module("ocr")


def test_all_pictures_differ(ocr: Any) -> None:
    pictures = ocr.pictures(64)
    assert len({(each.shape, each.tobytes()) for each in pictures}) == 64
    assert all(each.dtype == np.uint8 and each.ndim == 3 and each.shape[2] == 3 for each in pictures)
    assert [each.tobytes() for each in ocr.pictures(40)[35:]] == [each.tobytes() for each in pictures[35:40]]


def test_parts_are_of_about_equal_work(ocr: Any) -> None:
    inputs = ocr.Inputs.__new__(ocr.Inputs)
    random = np.random.default_rng(0)
    inputs.sizes = [(736, int(high)) for high in random.integers(736, 1500, 64)]
    inputs.widths = [[320] * int(lines) for lines in random.integers(0, 12, 64)]
    parts = inputs.parts(4)
    assert sorted(index for part in parts for index in part) == list(range(64))
    pixels = [sum(inputs.sizes[index][1] for index in part) for part in parts]
    assert max(pixels) < 1.1 * min(pixels)


@pytest.mark.parametrize(
    ("one", "other", "count"),
    [("", "", 0), ("same", "same", 0), ("42.50", "42,5O", 2), ("word", "words", 1), ("a", "", 1)],
)
def test_edits_are_counted(ocr: Any, one: str, other: str, count: int) -> None:
    assert ocr.edits(one, other) == count


def test_a_reader_that_reads_otherwise_fails_the_benchmark(ocr: Any) -> None:
    pages = [np.zeros((2, 2, 3), np.uint8)] * 3
    ours = ocr.Reading("ours", lambda given: ["text"] * len(given), pages, [[0, 1, 2]])
    same = ocr.Reading("same", lambda given: ["text"] * len(given), pages, [[0, 1], [2]])
    other = ocr.Reading("other", lambda given: ["test"] * len(given), pages, [[0], [1, 2]])
    for reading in (ours, same, other, other):
        reading.turn()
    assert sorted(same.texts) == [0, 1]
    ours.check_same(same)
    with pytest.raises(SystemExit, match=r"picture 0: 'text', and other reads 'test'"):
        ours.check_same(other)
    assert ours.share_different(other) == 25
