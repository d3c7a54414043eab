"""ChartQA's adapter, on a small folder in the official layout."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from vista_fast import tasks
from vista_fast.errors import InvalidArgumentError, NotFoundError
from vista_fast.types import Dataset

HUMAN = [
    {"imgname": "3887.png", "query": "Which year has the longest bar?", "label": "2018"},
    {"imgname": "7862.png", "query": "What is the share of both?", "label": "0.72"},
]
AUGMENTED = [{"imgname": "3887.png", "query": "What was the value in 2018?", "label": "56"}]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "ChartQA Dataset"
    for split in ("train", "val", "test"):
        for part in ("png", "tables", "annotations"):
            (root / split / part).mkdir(parents=True)
        for name in ("3887", "7862"):
            PIL.Image.new("RGB", (40, 30), "white").save(root / split / "png" / f"{name}.png")
        (root / split / "tables" / "3887.csv").write_text("Year,Value\n2018,56\n")
        (root / split / f"{split}_human.json").write_text(json.dumps(HUMAN))
        (root / split / f"{split}_augmented.json").write_text(json.dumps(AUGMENTED))
    return root


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_every_question_in_the_order_of_the_files(folder: Path, split: str) -> None:
    dataset = tasks.load("chartqa", split=split, folder=folder)
    assert isinstance(dataset, Dataset)
    assert dataset.name == "chartqa"
    assert [task.question for task in map(dataset.__getitem__, range(len(dataset)))] == [
        entry["query"] for entry in HUMAN + AUGMENTED
    ]
    assert len({dataset[i].id for i in range(len(dataset))}) == 3


def test_a_task(folder: Path) -> None:
    task = tasks.load("chartqa", split="val", folder=folder)[0]
    assert task.id == "chartqa/val/human/0"
    assert task.family == "chart"
    assert task.truth == "2018"
    (image,) = task.images
    assert image == folder / "val" / "png" / "3887.png"
    assert np.asarray(PIL.Image.open(str(image))).shape == (30, 40, 3)
    assert task.metadata == {"source": "human", "table": folder / "val" / "tables" / "3887.csv"}
    assert task.verifier("2018", task.truth)
    assert not task.verifier("2017", task.truth)


def test_relaxed_accuracy_is_the_verifier(folder: Path) -> None:
    task = tasks.load("chartqa", split="val", folder=str(folder))[1]
    assert task.verifier("73%", task.truth)
    assert not task.verifier("80%", task.truth)
    assert task.metadata["table"] is None


def test_one_source_only(folder: Path) -> None:
    dataset = tasks.load("chartqa", split="test", folder=folder, sources=["augmented"])
    assert [dataset[i].question for i in range(len(dataset))] == [AUGMENTED[0]["query"]]


def test_an_index_past_the_end(folder: Path) -> None:
    with pytest.raises(IndexError):
        tasks.load("chartqa", folder=folder)[3]


def test_a_missing_folder_says_what_is_expected_and_where_it_comes_from(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"nowhere.*'ChartQA Dataset'.*https://github.com/vis-nlp/ChartQA"):
        tasks.load("chartqa", folder=tmp_path / "nowhere")


@pytest.mark.parametrize("gone", ["train/train_human.json", "train/train_augmented.json", "train/png"])
def test_missing_parts_are_named(folder: Path, gone: str) -> None:
    path = folder / gone
    path.rename(path.with_name("elsewhere"))
    with pytest.raises(NotFoundError, match=path.name):
        tasks.load("chartqa", folder=folder)


def test_a_missing_chart_is_named_when_its_question_is_asked_for(folder: Path) -> None:
    dataset = tasks.load("chartqa", folder=folder)
    (folder / "train" / "png" / "7862.png").unlink()
    assert dataset[0].truth == "2018"
    with pytest.raises(NotFoundError, match=r"7862\.png"):
        dataset[1]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("[{", "not valid JSON"),
        ("{}", "must hold a list"),
        ([{"imgname": "3887.png", "query": "?"}], "entry 0"),
        ([HUMAN[0], "question"], "entry 1"),
        ([{"imgname": "../../secret.png", "query": "?", "label": "1"}], "outside of its folder"),
    ],
)
def test_files_of_another_form_are_refused(folder: Path, content: Any, says: str) -> None:
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / "train" / "train_human.json").write_text(text)
    with pytest.raises(InvalidArgumentError, match=says):
        tasks.load("chartqa", folder=folder)


@pytest.mark.parametrize("options", [{"split": "dev"}, {"sources": ["robots"]}, {"sources": []}])
def test_unknown_options_are_refused(folder: Path, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgumentError):
        tasks.load("chartqa", folder=folder, **options)


def test_an_unknown_dataset_is_refused_with_the_known_ones() -> None:
    with pytest.raises(NotFoundError, match=r"'docvqa'.*mini, chartqa"):
        tasks.load("docvqa")
