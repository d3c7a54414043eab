"""The folder kernels/ of the checkout is importable as vista_fast.kernels and under no other name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_a_bare_import_from_the_checkout_is_refused() -> None:
    command = [sys.executable, "-c", "import kernels"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode != 0
    assert "this folder is vista_fast.kernels" in result.stderr


def test_its_page_loads_neither_torch_nor_triton() -> None:
    probe = "import sys, vista_fast.kernels; print(*{'torch', 'triton'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []
