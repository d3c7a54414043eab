"""Each benchmark explains itself, and runs in small with the package as it is now."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parent.parent / "benchmarks"
SCRIPTS = [path for path in sorted(FOLDER.glob("*.py")) if not path.name.startswith("_")]
MEASURED = [path for path in SCRIPTS if "from _measuring import" in path.read_text(encoding="utf-8")]


def run(script: Path, folder: Path, *arguments: str) -> str:
    ran = subprocess.run(
        [sys.executable, str(script), *arguments],
        cwd=folder,
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.mark.parametrize("script", SCRIPTS, ids=[script.stem for script in SCRIPTS])
def test_help(script: Path, tmp_path: Path) -> None:
    assert "usage" in run(script, tmp_path, "--help")


@pytest.mark.parametrize("script", MEASURED, ids=[script.stem for script in MEASURED])
def test_quick(script: Path, tmp_path: Path) -> None:
    before = sorted(FOLDER.rglob("*"))
    assert "ratio" in run(script, tmp_path, "--quick") or script.stem == "soak"
    assert [path for path in sorted(FOLDER.rglob("*")) if "__pycache__" not in path.parts] == [
        path for path in before if "__pycache__" not in path.parts
    ], "a quick run records nothing"
