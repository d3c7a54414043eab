"""Op and BatchPolicy: what a user registers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from vista_fast.errors import InvalidArgumentError

BatchFunction: TypeAlias = Callable[[list[dict[str, Any]]], Sequence[Any]]
"""Takes the argument dicts of a Batch; gives one result, or exception instance, per call, in their order."""


LEASE_TIMEOUT = 600.0
"""Seconds that a Batch may run unless its Op says otherwise: far above any model's, so that only a hang is cut."""


@dataclass(frozen=True, slots=True)
class BatchPolicy:
    """When a Batch closes: when it is full, when its oldest member has waited ``max_delay`` seconds, when a member's
    soft deadline less the estimated service time has come, or when no Expectation is open that could still join it.

    With ``linger`` it waits for ``max_delay`` even when nothing is expected.

    An ``adaptive`` policy finds size and delay itself: from the service times that it measures, by size of Batch, and
    from the times between arrivals it weighs whether waiting for one more call would shorten the sum of all latencies.
    ``max_batch`` and ``max_delay`` are its bounds; give them room (256, 0.1). Where Expectations are in use it waits
    only while one is open.
    """

    max_batch: int = 32
    max_delay: float = 0.002
    linger: bool = False
    adaptive: bool = False

    def __post_init__(self) -> None:
        if self.max_batch < 1:
            raise InvalidArgumentError(f"max_batch is {self.max_batch}; it must be at least 1")
        if not 0 <= self.max_delay < 1e6:
            raise InvalidArgumentError(f"max_delay is {self.max_delay}; it must be seconds, from 0 up")
        if self.linger and self.adaptive:
            raise InvalidArgumentError("linger and adaptive are both set; an adaptive policy finds its delay itself")


@dataclass(frozen=True)
class Op:
    """A deterministic batched function in Python.

    ``run`` gets the original arguments (not to be changed: equal calls share them) and runs on one of ``concurrency``
    puller threads. Its results are shared between equal calls, so arrays in them become read-only. An exception
    instance among the results fails its own call; raising, or returning the wrong number of results, makes the members
    run again one by one.

    ``version`` is part of a call's identity: change it when the output changes. ``cacheable`` Ops run equal calls once
    and keep their successes, where these are arrays, Images, numbers, str, bytes, None, or tuples, lists and dicts of
    them: what else comes back is shared with the calls that wait for it, and not kept. ``key(arguments)`` is a call's
    compatibility key (a Batch has one): choosing a Batch takes time for each different key that waits, so let there be
    hundreds at once, not tens of thousands. ``size(arguments)`` is its amount of work. At most ``max_in_flight`` calls
    are in running Batches, and at most ``max_queue`` wait for one (more wait for room as they do when the engine is
    full); with None there is no such limit. A Batch that runs longer than ``timeout`` seconds is given up and its
    puller replaced; with None it may run for ever, and holds its puller. Besides an Image, and what one is opened from,
    ``run`` takes the image as one of ``image_types``, such as a DeviceImage.
    """

    name: str
    version: str
    policy: BatchPolicy = field(default_factory=BatchPolicy)
    run: BatchFunction = field(kw_only=True)
    cacheable: bool = True
    key: Callable[[dict[str, Any]], str | int] | None = None
    size: Callable[[dict[str, Any]], float] | None = None
    timeout: float | None = LEASE_TIMEOUT
    concurrency: int = 1
    max_in_flight: int | None = None
    max_queue: int | None = None
    image_types: tuple[type, ...] = ()

    def __post_init__(self) -> None:
        if not self.name:
            raise InvalidArgumentError("an Op needs a name, such as 'ocr.detect'")
        for limit in ("concurrency", "max_in_flight", "max_queue"):
            value = getattr(self, limit)
            if value is not None and value < 1:
                raise InvalidArgumentError(f"{limit} of Op '{self.name}' is {value}; it must be at least 1")
        if self.timeout is not None and not 0 < self.timeout < 1e9:
            raise InvalidArgumentError(f"timeout of Op '{self.name}' is {self.timeout}; it must be seconds above 0")
