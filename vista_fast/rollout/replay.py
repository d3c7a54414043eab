"""Replays: recorded trajectories played again, by a Generator in real or virtual time, or as pure arithmetic."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from vista_fast.errors import InvalidArgumentError, NotFoundError
from vista_fast.rollout.generator import JOIN_EVERY, DecodeSpan, Finish, Generation, Patches, Sampling
from vista_fast.rollout.timeline import Interval
from vista_fast.types import Trajectory, Turn

_ENOUGH_SPANS = 20


@dataclass(frozen=True, slots=True)
class StepCost:
    """Seconds that a step takes: a constant, and a part per row (decode) or per id (prefill)."""

    decode: float
    decode_row: float = 0.0
    prefill: float = 0.0
    prefill_id: float = 0.0

    @classmethod
    def at_rate(cls, tokens_per_second: float) -> StepCost:
        """Every row advances at this rate, however many there are; prefill takes no time."""
        if not tokens_per_second > 0:
            raise InvalidArgumentError(f"tokens_per_second is {tokens_per_second}; give a positive number")
        return cls(decode=1.0 / tokens_per_second)

    @classmethod
    def fit(cls, spans: Sequence[DecodeSpan], calls: Sequence[Interval] = ()) -> StepCost:
        """Least squares over measured spans.

        Decode steps that ran while a call was outstanding shared the machine with tools; where enough others were
        measured, only those count, so that the replay is one in which tools cost nothing.
        """
        decode = [span for span in spans if span.kind == "decode"]
        alone = [span for span in decode if not any(a < span.ended and span.started < b for a, b in calls)]
        decode = alone if len(alone) >= _ENOUGH_SPANS else decode
        constant, per_row = _line([(span.rows, span.ended - span.started) for span in decode])
        prefill, per_id = _line([(s.tokens, s.ended - s.started) for s in spans if s.kind == "prefill"])
        return cls(constant, per_row, prefill, per_id)


def _line(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Intercept and slope, neither negative, of the least-squares line."""
    if not points:
        return 0.0, 0.0
    x_mean = sum(x for x, _ in points) / len(points)
    y_mean = sum(y for _, y in points) / len(points)
    spread = sum((x - x_mean) ** 2 for x, _ in points)
    slope = sum((x - x_mean) * (y - y_mean) for x, y in points) / spread if spread > 0 else 0.0
    slope = min(max(slope, 0.0), y_mean / x_mean if x_mean > 0 else 0.0)
    return y_mean - slope * x_mean, slope


@dataclass(slots=True)
class _Row:
    name: str
    prefill: int
    left: int


@dataclass(slots=True)
class SlotSchedule:
    """Continuous decoding as arithmetic: who decodes in which step, and how long the step takes.

    Like the decoder that it stands for: at most ``slots`` rows, first come first served; those that join, at every
    ``join_every`` steps, are prefilled together, which gives their first id, and then every row advances by one.
    """

    slots: int
    cost: StepCost
    join_every: int = 1
    _since_join: int = 0
    _waiting: deque[_Row] = field(default_factory=deque)
    _rows: list[_Row] = field(default_factory=list)

    @property
    def busy(self) -> bool:
        """Whether anything waits or decodes."""
        return bool(self._waiting or self._rows)

    def join(self, name: str, prefill: int, count: int) -> None:
        """Queue ``count`` ids to decode after ``prefill`` ids to compute."""
        self._waiting.append(_Row(name, prefill, count))

    def leave(self, name: str) -> None:
        """Give up the place of one that nobody waits for any more."""
        self._waiting = deque(row for row in self._waiting if row.name != name)
        self._rows = [row for row in self._rows if row.name != name]

    def step(self) -> tuple[list[DecodeSpan], list[str]]:
        """The next step's spans, starting at 0, and the names of those that are done after it."""
        spans: list[DecodeSpan] = []
        joining = self._joining()
        done: list[str] = []
        if joining:
            count = sum(row.prefill for row in joining)
            spans.append(
                DecodeSpan("prefill", 0.0, self.cost.prefill + count * self.cost.prefill_id, len(joining), count)
            )
            done += self._advance(joining)
            self._rows += [row for row in joining if row.left > 0]
        if self._rows:
            self._since_join += 1
            rows, began = len(self._rows), spans[-1].ended if spans else 0.0
            spans.append(
                DecodeSpan("decode", began, began + self.cost.decode + rows * self.cost.decode_row, rows, rows)
            )
            done += self._advance(self._rows)
            self._rows = [row for row in self._rows if row.left > 0]
        return spans, done

    def _joining(self) -> list[_Row]:
        if self._rows and self._since_join < self.join_every:
            return []
        self._since_join = 0
        return [self._waiting.popleft() for _ in range(min(len(self._waiting), self.slots - len(self._rows)))]

    @staticmethod
    def _advance(rows: Sequence[_Row]) -> list[str]:
        for row in rows:
            row.left -= 1
        return [row.name for row in rows if row.left <= 0]


