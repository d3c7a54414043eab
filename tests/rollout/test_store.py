"""Trajectories to disk and back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pyarrow")
PIL = pytest.importorskip("PIL.Image")

from rollout_doubles import task  # noqa: E402

from vista_fast.errors import NotFoundError, StorageError  # noqa: E402
from vista_fast.rollout import read_trajectories, write_trajectories  # noqa: E402
from vista_fast.types import CallRecord, Observation, Reward, ToolCall, ToolError, Trajectory, Turn  # noqa: E402


def image(seed: int) -> Any:
    pixels = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    return SimpleNamespace(hash=f"{seed:032x}", pixels=pixels, to_pil=lambda: PIL.fromarray(pixels))


class Engine:
    def image(self, path: Path) -> Any:
        return SimpleNamespace(hash=path.stem, pixels=np.asarray(PIL.open(path)))


def trajectories() -> list[Trajectory]:
    call = CallRecord(ToolCall("zoom", {"bbox_2d": [0, 0.5, 1, 1]}), 2.5, 2.75, "joined")
    failed = CallRecord(None, 3.0, 3.5, "error", ToolError("E1", "not JSON"))
    turns = [
        Turn("t</tool_call>", [5, 6], [-0.5, -0.25], 3, 1.0, 2.0, call, Observation("seen", (image(2),))),
        Turn("u", [7], [-1.5], 3, 2.75, 3.0, failed, Observation("not JSON", error=ToolError("E1", "not JSON"))),
        Turn("é<answer>yes</answer>", [8], [-0.125], 4, 3.5, 4.0),
    ]
    played = replace(task("a"), choices=("yes", "no"), metadata={"region": [1, 2], "naïve": "é"})
    answered = Trajectory(
        played,
        "0:a/0",
        "0:a",
        "answered",
        [1, 5, 6, 2, 7, 3, 8],
        [0, 1, 1, 0, 1, 0, 1],
        [0.0, -0.5, -0.25, 0.0, -1.5, 0.0, -0.125],
        [image(1), image(2)],
        turns,
        "yes",
        Reward(2.0, 0.0, 1.0, 1.0),
        True,
        1.0,
        4.0,
    )
    lost = Trajectory(task("b"), "1:b/0", "1:b", "lost", [], [], [], [], [], None, None, False, 1.0, 2.0, "late")
    return [answered, lost]


def same(a: Trajectory, b: Trajectory) -> bool:
    return all(
        getattr(a, name) == getattr(b, name)
        for name in Trajectory.__dataclass_fields__
        if name not in ("task", "images", "turns")
    )


def test_round_trip(tmp_path: Path) -> None:
    written = trajectories()
    path = write_trajectories(tmp_path, "step-00001", written)
    assert path == tmp_path / "step-00001.parquet"
    back = read_trajectories(path, Engine())  # type: ignore[arg-type]
    for before, after in zip(written, back, strict=True):
        assert same(before, after)
        for name in ("id", "dataset", "family", "question", "truth", "choices", "metadata"):
            assert getattr(before.task, name) == getattr(after.task, name)
        for x, y in zip(before.images, after.images, strict=True):
            assert x.hash == y.hash
            np.testing.assert_array_equal(x.pixels, y.pixels)
        for x, y in zip(before.turns, after.turns, strict=True):
            assert replace(x, observation=None) == replace(y, observation=None)
            assert (x.observation is None) == (y.observation is None)
            if x.observation is not None:
                assert (x.observation.text, x.observation.error) == (y.observation.text, y.observation.error)
                assert [i.hash for i in x.observation.images] == [i.hash for i in y.observation.images]
    assert read_trajectories(path)[0].images == []


def test_each_image_is_written_once(tmp_path: Path) -> None:
    write_trajectories(tmp_path, "one", trajectories())
    files = sorted((tmp_path / "images").iterdir())
    assert [file.stem for file in files] == [f"{1:032x}", f"{2:032x}"]
    before = [file.stat().st_mtime_ns for file in files]
    write_trajectories(tmp_path, "two", trajectories())
    assert [file.stat().st_mtime_ns for file in files] == before


def test_verifiers_are_not_stored(tmp_path: Path) -> None:
    path = write_trajectories(tmp_path, "one", trajectories())
    with pytest.raises(NotFoundError, match="verifier="):
        read_trajectories(path)[0].task.verifier("yes", "yes")
    assert read_trajectories(path, verifier=lambda a, b: a == b)[0].task.verifier("yes", "yes")
    with pytest.raises(NotFoundError):
        read_trajectories(tmp_path / "absent.parquet")


def test_a_full_disk_leaves_no_half_written_file(tmp_path: Path) -> None:
    """A limit on file sizes stands for the full disk: writes fail half-way."""
    import resource
    import signal

    many = trajectories() * 300
    for index, trajectory in enumerate(many):
        many[index] = replace(trajectory, ids=list(np.random.default_rng(index).integers(0, 9999, 400).tolist()))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(StorageError):
            write_trajectories(tmp_path, "big", many)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images"]
    assert len(read_trajectories(write_trajectories(tmp_path, "big", many))) == 600
