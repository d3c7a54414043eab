"""Files that several may make at once are there whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from vista_fast.models.part_file import part_file


def test_the_file_is_there_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "new" / "folder" / "file"
    with part_file(target) as part:
        part.write_text("whole")
        assert not target.exists()
    assert target.read_text() == "whole"
    assert list(target.parent.iterdir()) == [target]


def test_a_failure_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_text("before")

    def fail() -> None:
        with part_file(target) as part:
            part.write_text("half")
            raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError, match="the disk is full"):
        fail()
    assert target.read_text() == "before"
    assert list(tmp_path.iterdir()) == [target]


def test_of_several_at_once_the_last_one_stays(tmp_path: Path) -> None:
    target = tmp_path / "file"
    with part_file(target) as first:
        first.write_text("first")
        with part_file(target) as second:
            second.write_text("second")
        assert target.read_text() == "second"
        assert first.read_text() == "first"
    assert target.read_text() == "first"
    assert list(tmp_path.iterdir()) == [target]
