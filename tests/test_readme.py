"""The README's Python blocks run as they stand, and those that show how to add something stay under 30 lines."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).resolve().parent.parent / "README.md"
BLOCKS = re.findall(r"^## ([^\n]+)\n(?:(?!^## ).)*?^```python\n(.*?)^```", README.read_text("utf-8"), re.M | re.S)


@pytest.mark.parametrize(("title", "code"), BLOCKS, ids=[title for title, _ in BLOCKS])
def test_block_runs(title: str, code: str, tmp_path: Path) -> None:
    assert len(code.splitlines()) < 30
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, f"{title}: {ran.stderr}"


def test_the_environment_line_runs(tmp_path: Path) -> None:
    (code,) = re.findall(r"/python -c '([^']+)'", README.read_text("utf-8"))
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip()


def test_shows_engine_op_tool_and_task() -> None:
    assert [title for title, _ in BLOCKS] == [
        "The engine in ten lines",
        "Add an Op",
        "Tune and watch an Op",
        "Add a Tool",
        "Add a Task",
    ]
