"""One budget of threads, and who gets how many of it."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ThreadSplit:
    """How a budget is shared.

    Training runs alone and has all of it (``torch``). Decoding a small policy gains little from more threads, and what
    it leaves are cores on which tools run meanwhile: it has half (``decoding``). Tools come in bursts and may fill the
    machine (``tools``: native workers, and threads of each network).
    """

    torch: int
    decoding: int
    tools: int


def split_threads(budget: int | None = None) -> ThreadSplit:
    """The shares of ``budget`` threads; None means the cores that this process may use."""
    budget = len(os.sched_getaffinity(0)) if budget is None else budget
    return ThreadSplit(torch=budget, decoding=max(1, budget // 2), tools=budget)
