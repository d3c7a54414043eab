"""A run folder holds whole files or none, whatever happens to the disk or the process."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from pathlib import Path

import pytest

from vista_fast.errors import InvalidArgumentError, NotFoundError, StorageError
from vista_fast.run_folder import RunFolder, make_folder, storage_errors, whole_file, whole_folder

CONFIG = {"preset": "ci", "sizes": (1, 2)}


def limited(body: str, folder: Path, limit: int) -> subprocess.CompletedProcess[str]:
    """Runs ``body`` in a process whose files may not grow beyond ``limit`` bytes: as a full disk looks to it."""
    program = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from vista_fast.errors import StorageError\n"
        "from vista_fast.run_folder import RunFolder, whole_file, whole_folder\n"
        f"folder = Path({str(folder)!r})\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n"
        "try:\n" + "".join(f"    {line}\n" for line in body.splitlines()) + "except StorageError as error:\n"
        "    print(error)\n"
        "    sys.exit(44)\n"
    )
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)


def test_create_open_and_config(tmp_path: Path) -> None:
    made = RunFolder.create(tmp_path / "runs" / "a", CONFIG)
    assert RunFolder.open(made.path).config == {"preset": "ci", "sizes": [1, 2]}
    with pytest.raises(NotFoundError, match="holds no run"):
        RunFolder.open(tmp_path)


def test_a_run_is_only_resumed_on_purpose_and_with_its_own_settings(tmp_path: Path) -> None:
    RunFolder.create(tmp_path, CONFIG)
    with pytest.raises(InvalidArgumentError, match="--resume"):
        RunFolder.create(tmp_path, CONFIG)
    with pytest.raises(InvalidArgumentError, match="another preset"):
        RunFolder.create(tmp_path, {**CONFIG, "preset": "tiny"}, resume=True)
    assert RunFolder.create(tmp_path, CONFIG, resume=True).config == RunFolder.open(tmp_path).config


def test_metrics_come_back_in_order_and_the_later_record_of_a_step_counts(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path, CONFIG)
    for record in (
        {"event": "Grpo", "step": 1, "reward": 0.1},
        {"event": "Eval", "policy": "sft"},
        {"event": "Grpo", "step": 2, "reward": 0.2},
        {"event": "Eval", "policy": "sft"},
        {"event": "Grpo", "step": 2, "reward": 0.3},
        {"event": "Saved", "stage": "sft", "step": 2},
        {"event": "Saved", "stage": "grpo", "step": 2},
    ):
        run.append(record)
    assert [record["reward"] for record in run.metrics("Grpo")] == [0.1, 0.3]
    assert len(run.metrics("Eval")) == 2
    assert len(run.metrics("Saved")) == 2
    assert len(run.metrics()) == 6


def test_a_resumed_run_takes_the_place_of_the_steps_after_its_checkpoint(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path, CONFIG)
    for step in range(1, 8):
        run.append({"event": "Grpo", "step": step, "run": 1})
        run.append({"event": "Saved", "stage": "grpo", "step": step})
    for step in (5, 6):
        run.append({"event": "Grpo", "step": step, "run": 2})
    steps = [(record["step"], record["run"]) for record in run.metrics("Grpo")]
    assert steps == [(1, 1), (2, 1), (3, 1), (4, 1), (5, 2), (6, 2)]
    assert [record["step"] for record in run.metrics("Saved")] == list(range(1, 8))
    assert [record for record in run.metrics() if record["event"] == "Grpo"] == run.metrics("Grpo")


def test_what_json_has_no_word_for_is_null(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path, CONFIG)
    run.append({"step": 1, "loss": float("nan"), "parts": [float("inf"), 1.5], "families": {"a": -float("inf")}})
    assert run.metrics() == [{"step": 1, "loss": None, "parts": [None, 1.5], "families": {"a": None}}]


def test_a_line_cut_by_a_crash_is_not_read_and_is_removed_on_resume(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path, CONFIG)
    run.append({"event": "Grpo", "step": 1})
    with run.metrics_file.open("a") as file:
        file.write('{"event": "Grpo", "st')
    assert [record["step"] for record in run.metrics()] == [1]
    resumed = RunFolder.create(tmp_path, CONFIG, resume=True)
    resumed.append({"event": "Grpo", "step": 2})
    assert [record["step"] for record in resumed.metrics()] == [1, 2]


def test_a_full_disk_takes_back_the_line_that_does_not_fit(tmp_path: Path) -> None:
    body = (
        "run = RunFolder.create(folder, {})\nfor step in range(1000):\n    run.append({'step': step, 'text': 'x' * 50})"
    )
    result = limited(body, tmp_path, 4096)
    assert result.returncode == 44, result.stderr
    assert "metrics.jsonl could not be written" in result.stdout
    assert "--resume" in result.stdout
    text = (tmp_path / "metrics.jsonl").read_text()
    assert text.endswith("}\n")
    assert [json.loads(line)["step"] for line in text.splitlines()] == list(range(len(text.splitlines())))


@pytest.mark.parametrize(
    "write",
    [
        "partial.write_bytes(bytes(100_000))",
        "import torch; torch.save(torch.zeros(100_000), partial)",
        "import torch, safetensors.torch as st; st.save_file({'w': torch.zeros(100_000)}, partial)",
        "import pyarrow as pa, pyarrow.parquet as pq; pq.write_table(pa.table({'a': list(range(100_000))}), partial)",
    ],
    ids=["python", "torch", "safetensors", "pyarrow"],
)
def test_a_full_disk_leaves_the_old_file(write: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    result = limited(f"with whole_file(folder / 'file') as partial:\n    {write}", tmp_path, 8192)
    assert result.returncode == 44, result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "old"


def test_a_full_disk_leaves_no_folder(tmp_path: Path) -> None:
    body = (
        "with whole_folder(folder / 'step') as partial:\n"
        "    (partial / 'small').write_text('fits')\n"
        "    (partial / 'large').write_bytes(bytes(100_000))"
    )
    assert limited(body, tmp_path, 8192).returncode == 44
    assert list(tmp_path.iterdir()) == []


def test_success_replaces_the_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    with whole_file(tmp_path / "file") as partial:
        partial.write_text("new")
        assert (tmp_path / "file").read_text() == "old"
    with whole_folder(tmp_path / "step") as partial:
        (partial / "weights").write_text("w")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "step", "weights"]
    assert (tmp_path / "file").read_text() == "new"


@pytest.mark.parametrize("error", [ValueError("mine"), KeyboardInterrupt()])
def test_any_failure_removes_what_was_begun_and_stays_what_it_is(error: BaseException, tmp_path: Path) -> None:
    def half() -> None:
        with whole_file(tmp_path / "file") as partial:
            partial.write_text("half")
            raise error

    def half_folder() -> None:
        with whole_folder(tmp_path / "step") as partial:
            (partial / "file").write_text("half")
            raise error

    for write in (half, half_folder):
        with pytest.raises(type(error)):
            write()
    assert list(tmp_path.iterdir()) == []


def test_a_partial_folder_of_a_killed_process_does_not_stand_in_the_way(tmp_path: Path) -> None:
    (tmp_path / ".step.partial").mkdir()
    (tmp_path / ".step.partial" / "half").write_text("")
    with whole_folder(tmp_path / "step") as partial:
        (partial / "whole").write_text("")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["step", "whole"]


def test_only_a_full_disk_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="free some space"), storage_errors(tmp_path):
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(PermissionError), storage_errors(tmp_path):
        raise PermissionError(errno.EACCES, "Permission denied")


def test_a_folder_that_takes_no_files_is_named_at_once() -> None:
    with pytest.raises(InvalidArgumentError, match=r"/sys can't hold trajectories .* name another folder"):
        make_folder(Path("/sys"), "trajectories")
