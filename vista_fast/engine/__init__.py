"""The engine: submit calls of Ops, await their results, look at what happened."""

from vista_fast.engine.engine import Engine
from vista_fast.engine.expectation import Expectation
from vista_fast.engine.futures import CallFuture, LoopFuture, Outcome
from vista_fast.engine.many import Done, ManyCalls
from vista_fast.engine.op import BatchFunction, BatchPolicy, Op

__all__ = [
    "BatchFunction",
    "BatchPolicy",
    "CallFuture",
    "Done",
    "Engine",
    "Expectation",
    "LoopFuture",
    "ManyCalls",
    "Op",
    "Outcome",
]
