"""The suite is readable by the real OCR along the right route, and by no shorter one."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from vista_fast.tasks.mini import FAMILIES, MiniDataset
from vista_fast.tasks.mini.picture import SIDE
from vista_fast.types import Task

Reader = Callable[[Image.Image, list[float]], list[str]]
WHOLE = [0.0, 0.0, 1.0, 1.0]
POLICY_SIDE = 112
"""The side, in pixels, to which the shipped policy's own eye squeezes every picture."""


@pytest.fixture(scope="module")
def read() -> Reader:
    """Texts of the lines whose centre lies in a normalised box, as the ocr tool reads them at ``SIDE`` pixels."""
    pytest.importorskip("rapidocr")
    from vista_fast.models.ocr import OcrConfig, OcrModel, read_text

    model = OcrModel(OcrConfig.at_side(SIDE), threads=1)

    def inside(quad: npt.NDArray[np.float32], size: tuple[int, int], box: list[float]) -> bool:
        x, y = quad.mean(axis=0) / size
        return bool(box[0] <= x < box[2] and box[1] <= y < box[3])

    def lines(image: Image.Image, box: list[float]) -> list[str]:
        return [line.text for line in read_text(np.asarray(image), model) if inside(line.quad, image.size, box)]

    return lines


def picture(task: Task) -> Image.Image:
    return Image.open(io.BytesIO(task.images[0])).convert("RGB")


def zoomed(image: Image.Image, box: list[float]) -> Image.Image:
    left, top, right, bottom = (round(image.width * edge) for edge in box)
    return image.crop((left, top, right, bottom))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_right_route_reads_the_truth_and_nothing_else(family: str, read: Reader) -> None:
    tasks = list(MiniDataset("test", size=8, seed=11, families=[family]))
    for task in tasks:
        box = task.metadata["regions"][task.metadata["region"]]
        image = picture(task)
        seen = read(zoomed(image, box), WHOLE) if task.metadata["needs_zoom"] else read(image, box)
        assert seen == [task.truth]


def test_another_region_reads_another_number(read: Reader) -> None:
    task = MiniDataset("test", size=1, seed=12, families=["charts"])[0]
    readings = [read(picture(task), box) for box in task.metadata["regions"].values()]
    assert sum(reading == [task.truth] for reading in readings) == 1
    assert all(len(reading) == 1 and reading[0].isdigit() for reading in readings)


def test_scenes_are_not_readable_without_a_zoom(read: Reader) -> None:
    for task in MiniDataset("test", size=6, seed=13, families=["scenes"]):
        assert task.truth not in read(picture(task), WHOLE)


def test_text_is_illegible_at_the_resolution_of_the_policy(read: Reader) -> None:
    tasks = list(MiniDataset("test", size=12, seed=14))
    readable = 0
    for task in tasks:
        squeezed = picture(task).resize((POLICY_SIDE, POLICY_SIDE), Image.Resampling.BICUBIC)
        enlarged = squeezed.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        readable += task.truth in read(enlarged, task.metadata["regions"][task.metadata["region"]])
    assert readable <= 1
