"""Continuous decoding: rows join and leave between steps, and a session's keys and values outlive its turn."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from vista_fast.errors import AbortedError, InvalidArgumentError
from vista_fast.rollout.features import FeatureCache
from vista_fast.rollout.generator import DecodeSpan, Finish, Generation, Patches, Sampling
from vista_fast.rollout.kv import Context, ContextStore
from vista_fast.rollout.policy import DecodablePolicy
from vista_fast.rollout.positions import Span
from vista_fast.rollout.sampling import StopText, TokenSampler, noise

_SPANS_KEPT = 1_000_000


@dataclass(eq=False, slots=True)
class Request:
    """One call of ``generate`` on its way: what to continue, and what was drawn so far."""

    session: str
    ids: npt.NDArray[np.int64]
    images: tuple[Patches, ...]
    sampling: Sampling
    submitted: float
    started: float = 0.0
    cancelled: bool = False
    sampled: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    uniforms: npt.NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        self.uniforms = noise(self.sampling.seed, self.sampling.max_tokens)

    @property
    def hashes(self) -> tuple[str, ...]:
        """The hashes of its images."""
        return tuple(image.hash for image in self.images)

    @property
    def prompt_key(self) -> Hashable:
        """Equal for requests whose whole contexts are equal."""
        return ("prompt", self.ids.tobytes(), self.hashes)


Outcome: TypeAlias = tuple[Request, Generation | BaseException]
"""A request that is done, and what came of it."""


@dataclass(slots=True)
class _Join:
    """A request about to take a row: the computed context it starts from, and the span still to compute."""

    request: Request
    context: Context | None
    span: Span
    row: int = -1

    @property
    def past(self) -> int:
        return 0 if self.context is None else len(self.context.ids)


def _share(joins: Sequence[_Join]) -> tuple[list[_Join], list[_Join], dict[Hashable, _Join]]:
    """Joins to compute, joins to copy, and by prompt the computed join that copies follow."""
    computed: list[_Join] = []
    copied: list[_Join] = []
    leaders: dict[Hashable, _Join] = {}
    for join in joins:
        if len(join.span.ids) == 0:
            copied.append(join)
        elif join.context is not None or leaders.setdefault(join.request.prompt_key, join) is join:
            computed.append(join)
        else:
            copied.append(join)
    return computed, copied, leaders


class ContinuousDecoder:
    """The decode loop's state and its one step. Not thread-safe: one thread owns it.

    Args:
        policy: the model.
        stop_text: how ids become text.
        max_slots: how many rows decode at once; further requests wait, first come first served.
        kv_bytes: the budget of keys and values of sessions that are not decoding; beyond it the least recently used
            is dropped and prefilled again.
        vision_bytes: the budget of encoded images.
        join_every: waiting requests join at every so many decode steps, so that they are prefilled together; at once
            when no row decodes.
        prefill_ids: a prefill forward takes at most this many ids, padding included (one long row may exceed it).
        weight_version: the version that generations carry until ``update``.
    """

    def __init__(
        self,
        policy: DecodablePolicy,
        stop_text: StopText,
        *,
        max_slots: int,
        kv_bytes: int,
        vision_bytes: int,
        join_every: int,
        prefill_ids: int,
        weight_version: int,
    ) -> None:
        self._policy = policy
        self._stop_text = stop_text
        self._max_slots = max_slots
        self._join_every = join_every
        self._steps_since_join = 0
        self._prefill_ids = prefill_ids
        self._arena = policy.arena(max_slots)
        self._contexts = ContextStore(kv_bytes)
        self._features = FeatureCache(policy, vision_bytes)
        self._sampler = TokenSampler(policy.vocabulary, policy.device)
        self._version = weight_version
        self._waiting: deque[Request] = deque()
        self._rows: list[Request] = []
        self._finished: list[Outcome] = []
        self._next_id = np.zeros(max_slots, dtype=np.int64)
        self._past = np.zeros(max_slots, dtype=np.int64)
        self._position = np.zeros(max_slots, dtype=np.int64)
        self._busy_since: float | None = None
        self._idle_since = 0.0
        self.spans: deque[DecodeSpan] = deque(maxlen=_SPANS_KEPT)
        self.counts = {"prefill_ids": 0, "decode_ids": 0, "prompts_shared": 0, "contexts_resumed": 0}

    @property
    def busy(self) -> bool:
        """Whether any request is waiting or decoding."""
        return bool(self._rows or self._waiting)

    @property
    def stats(self) -> dict[str, int]:
        """Counts since the start, and what is held now."""
        return self.counts | {
            "images_encoded": self._features.encoded,
            "contexts_evicted": self._contexts.evictions,
            "context_bytes": self._contexts.nbytes,
            "rows": len(self._rows),
            "waiting": len(self._waiting),
        }

    def submit(self, request: Request) -> None:
        """Queue a request."""
        self._waiting.append(request)
        if self._busy_since is None:
            self._busy_since = max(request.submitted, self._idle_since)

    def release(self, session: str) -> None:
        """Forget a session's keys and values."""
        self._contexts.drop(("session", session))

    def update(self, version: int) -> None:
        """Take over changed weights; what was computed with the old ones is forgotten. Only while not busy."""
        self._policy.refresh()
        self._contexts.clear()
        self._features.clear()
        self._version = version

    def fail_all(self, error: BaseException) -> list[Outcome]:
        """Give every request up with this error, and forget all computed contexts."""
        failed: list[Outcome] = [(request, error) for request in (*self._rows, *self._waiting)]
        failed += self._finished
        self._rows.clear()
        self._waiting.clear()
        self._finished = []
        self._contexts.clear()
        self._busy_since = None
        return failed

    @torch.inference_mode()
    def step(self) -> list[Outcome]:
        """Let waiting requests join, then advance every row by one id; returns the requests that are done."""
        self._drop_cancelled()
        if not self._rows or self._steps_since_join >= self._join_every:
            self._steps_since_join = 0
            self._admit()
        if self._rows:
            self._steps_since_join += 1
            self._decode()
        if not self.busy and self._busy_since is not None:
            self._idle_since, self._busy_since = self._busy_since, None
        finished, self._finished = self._finished, []
        return finished

    def _drop_cancelled(self) -> None:
        cancelled = [request for request in (*self._waiting, *self._rows) if request.cancelled]
        if not cancelled:
            return
        self._waiting = deque(request for request in self._waiting if not request.cancelled)
        for row in reversed(range(len(self._rows))):
            if self._rows[row].cancelled:
                self._vacate(row)
        self._finished += [
            (request, AbortedError(f"the generation of session {request.session!r} was cancelled"))
            for request in cancelled
        ]

    def _admit(self) -> None:
        joins: list[_Join] = []
        while self._waiting and len(self._rows) + len(joins) < self._max_slots:
            request = self._waiting.popleft()
            try:
                joins.append(self._plan(request))
            except Exception as error:
                self._finished.append((request, error))
        if not joins:
            return
        computed, copied, leaders = _share(joins)
        computed.sort(key=lambda join: len(join.span.ids))
        first, now = len(self._rows), time.monotonic()
        for row, join in enumerate((*computed, *copied), start=first):
            join.row = row
            join.request.started = now
            self._rows.append(join.request)
        logits = [row_logits for chunk in self._chunks(computed) for row_logits in self._prefill(chunk)]
        for join in copied:
            leader = leaders.get(join.request.prompt_key)
            if leader is None:
                logits.append(self._copy(join))
            else:
                logits.append(self._copy_row(join, leader, logits[leader.row - first]))
        self._accept(first, torch.stack(logits))
        self._note("prefill", len(joins), sum(len(join.span.ids) for join in computed))

    def _plan(self, request: Request) -> _Join:
        """Where the request can start from: its session's context, an equal prompt's, or nothing."""
        if not 0 <= request.ids.min() <= request.ids.max() < self._policy.vocabulary:
            raise InvalidArgumentError(
                f"ids lie in {request.ids.min()} to {request.ids.max()}, but the model has {self._policy.vocabulary}; "
                "use the model's own tokenizer"
            )
        hashes = request.hashes
        context = self._contexts.get(("session", request.session))
        if context is not None and not (len(context.ids) < len(request.ids) and context.begins(request.ids, hashes)):
            context = None
        if context is not None:
            self.counts["contexts_resumed"] += 1
        else:
            context = self._contexts.get(request.prompt_key)
        if context is None:
            span = self._policy.lay_out(request.ids, [image.grid for image in request.images], 0)
        else:
            grids = [image.grid for image in request.images[len(context.images) :]]
            span = self._policy.lay_out(request.ids[len(context.ids) :], grids, context.position)
        return _Join(request, context, span)

    def _chunks(self, joins: Sequence[_Join]) -> list[list[_Join]]:
        """Joins, shortest span first, cut so that a forward stays within its ids and pads at most about twofold."""
        chunks: list[list[_Join]] = []
        for join in joins:
            length = len(join.span.ids)
            if chunks:
                rows, shortest = len(chunks[-1]) + 1, len(chunks[-1][0].span.ids)
                if rows * length <= self._prefill_ids and length <= 2 * shortest + 16:
                    chunks[-1].append(join)
                    continue
            chunks.append([join])
        return chunks

    def _prefill(self, joins: list[_Join]) -> torch.Tensor:
        """Compute the spans of rows that lie side by side; returns logits [rows, vocabulary]."""
        first, longest = joins[0].row, max(len(join.span.ids) for join in joins)
        self._arena.reserve(max(join.past for join in joins) + longest)
        ids = np.zeros((len(joins), longest), dtype=np.int64)
        positions = np.zeros((3, len(joins), longest), dtype=np.int64)
        is_image = np.zeros((len(joins), longest), dtype=np.bool_)
        images: list[Patches] = []
        for index, join in enumerate(joins):
            if join.context is not None:
                self._arena.load(join.row, join.context.kv)
                images += join.request.images[len(join.context.images) :]
            else:
                images += join.request.images
            count = len(join.span.ids)
            ids[index, :count] = join.span.ids
            positions[:, index, :count] = join.span.positions
            is_image[index, :count] = join.span.is_image
            self._past[join.row] = join.past
            self._position[join.row] = join.span.next
        device = self._policy.device
        embeddings = self._policy.embed(torch.from_numpy(ids).to(device))
        if images:
            features = torch.cat(self._features.of(images)).to(embeddings.dtype)
            embeddings[torch.from_numpy(is_image).to(device)] = features
        past = torch.from_numpy(self._past[first : first + len(joins)].copy()).to(device)
        counts = np.array([len(join.span.ids) for join in joins], dtype=np.int64)
        last = torch.from_numpy(counts - 1).to(device)
        logits = self._policy.forward(
            embeddings, torch.from_numpy(positions).to(device), self._arena, first, past, last
        )
        self._past[first : first + len(joins)] += counts
        self.counts["prefill_ids"] += int(counts.sum())
        for join, row_logits in zip(joins, logits, strict=True):
            if join.context is None:
                self._contexts.put(join.request.prompt_key, self._context_of(join.row, row_logits.clone()))
        return logits

    def _copy(self, join: _Join) -> torch.Tensor:
        """Start a row from an equal prompt held from before; returns the logits after it."""
        context = join.context
        assert context is not None
        assert context.logits is not None
        self._arena.load(join.row, context.kv)
        self._past[join.row], self._position[join.row] = join.past, context.position
        self.counts["prompts_shared"] += 1
        return context.logits

    def _copy_row(self, join: _Join, leader: _Join, logits: torch.Tensor) -> torch.Tensor:
        """Start a row from an equal prompt that another row has just computed; returns the logits after it."""
        length = len(join.request.ids)
        self._arena.move(leader.row, join.row, length)
        self._past[join.row], self._position[join.row] = length, leader.span.next
        self.counts["prompts_shared"] += 1
        return logits

    def _context_of(self, row: int, logits: torch.Tensor | None) -> Context:
        request, past = self._rows[row], int(self._past[row])
        ids = np.concatenate([request.ids, np.array(request.sampled, dtype=np.int64)])[:past]
        return Context(ids, request.hashes, int(self._position[row]), self._arena.save(row, past), logits)

    def _decode(self) -> None:
        rows = len(self._rows)
        self._arena.reserve(int(self._past[:rows].max()) + 1)
        device = self._policy.device
        ids = torch.from_numpy(self._next_id[:rows, None].copy()).to(device)
        positions = torch.from_numpy(self._position[:rows].copy()).to(device).expand(3, rows)[..., None]
        past = torch.from_numpy(self._past[:rows].copy()).to(device)
        logits = self._policy.forward(self._policy.embed(ids), positions, self._arena, 0, past, torch.zeros_like(past))
        self._past[:rows] += 1
        self._position[:rows] += 1
        self.counts["decode_ids"] += rows
        self._accept(0, logits)
        self._note("decode", rows, rows)

    def _accept(self, first: int, logits: torch.Tensor) -> None:
        """Draw the next id of rows ``first`` onward; rows that are done with it leave."""
        requests = self._rows[first:]
        uniforms = np.array([r.uniforms[len(r.sampled)] for r in requests])
        drawn, logprobs = self._sampler.draw(logits, [r.sampling for r in requests], uniforms)
        self._next_id[first : first + len(requests)] = drawn
        ends: list[tuple[int, Finish, str]] = []
        for row, (request, token, logprob) in enumerate(
            zip(requests, drawn.tolist(), logprobs.tolist(), strict=True), start=first
        ):
            request.sampled.append(token)
            request.logprobs.append(logprob)
            end = self._end_of(request)
            if end is not None:
                ends.append((row, *end))
        for row, finish, text in reversed(ends):
            self._finish(row, finish, text)

    def _end_of(self, request: Request) -> tuple[Finish, str] | None:
        sampled, sampling = request.sampled, request.sampling
        if sampled[-1] in sampling.end_ids:
            return "end", self._stop_text.text(sampled[:-1])
        text = self._stop_text.cut(sampled, sampling.stop)
        if text is not None:
            return "stop", text
        if len(sampled) >= sampling.max_tokens:
            return "length", self._stop_text.text(sampled)
        return None

    def _finish(self, row: int, finish: Finish, text: str) -> None:
        request = self._rows[row]
        self._contexts.put(("session", request.session), self._context_of(row, None))
        self._vacate(row)
        generation = Generation(
            request.sampled, request.logprobs, text, finish, self._version, request.started, time.monotonic()
        )
        self._finished.append((request, generation))

    def _vacate(self, row: int) -> None:
        """Free a row; the last row moves into its place."""
        last = len(self._rows) - 1
        if row != last:
            self._arena.move(last, row, int(self._past[last]))
            for state in (self._next_id, self._past, self._position):
                state[row] = state[last]
            self._rows[row] = self._rows[last]
        self._rows.pop()

    def _note(self, kind: Any, rows: int, tokens: int) -> None:
        """Record a span of work; it begins where the last one ended, for there was work to do all along."""
        now = time.monotonic()
        began = self._busy_since if self._busy_since is not None else now
        self.spans.append(DecodeSpan(kind, began, now, rows, tokens))
        self._busy_since = now
