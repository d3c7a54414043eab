"""The package as it lies in the checkout: sources without a compiled core, which hide the installed package."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

SOURCES = Path(__file__).resolve().parent.parent / "vista_fast"


def test_sources_without_the_core_say_what_to_do(tmp_path: Path) -> None:
    shutil.copytree(SOURCES, tmp_path / "vista_fast", ignore=shutil.ignore_patterns("*.so", "weights", "__pycache__"))
    ran = subprocess.run(
        [sys.executable, "-c", "import vista_fast as vf; vf.Engine"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1
    assert f"{tmp_path} holds the sources of vista_fast without its compiled core" in ran.stderr
    assert "pip install -e ." in ran.stderr
