"""Programs that run in a process of their own, because what they do can't be undone in the tests'."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

not_under_asan = pytest.mark.skipif(
    "libasan" in os.environ.get("LD_PRELOAD", ""), reason="the sanitizers keep memory, and need it and descriptors"
)


def run_python(source: str) -> subprocess.CompletedProcess[str]:
    """Runs the program with every warning an error; what it imports most is there already."""
    program = "import vista_fast as vf, threading, os, signal, sys\n" + textwrap.dedent(source)
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=120, check=False
    )
