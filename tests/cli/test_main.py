"""The command line from outside: help, exit codes, and one clear line per error."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from vista_fast.cli import exits
from vista_fast.cli.main import COMMANDS, main
from vista_fast.errors import MissingExtraError, StorageError, VistaError


def vista_fast(*arguments: str, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "vista_fast.cli", *arguments], capture_output=True, text=True, check=False, **options
    )


def test_help_names_every_command_and_loads_nothing_heavy() -> None:
    probe = (
        "import sys, vista_fast.cli\n"
        "try: vista_fast.cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'transformers', 'matplotlib', 'cv2', 'rich', 'pyarrow', 'PIL'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    result = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    for command in ("train", "sft", "rollout", "eval", "bench", "doctor"):
        assert f"\n    {command} " in result.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main([command, "--help"])
    assert left.value.code == exits.OK
    assert capsys.readouterr().out.startswith(f"usage: vista-fast {command}")


@pytest.mark.parametrize("arguments", [[], ["fly"], ["train", "--preset", "huge"], ["doctor", "--", "more"]])
def test_wrong_usage_leaves_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == exits.USAGE


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (VistaError("wrong\nthing"), exits.FAILED),
        (StorageError("the disk is full"), exits.STORAGE),
        (MissingExtraError("pip install 'vista-fast[train]'"), exits.MISSING_EXTRA),
        (ModuleNotFoundError("No module named 'pyarrow'", name="pyarrow"), exits.MISSING_EXTRA),
        (KeyboardInterrupt(), exits.INTERRUPTED),
        (exits.Terminated(), exits.TERMINATED),
    ],
)
def test_errors_are_one_line_and_a_code(error: BaseException, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert exits.code_of(error) == code
    said = capsys.readouterr().err
    assert said.startswith("vista-fast: ")
    assert said.count("\n") == 1


def test_what_is_not_expected_is_raised_again() -> None:
    with pytest.raises(ZeroDivisionError):
        exits.code_of(ZeroDivisionError())
    with pytest.raises(ModuleNotFoundError):
        exits.code_of(ModuleNotFoundError("No module named 'vista_fast.x'", name="vista_fast.x"))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_command_in_order(number: signal.Signals, code: int, tmp_path: Path) -> None:
    """A benchmark that closes what it opened stands for any command: it must get to its finally."""
    (tmp_path / "benchmarks").mkdir()
    trace = tmp_path / "closed"
    (tmp_path / "benchmarks" / "endless.py").write_text(
        "import threading\nprint('begun', flush=True)\nthreading.Event().wait()"
    )
    program = (
        "import pathlib, sys\n"
        "from vista_fast.cli import bench\n"
        "from vista_fast.cli.main import main\n"
        "plain = bench.run\n"
        "def run(options):\n"
        "    try: return plain(options)\n"
        f"    finally: pathlib.Path({str(trace)!r}).touch()\n"
        "bench.run = run\n"
        f"sys.exit(main(['bench', 'endless', '--checkout', {str(tmp_path)!r}]))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    while process.stdout.readline() != "begun\n":
        assert process.poll() is None
    os.killpg(process.pid, number)
    assert process.wait(timeout=20) == code
    assert "Traceback" not in process.stderr.read().partition("vista-fast:")[2]
    assert trace.exists()
    process.stdout.close()
    process.stderr.close()


def test_a_reader_that_leaves_is_no_error() -> None:
    result = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {sys.executable} -m vista_fast.cli doctor | head -1 >/dev/null"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in result.stderr
    assert "BrokenPipe" not in result.stderr


def test_version_is_that_of_the_package() -> None:
    result = vista_fast("--version")
    assert result.returncode == 0
    assert result.stdout.startswith("vista-fast ")


def test_doctor_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["doctor", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert code == (exits.OK if found["ready"] else exits.FAILED)
    assert found["machine"]["cores"] == len(os.sched_getaffinity(0))
    assert set(found["threads"]) == {"native workers", "tool networks", "decoding", "training"}
    assert all(choice["why"] for choice in found["choices"])
