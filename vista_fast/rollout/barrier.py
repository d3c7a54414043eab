"""A barrier per round, for members that leave: kept to compare with rollouts that have none."""

from __future__ import annotations

import asyncio


class RoundBarrier:
    """Lets nobody pass until every member that is still there has arrived."""

    def __init__(self, members: int) -> None:
        self._members = members
        self._arrived = 0
        self._open = asyncio.Event()

    async def arrive(self) -> None:
        """Wait for the others."""
        gate = self._open
        self._arrived += 1
        self._pass_when_complete()
        await gate.wait()

    def leave(self) -> None:
        """Stop being waited for."""
        self._members -= 1
        self._pass_when_complete()

    def _pass_when_complete(self) -> None:
        if self._arrived >= self._members:
            self._open.set()
            self._open = asyncio.Event()
            self._arrived = 0
