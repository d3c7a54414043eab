"""Doubles for the turn loop's neighbours: an engine that cuts patches, a toolbox with latencies, a scripted policy."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from vista_fast.rollout import DecodeSpan, Generation, Patches, Sampling
from vista_fast.rollout.template import ChatTemplate
from vista_fast.types import CallRecord, Observation, Task, ToolCall

GRID = (1, 4, 6)


class Engine:
    """Opens any value as an image of 6 visual tokens; counts what it opens and preprocesses."""

    def __init__(self) -> None:
        self.opened: list[Any] = []
        self.preprocessed: list[str] = []

    def image(self, source: Any) -> Any:
        self.opened.append(source)
        if isinstance(source, Exception):
            raise source
        return SimpleNamespace(hash=hashlib.blake2b(repr(source).encode(), digest_size=16).hexdigest(), source=source)

    def acall(self, op: str, image: Any, **arguments: Any) -> asyncio.Future[Any]:
        assert op == "image.preprocess"
        self.preprocessed.append(image.hash)
        future = asyncio.get_running_loop().create_future()
        if isinstance(image.source, tuple):
            future.set_exception(image.source[0])
        else:
            seed = int(image.hash[:8], 16)
            values = np.random.default_rng(seed).standard_normal((24, 96)).astype(np.float32)
            future.set_result({"pixel_values": values, "grid_thw": GRID})
        return future


class Toolbox:
    """Answers a call after ``latency(flow)`` seconds of the loop's time."""

    def __init__(
        self,
        engine: Engine,
        answer: Callable[[str, ToolCall], Observation] = lambda flow, call: Observation("seen"),
        latency: Callable[[str], float] = lambda flow: 0.0,
    ) -> None:
        self.engine = engine
        self.calls: list[tuple[str, ToolCall, tuple[Any, ...], float]] = []
        self.expected: list[str] = []
        self._answer = answer
        self._latency = latency

    def schemas(self) -> list[dict[str, Any]]:
        return [{"type": "function", "function": {"name": "look", "description": "", "parameters": {}}}]

    @contextlib.contextmanager
    def expect(self, flow: str) -> Iterator[None]:
        self.expected.append(flow)
        yield

    async def record(
        self, call: ToolCall, *, images: Sequence[Any], flow: str, priority: int, deadline: float | None
    ) -> tuple[Observation, CallRecord]:
        loop = asyncio.get_running_loop()
        submitted = loop.time()
        self.calls.append((flow, call, tuple(images), submitted))
        await asyncio.sleep(self._latency(flow))
        return self._answer(flow, call), CallRecord(call, submitted, loop.time(), "run")


class Script:
    """A Generator that says what ``turn(session, number)`` says, one id per ``step`` seconds of the loop's time."""

    def __init__(self, template: ChatTemplate, turn: Callable[[str, int], str | list[int]], step: float = 0.0) -> None:
        self._template = template
        self._turn = turn
        self._step = step
        self.asked: dict[str, list[tuple[list[int], list[Patches], Sampling]]] = {}
        self.released: list[str] = []
        self.ended: dict[tuple[str, int], float] = {}

    async def generate(
        self, session: str, ids: Sequence[int], images: Sequence[Patches], sampling: Sampling
    ) -> Generation:
        number = len(self.asked.setdefault(session, []))
        self.asked[session].append((list(ids), list(images), sampling))
        said = self._turn(session, number)
        tokens = self._template.encode(said) if isinstance(said, str) else list(said)
        cut = len(tokens) > sampling.max_tokens
        tokens = tokens[: sampling.max_tokens]
        started = asyncio.get_running_loop().time()
        await asyncio.sleep(self._step * len(tokens))
        ended = asyncio.get_running_loop().time()
        self.ended[session, number] = ended
        end = tokens[-1] == self._template.end_id
        text = self._template.decode(tokens[:-1] if end else tokens)
        logprobs = [-0.25 * (1 + index) for index in range(len(tokens))]
        finish = "length" if cut else "end" if end else "stop"
        return Generation(tokens, logprobs, text, finish, 7, started, ended)

    def release(self, session: str) -> None:
        self.released.append(session)

    def drain_spans(self) -> list[DecodeSpan]:
        return []


def call(name: str = "look") -> str:
    return f'<think>x</think><tool_call>{{"name": "{name}", "arguments": {{}}}}</tool_call>'


def answer(text: str = "yes") -> str:
    return f"<think>x</think><answer>{text}</answer>"


def task(name: str = "t", images: tuple[Any, ...] = ("picture",)) -> Task:
    return Task(name, "made", "made", "what is it?", images, "yes", lambda given, truth: given == truth)