def makespan_without_tools(
    trajectories: Sequence[Trajectory],
    *,
    slots: int,
    cost: StepCost,
    join_every: int = JOIN_EVERY,
    max_concurrent: int | None = None,
) -> float:
    """Seconds that the same turns take when every tool answers at once.

    Of each group's equal prompts one is computed; a later turn computes what was appended since.
    """
    schedule = SlotSchedule(slots, cost, join_every)
    names = [str(index) for index in range(len(trajectories))]
    plans = {name: _plan(trajectory) for name, trajectory in zip(names, trajectories, strict=True)}
    prompts: set[str] = set()
    for name, trajectory in zip(names, trajectories, strict=True):
        if plans[name] and trajectory.group in prompts:
            plans[name][0] = (0, plans[name][0][1])
        prompts.add(trajectory.group)
    waiting = deque(name for name in names if plans[name])
    for _ in range(min(max_concurrent or len(waiting), len(waiting))):
        _join_next(schedule, waiting.popleft(), plans)
    now = 0.0
    while schedule.busy:
        spans, done = schedule.step()
        now += spans[-1].ended if spans else 0.0
        for name in done:
            if plans[name]:
                _join_next(schedule, name, plans)
            elif waiting:
                _join_next(schedule, waiting.popleft(), plans)
    return now


def _join_next(schedule: SlotSchedule, name: str, plans: dict[str, list[tuple[int, int]]]) -> None:
    prefill, count = plans[name].pop(0)
    schedule.join(name, prefill, count)


def _plan(trajectory: Trajectory) -> list[tuple[int, int]]:
    """Per turn: ids to compute before it, and ids sampled in it."""
    plan: list[tuple[int, int]] = []
    at = 0
    for turn in trajectory.turns:
        given = 0
        while at < len(trajectory.mask) and trajectory.mask[at] == 0:
            at, given = at + 1, given + 1
        at += len(turn.token_ids)
        plan.append((given + 1 if plan else given, len(turn.token_ids)))
    return plan


class ReplayGenerator:
    """Plays recorded trajectories again: the same turns, at a given cost per step.

    A session named like a recorded trajectory's flow gets that trajectory's turns, one per call. Time is the running
    loop's, so a loop with virtual time plays hours at once (``vista_fast.rollout.virtual_time``).

    Args:
        trajectories: what to play; flows must differ.
        slots: how many sessions decode at once.
        cost: seconds per step, for instance ``StepCost.at_rate(tokens_per_second)``.
        join_every: decode steps between two times at which others may join.
    """

    def __init__(
        self, trajectories: Sequence[Trajectory], *, slots: int, cost: StepCost, join_every: int = JOIN_EVERY
    ) -> None:
        self._turns: dict[str, deque[Turn]] = {t.flow: deque(t.turns) for t in trajectories}
        if len(self._turns) != len(trajectories):
            raise InvalidArgumentError("two trajectories have one flow; replay one rollout at a time")
        self._schedule = SlotSchedule(slots, cost, join_every)
        self._computed: dict[str, int] = {}
        self._prompts: set[tuple[int, ...]] = set()
        self._futures: dict[str, asyncio.Future[float]] = {}
        self._spans: list[DecodeSpan] = []
        self._player: asyncio.Task[None] | None = None

    async def generate(
        self, session: str, ids: Sequence[int], images: Sequence[Patches], sampling: Sampling
    ) -> Generation:
        """The session's next recorded turn.

        Raises:
            NotFoundError: no such trajectory was recorded, or its turns are used up.
        """
        if not self._turns.get(session):
            raise NotFoundError(f"no recorded turn is left for session {session!r}; replay it with the same settings")
        turn = self._turns[session].popleft()
        loop = asyncio.get_running_loop()
        started = loop.time()
        self._schedule.join(session, self._to_compute(session, ids), len(turn.token_ids))
        self._computed[session] = len(ids) + len(turn.token_ids) - 1
        self._futures[session] = loop.create_future()
        if self._player is None or self._player.done():
            self._player = loop.create_task(self._play())
        try:
            ended = await self._futures[session]
        except asyncio.CancelledError:
            self._schedule.leave(session)
            self._futures.pop(session, None)
            raise
        finish: Finish = "length"
        if turn.token_ids and turn.token_ids[-1] in sampling.end_ids:
            finish = "end"
        elif any(stop in turn.text for stop in sampling.stop):
            finish = "stop"
        return Generation(turn.token_ids, turn.logprobs, turn.text, finish, turn.weight_version, started, ended)

    def release(self, session: str) -> None:
        """Forget what was computed for the session."""
        self._computed.pop(session, None)

    def drain_spans(self) -> list[DecodeSpan]:
        """The spans of work since the last call, in order."""
        spans, self._spans = self._spans, []
        return spans

    def _to_compute(self, session: str, ids: Sequence[int]) -> int:
        if session in self._computed:
            return len(ids) - self._computed[session]
        prompt = tuple(ids)
        known = prompt in self._prompts
        self._prompts.add(prompt)
        return 0 if known else len(prompt)

    async def _play(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        while self._schedule.busy:
            spans, done = self._schedule.step()
            for span in spans:
                self._spans.append(DecodeSpan(span.kind, now + span.started, now + span.ended, span.rows, span.tokens))
            now += spans[-1].ended
            await asyncio.sleep(max(0.0, now - loop.time()))
            for name in done:
                future = self._futures.pop(name, None)
                if future is not None and not future.done():
                    future.set_result(now)
            # Whoever was waiting for these sees them, and may join again, before the next step.
            await asyncio.sleep(0)
