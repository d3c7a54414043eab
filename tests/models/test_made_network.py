"""Files that are made here and can't be loaded are made anew, once."""

from __future__ import annotations

from pathlib import Path

import pytest

from vista_fast.errors import InvalidArgumentError
from vista_fast.models.backend import Model, open_model
from vista_fast.models.made_network import open_made
from vista_fast.models.ocr.weights import detection_weights


class Maker:
    """Copies a network to a path, where nothing is there; cut off to so many bytes."""

    def __init__(self, path: Path, most: int | None = None) -> None:
        self.path, self.most, self.times = path, most, 0

    def __call__(self) -> Path:
        if not self.path.is_file():
            self.times += 1
            self.path.write_bytes(detection_weights().read_bytes()[: self.most])
        return self.path


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("left", [0, 1000, 100_000])
def test_a_file_that_is_cut_off_is_made_anew(tmp_path: Path, backend: str, left: int) -> None:
    make = Maker(tmp_path / "network.onnx")
    make.path.write_bytes(detection_weights().read_bytes()[:left])
    assert open_made(make, lambda path: open_model(path, backend=backend)).inputs
    assert make.times == 1


def test_what_is_whole_is_not_made_again(tmp_path: Path) -> None:
    make = Maker(tmp_path / "network.onnx")
    for _ in range(2):
        open_made(make, open_model)
    assert make.times == 1


def test_what_can_not_be_loaded_is_made_anew_once_only(tmp_path: Path) -> None:
    make = Maker(tmp_path / "network.onnx", most=1000)
    for _ in range(3):
        with pytest.raises(InvalidArgumentError, match=r"network\.onnx"):
            open_made(make, open_model)
    assert make.times == 2


def test_a_file_that_is_refused_for_another_reason_stays(tmp_path: Path) -> None:
    make = Maker(tmp_path / "network.onnx")
    for refused in ({"device": "cuda"}, {"precision": "f16"}):
        with pytest.raises(InvalidArgumentError, match="openvino"):
            open_made(make, lambda path, refused=refused: open_model(path, backend="openvino", **refused))
    assert make.times == 1


def test_a_file_that_another_process_makes_anew_meanwhile_stays(tmp_path: Path) -> None:
    make = Maker(tmp_path / "network.onnx", most=1000)

    def load(path: Path) -> Model:
        try:
            return open_model(path, backend="onnxruntime")
        except InvalidArgumentError:
            whole = tmp_path / "whole.onnx"
            whole.write_bytes(detection_weights().read_bytes())
            whole.replace(path)
            raise

    assert open_made(make, load).inputs
    assert make.times == 1


def test_a_file_that_another_process_removes_is_made_again(tmp_path: Path) -> None:
    make = Maker(tmp_path / "network.onnx")

    def load(path: Path) -> Model:
        if make.times == 1:
            path.unlink()
        return open_model(path)

    assert open_made(make, load).inputs
    assert make.times == 2
