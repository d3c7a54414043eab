"""What the environments of these tests play on: the true toolbox on a small engine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from drawn_tasks import Drawn

from vista_fast.engine import Engine
from vista_fast.tools import Toolbox


@pytest.fixture
def engine() -> Iterator[Engine]:
    with Engine(threads=1) as engine:
        yield engine


@pytest.fixture
def toolbox(engine: Engine) -> Toolbox:
    return Toolbox.default(engine)


@pytest.fixture
def drawn() -> Drawn:
    return Drawn()
