"""An engine without a cache, so that every call runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import vista_fast as vf


@pytest.fixture(scope="session")
def engine() -> Iterator[vf.Engine]:
    with vf.Engine(threads=1, cache_bytes=0) as engine:
        yield engine
