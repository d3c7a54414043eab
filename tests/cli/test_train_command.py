"""``vista-fast train`` as a user runs it, ended by whatever ends runs: Ctrl-C, a full disk, kill -9."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from vista_fast.run_folder import RunFolder

if find_spec("torch") is None:
    pytest.skip("needs torch", allow_module_level=True)

PATIENCE = 180.0
"""Seconds that any part of a run may take on a busy machine."""


def start(run: Path, *options: str, largest_file: int | None = None) -> subprocess.Popen[str]:
    def limit() -> None:
        if largest_file is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))

    return subprocess.Popen(
        [sys.executable, "-m", "vista_fast.cli", "train", "--preset", "ci", "--run", str(run), *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=limit,
        start_new_session=True,
    )


def await_event(process: subprocess.Popen[str], run: Path, happened: Callable[[RunFolder], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not happened(RunFolder(run)):
        assert process.poll() is None, f"the run ended too early: {process.communicate()[1]}"
        assert time.monotonic() < until
        time.sleep(0.02)


def end(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, words = process.communicate(timeout=PATIENCE)
    return process.returncode, words


def checkpoints(folder: RunFolder) -> list[int]:
    return [record["step"] for record in folder.metrics("CheckpointSaved")]


def halves(run: Path) -> list[Path]:
    return list(run.rglob("*.partial"))


def test_a_run_goes_on_after_whatever_ended_it(tmp_path: Path) -> None:
    run = tmp_path / "run"

    process = start(run)
    await_event(process, run, lambda folder: checkpoints(folder) == [2])
    os.killpg(process.pid, signal.SIGINT)
    code, words = end(process)
    assert code == 130, words
    assert "last checkpoint is grpo step 2" in words
    assert "Traceback" not in words
    assert not halves(run)

    code, words = end(start(run, "--resume", largest_file=8 << 20))
    assert code == 4, words
    assert "could not be written" in words
    assert "last checkpoint is grpo step 2" in words
    assert not halves(run)
    assert checkpoints(RunFolder(run)) == [2]

    process = start(run, "--resume")
    await_event(process, run, lambda folder: bool(folder.metrics("EvalMetrics")))
    os.killpg(process.pid, signal.SIGKILL)
    assert end(process)[0] == -signal.SIGKILL
    assert checkpoints(RunFolder(run)) == [2, 4]

    code, words = end(start(run, "--resume"))
    assert code == 0, words
    folder = RunFolder.open(run)
    assert [record["step"] for record in folder.metrics("GrpoMetrics")] == [1, 2, 3, 4]
    assert folder.metrics()[-1]["event"] == "RunFinished"
    assert folder.report_file.is_file()
    assert json.loads((run / "weights" / "config.json").read_text())["model_type"] == "qwen2_5_vl"


def test_a_run_that_has_ended_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    code, words = end(start(tmp_path))
    assert code == 1
    assert "already holds a run; go on with --resume" in words


def test_a_folder_that_can_not_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code, words = end(start(tmp_path / "file" / "run"))
    assert code == 1
    assert words.count("\n") == 1
    assert "can't hold a run" in words
