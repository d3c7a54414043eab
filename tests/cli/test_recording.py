"""A run's record: what is written when it ends well, early, or was at its end already."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from test_progress import EVAL, grpo

from vista_fast.cli.recording import record_run
from vista_fast.errors import InvalidArgumentError, StorageError
from vista_fast.run_folder import RunFolder
from vista_fast.train.config import preset
from vista_fast.train.metrics import CheckpointSaved, Listener, StepTrajectories

CONFIG = preset("ci")


def steps(last: int) -> Callable[[Path, Listener], None]:
    def job(folder: Path, listener: Listener) -> None:
        for step in range(1, last + 1):
            listener(StepTrajectories("grpo", step, ()))
            listener(grpo(step, CONFIG.grpo.steps))
            listener(CheckpointSaved("grpo", step, str(folder / "checkpoints" / str(step))))

    return job


def test_a_run_that_ends_well_has_its_table_and_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def job(folder: Path, listener: Listener) -> None:
        steps(2)(folder, listener)
        listener(EVAL)

    record_run("train", tmp_path, CONFIG, job, resume=False)
    said = capsys.readouterr().out
    assert "held-out accuracy / mean reward" in said
    assert f"report  {tmp_path / 'report.html'}" in said
    assert (tmp_path / "report.html").is_file()
    run = RunFolder.open(tmp_path)
    assert run.config["command"] == "train"
    assert [record["step"] for record in run.metrics("GrpoMetrics")] == [1, 2]


def test_a_run_at_its_end_is_not_run_again(tmp_path: Path) -> None:
    record_run("train", tmp_path, CONFIG, steps(2), resume=False)

    def never(folder: Path, listener: Listener) -> None:
        pytest.fail("ran again")

    record_run("train", tmp_path, CONFIG, never, resume=True)


def test_first_last_and_every_nth_steps_are_stored(tmp_path: Path) -> None:
    record_run("train", tmp_path, CONFIG, steps(CONFIG.grpo.steps), resume=False, store_every=3)
    stored = sorted(path.name for path in (tmp_path / "trajectories").glob("*.parquet"))
    assert CONFIG.grpo.steps == 4
    assert stored == ["grpo-000001.parquet", "grpo-000003.parquet", "grpo-000004.parquet"]


@pytest.mark.parametrize("error", [StorageError("full"), KeyboardInterrupt(), ZeroDivisionError()])
def test_a_run_that_ends_early_says_where_it_stands(
    error: BaseException, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def job(folder: Path, listener: Listener) -> None:
        steps(2)(folder, listener)
        raise error

    with pytest.raises(type(error)):
        record_run("train", tmp_path, CONFIG, job, resume=False)
    assert "the last checkpoint is grpo step 2" in capsys.readouterr().err
    assert not (tmp_path / "report.html").exists()

    def fail(folder: Path, listener: Listener) -> None:
        raise error

    with pytest.raises(type(error)):
        record_run("train", tmp_path, CONFIG, fail, resume=True)
    assert "the last checkpoint is grpo step 2" in capsys.readouterr().err


def test_another_command_does_not_go_on_in_the_folder(tmp_path: Path) -> None:
    record_run("sft", tmp_path, CONFIG, steps(1), resume=False)
    with pytest.raises(InvalidArgumentError, match="another command"):
        record_run("train", tmp_path, CONFIG, steps(1), resume=True)
