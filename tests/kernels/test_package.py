"""The folder kernels/ of the checkout is the package vista_fast.kernels."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_folder_is_not_taken_for_the_package_of_that_name() -> None:
    """transformers looks for a package ``kernels`` by name, and finds this folder where the checkout is on the path."""
    probe = "import transformers.activations, transformers.utils as u; print(u.is_kernels_available())"
    result = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.stdout.strip() == "False", result.stderr


def test_its_page_loads_neither_torch_nor_triton() -> None:
    probe = "import sys, vista_fast.kernels; print(*{'torch', 'triton'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []
