"""Tests marked ``gpu`` need a CUDA device, and are left out where there is none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch


@pytest.fixture(scope="session")
def host_library() -> Path:
    """A library as that of the CUDA kernels, whose device is the host (tests/cpp/cuda/host_library.cc)."""
    path = os.environ.get("VISTA_TEST_HOST_LIBRARY")
    if not path:
        pytest.skip("VISTA_TEST_HOST_LIBRARY names no library; make python-test builds one")
    return Path(path)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason="no CUDA device here; scripts/gpu_check.sh runs it where there is"))
