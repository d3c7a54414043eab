"""The Generator over a transformers model: a decode thread beside the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import Any

import numpy as np
import torch

from vista_fast.errors import AbortedError, InvalidArgumentError
from vista_fast.rollout.continuous import ContinuousDecoder, Outcome, Request
from vista_fast.rollout.generator import JOIN_EVERY, DecodeSpan, Generation, Patches, Sampling
from vista_fast.rollout.policy import DecodablePolicy, FastQwenVL, QwenVL
from vista_fast.rollout.sampling import StopText

_FUSED_UP_TO = 200_000_000
"""Models of up to this many parameters decode through FastQwenVL: it holds a second copy of most weights."""


class TransformersGenerator:
    """Continues ids with a transformers model, all unfinished sessions together, with no barrier per turn.

    Torch runs in one thread of its own. Between decode steps requests join and leave; a session's keys and values are
    kept when its turn ends, so its next turn computes only what was appended. Equal prompts are computed once and
    copied; equal images are encoded once per weight version.

    The model's parameters may be trained in place while no generation is outstanding; call ``update_weights`` after.

    Args:
        model: a Qwen2-VL or Qwen2.5-VL model of transformers, in eval mode, any dtype and device.
        tokenizer: its tokenizer; only ``decode`` is used, to find stop strings.
        max_slots: how many sessions decode at once; more wait for a slot.
        kv_bytes: budget of keys and values of sessions that wait for tools.
        vision_bytes: budget of encoded images.
        join_every: waiting sessions join at every so many decode steps, so that they are prefilled together; at once
            when none decodes.
        prefill_ids: at most this many ids, padding included, in one prefill forward.
        weight_version: the version that generations carry until ``update_weights``.
        threads: torch's threads while it decodes on a CPU; None leaves torch its own number.
        policy: how the model is run; by default the fused path for small models, transformers' own forward for large.

    Raises:
        InvalidArgumentError: the model is of a class that no policy is known for.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        max_slots: int = 64,
        kv_bytes: int = 1 << 30,
        vision_bytes: int = 256 << 20,
        join_every: int = JOIN_EVERY,
        prefill_ids: int = 8192,
        weight_version: int = 0,
        threads: int | None = None,
        policy: DecodablePolicy | None = None,
    ) -> None:
        for name, value in (("max_slots", max_slots), ("join_every", join_every), ("threads", threads)):
            if value is not None and value < 1:
                raise InvalidArgumentError(f"{name} is {value}; give at least 1")
        self._decoder = ContinuousDecoder(
            policy or default_policy(model),
            StopText(_decoding(tokenizer)),
            max_slots=max_slots,
            kv_bytes=kv_bytes,
            vision_bytes=vision_bytes,
            join_every=join_every,
            prefill_ids=prefill_ids,
            weight_version=weight_version,
        )
        self.max_slots = max_slots
        self._threads = threads
        self._futures: dict[Request, asyncio.Future[Generation]] = {}
        self._commands: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="vista-decode", daemon=True)
        self._thread.start()

    async def generate(
        self, session: str, ids: Sequence[int], images: Sequence[Patches], sampling: Sampling
    ) -> Generation:
        """Continue ``ids``, the session's whole context so far; see ``Generator.generate``.

        Raises:
            InvalidArgumentError: ``ids`` is empty, or its placeholders do not match ``images``.
            AbortedError: the generator is, or was meanwhile, closed.
        """
        if not len(ids):
            raise InvalidArgumentError("ids is empty; give the prompt's ids")
        request = Request(session, np.asarray(ids, dtype=np.int64), tuple(images), sampling, time.monotonic())
        future: asyncio.Future[Generation] = asyncio.get_running_loop().create_future()

        def submit() -> None:
            self._futures[request] = future
            self._decoder.submit(request)

        self._command(submit)
        try:
            return await future
        except asyncio.CancelledError:
            request.cancelled = True
            raise

    def release(self, session: str) -> None:
        """Forget a session's keys and values."""
        if not self._closed:
            self._command(lambda: self._decoder.release(session))

    def update_weights(self, version: int) -> None:
        """Take over the model's changed parameters; returns when nothing computed with the old ones is left.

        Raises:
            InvalidArgumentError: a generation is outstanding, whose ids would come from two versions.
        """
        done: Future[None] = Future()

        def update() -> None:
            try:
                if self._decoder.busy:
                    message = f"update_weights({version}) while generations are outstanding; await them first"
                    raise InvalidArgumentError(message)
                self._decoder.update(version)
            except Exception as error:
                # Raised where the update was asked for: here it would end the decode thread, and everyone would wait.
                done.set_exception(error)
            else:
                done.set_result(None)

        self._command(update)
        done.result()

    def drain_spans(self) -> list[DecodeSpan]:
        """The spans of work since the last call, in order."""
        spans = self._decoder.spans
        return [spans.popleft() for _ in range(len(spans))]

    @property
    def stats(self) -> dict[str, int]:
        """Counts since the start (ids prefilled and decoded, prompts shared, images encoded) and what is held."""
        return self._decoder.stats

    def close(self) -> None:
        """Stop the thread; outstanding generations raise AbortedError. Closing twice is fine."""
        with self._lock:
            self._closed = True
            self._commands.put(lambda: None)
        self._thread.join()

    def __enter__(self) -> TransformersGenerator:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _command(self, command: Callable[[], None]) -> None:
        with self._lock:
            if self._closed:
                raise AbortedError("the generator is closed; create a new one")
            self._commands.put(command)

    def _run(self) -> None:
        if self._threads is not None:
            # Of this thread alone: one that has used torch before, such as a trainer's, keeps its own number.
            torch.set_num_threads(self._threads)
        while not self._closed:
            self._take_commands()
            if self._decoder.busy and not self._closed:
                try:
                    self._deliver(self._decoder.step())
                except Exception as error:
                    self._deliver(self._decoder.fail_all(error))
        self._take_commands(wait=False)
        closed = AbortedError("the generator was closed during the generation; create a new one")
        self._deliver(self._decoder.fail_all(closed))

    def _deliver(self, outcomes: Sequence[Outcome]) -> None:
        """Settle the futures of a step, with one wake-up per event loop."""
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Generation], Outcome]]] = {}
        for outcome in outcomes:
            future = self._futures.pop(outcome[0])
            by_loop.setdefault(future.get_loop(), []).append((future, outcome))
        for loop, settled in by_loop.items():
            # A loop that is closed meanwhile has nobody waiting.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(_settle, settled)

    def _take_commands(self, wait: bool = True) -> None:
        """Carry out what other threads asked for; waits for the first when there is nothing to decode."""
        block = wait and not self._decoder.busy
        while True:
            try:
                command = self._commands.get(block=block)
            except queue.Empty:
                return
            command()
            block = False


def default_policy(model: Any) -> DecodablePolicy:
    """The fused path for small models of the Qwen-VL classes, transformers' own forward for the others."""
    general = QwenVL(model)
    small = sum(parameter.numel() for parameter in model.parameters()) <= _FUSED_UP_TO
    return FastQwenVL(model) if small and model.config.text_config.hidden_act == "silu" else general


def _settle(settled: Sequence[tuple[asyncio.Future[Generation], Outcome]]) -> None:
    for future, (_, result) in settled:
        if future.done():
            continue
        if isinstance(result, BaseException):
            future.set_exception(result)
        else:
            future.set_result(result)


def _decoding(tokenizer: Any) -> Callable[[list[int]], str]:
    def decode(ids: list[int]) -> str:
        return str(tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False))

    return decode
