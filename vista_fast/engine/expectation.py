"""Expectation: a scoped token that a call of an Op may come from a flow soon."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vista_fast._core import EngineCore


class Expectation:
    """Open until the call comes, or until it is released. Use it in a ``with`` block around the turn."""

    def __init__(self, core: EngineCore, tokens: Sequence[int]) -> None:
        self._core = core
        self._tokens = tokens

    def release(self) -> None:
        """The call won't come. Does nothing when it came, or when this was released already."""
        for token in self._tokens:
            self._core.release(token)

    def __enter__(self) -> Expectation:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
