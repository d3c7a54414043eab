"""The stub of the compiled core says what is in it, by mypy's own comparison."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mypy")

# What pybind11 does to every class, and what a stub has no other word for.
ALLOWED = r"""
vista_fast\._core\.(ClassHead|CompletionQueue|ConvolutionNetwork|CudaPreprocess|DeviceArray|DevicePixels|EngineCore|HeldBatch|LoopCaller|Image|Many|Object)
vista_fast\._core\.(DeviceArray|Image|Many|Object)\.__init__
vista_fast\._core\.Image\.__buffer__
"""


def test_the_stub_is_that_of_the_core(tmp_path: Path) -> None:
    allowed = tmp_path / "allowed"
    allowed.write_text(ALLOWED)
    # What the package imports besides would take a minute to read, and says nothing of the core.
    settings = tmp_path / "settings"
    settings.write_text("[mypy]\nfollow_imports = skip\n")
    options = ["--concise", "--allowlist", str(allowed), "--mypy-config-file", str(settings)]
    options += ["--ignore-unused-allowlist"]  # from Python 3.12 on, __buffer__ is there
    compared = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", "vista_fast._core", *options],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert compared.returncode == 0, compared.stdout + compared.stderr
