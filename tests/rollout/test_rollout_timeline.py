"""Exposed latency and makespans on spans made by hand."""

from __future__ import annotations

from itertools import pairwise

import pytest
from rollout_doubles import task

from vista_fast.errors import InvalidArgumentError, NotFoundError
from vista_fast.rollout import DecodeSpan, ReplayGenerator, Sampling, StepCost
from vista_fast.rollout.replay import makespan_without_tools
from vista_fast.rollout.summary import summarize
from vista_fast.rollout.timeline import exposure, makespan, overlap, union
from vista_fast.rollout.virtual_time import run_in_virtual_time
from vista_fast.types import CallRecord, Trajectory, Turn


def trajectory(
    name: str, turns: list[tuple[int, int, tuple[float, float] | None]], span: tuple[float, float] = (0, 0)
) -> Trajectory:
    """Turns as (ids given before, ids sampled, the call's interval)."""
    mask = [bit for given, sampled, _ in turns for bit in [0] * given + [1] * sampled]
    records = [
        Turn(
            "<answer></answer>" if call is None else "</tool_call>",
            [9] * sampled,
            [0.0] * sampled,
            0,
            0.0,
            0.0,
            None if call is None else CallRecord(None, *call, "run"),
        )
        for _, sampled, call in turns
    ]
    group = name.split("/")[0]
    ids, zeros = [9] * len(mask), [0.0] * len(mask)
    return Trajectory(task(group), name, group, "answered", ids, mask, zeros, [], records, None, None, False, *span)


def decode(started: float, ended: float, rows: int = 1) -> DecodeSpan:
    return DecodeSpan("decode", started, ended, rows, rows)


def test_union_and_overlap() -> None:
    assert union([(5, 6), (0, 2), (1, 3), (3, 4), (7, 7)]) == [(0, 4), (5, 6)]
    assert overlap([(0, 4), (5, 6)], [(3, 5.5), (6, 9)]) == pytest.approx(1.5)
    assert overlap([], [(0, 1)]) == 0


def test_exposed_latency_counts_what_decoding_does_not_cover() -> None:
    spans = [decode(0, 4), decode(4, 6), decode(9, 10)]
    trajectories = [
        trajectory("a/0", [(3, 1, (2, 7)), (1, 1, None)]),
        trajectory("a/1", [(3, 1, (3, 8)), (1, 1, (9.5, 11)), (1, 1, None)]),
    ]
    seen = exposure(spans, trajectories)
    # Outstanding (2, 8) and (9.5, 11); nothing to decode in (6, 8) and (10, 11).
    assert seen.outstanding == pytest.approx(7.5)
    assert seen.exposed == pytest.approx(3.0)
    assert seen.share == pytest.approx(0.4)
    assert exposure(spans, [trajectory("a/0", [(3, 1, None)])]).share == 0.0
    assert exposure([], trajectories).share == 1.0


def test_step_cost_is_fitted_where_no_call_was_outstanding() -> None:
    alone = [decode(i, i + 0.010 + 0.001 * rows, rows) for i, rows in enumerate([1, 2, 4, 8] * 6)]
    crowded = [decode(100 + i, 100 + i + 0.5, 4) for i in range(50)]
    cost = StepCost.fit([*alone, *crowded], [(100.0, 200.0)])
    assert cost.decode == pytest.approx(0.010)
    assert cost.decode_row == pytest.approx(0.001)
    assert StepCost.fit(crowded, [(100.0, 200.0)]).decode == pytest.approx(0.5)
    assert StepCost.fit([]) == StepCost(0.0)
    with pytest.raises(InvalidArgumentError):
        StepCost.at_rate(0)


def test_makespan_without_tools_by_hand() -> None:
    cost = StepCost(decode=1.0, decode_row=0.1, prefill=10.0, prefill_id=0.5)
    one = [trajectory("a/0", [(4, 3, (0, 99)), (5, 2, None)])]
    # Prefill of 4 ids gives the 1st id and 2 steps the others; prefill of 5 + 1 ids, then one step.
    assert makespan_without_tools(one, slots=4, cost=cost, join_every=1) == pytest.approx(
        (10 + 2) + 2 * 1.1 + (10 + 3) + 1.1
    )
    # The second rollout of the group copies the prompt; both decode together.
    two = [trajectory("a/0", [(4, 3, None)]), trajectory("a/1", [(4, 3, None)])]
    assert makespan_without_tools(two, slots=4, cost=cost, join_every=1) == pytest.approx(12 + 2 * 1.2)
    # With one slot the second waits; its prompt is held.
    assert makespan_without_tools(two, slots=1, cost=cost, join_every=1) == pytest.approx(12 + 2 * 1.1 + 10 + 2 * 1.1)
    assert makespan_without_tools(two, slots=4, cost=cost, max_concurrent=1) == pytest.approx(12 + 2.2 + 10 + 2.2)
    assert makespan_without_tools([], slots=4, cost=cost) == 0.0


def test_a_replay_lets_requests_join_at_every_so_many_steps() -> None:
    cost = StepCost(decode=1.0, prefill=10.0)
    items = [trajectory("a/0", [(4, 9, None)]), trajectory("b/0", [(4, 2, (0, 1)), (1, 2, None)])]
    # b/0 is back after 1 step; it joins a/0, which takes 8 steps after its prefill, at once or 3 steps later.
    assert makespan_without_tools(items, slots=4, cost=cost, join_every=1) == pytest.approx(10 + 8 + 10)
    assert makespan_without_tools(items, slots=4, cost=cost, join_every=4) == pytest.approx(10 + 8 + 10)
    short = [trajectory("a/0", [(4, 4, None)]), items[1]]
    assert makespan_without_tools(short, slots=4, cost=cost, join_every=4) == pytest.approx(10 + 3 + 10 + 1)


def test_summary() -> None:
    spans = [DecodeSpan("prefill", 0, 1, 2, 8), decode(1, 2, 2), decode(2, 3, 4)]
    trajectories = [
        trajectory("a/0", [(4, 2, (3, 5)), (1, 1, None)], (0, 6)),
        trajectory("a/1", [(4, 2, (2, 4)), (1, 1, None)], (0, 4)),
    ]
    trajectories[1].turns[0].call.outcome = "joined"
    summary = summarize(trajectories, spans, slots=8)
    assert (summary.trajectories, summary.lost, summary.tool_calls, summary.calls_joined) == (2, 0, 2, 1)
    assert summary.makespan == makespan(trajectories) == 6
    assert summary.mean_decode_rows == 3
    assert summary.tokens_per_second == 1
    assert summary.exposed_latency == pytest.approx(2 / 3)
    assert summary.makespan_ratio == pytest.approx(6 / summary.makespan_without_tools)


def test_a_replay_plays_the_recorded_turns_in_virtual_time() -> None:
    recorded = [
        trajectory("a/0", [(4, 3, (0, 1)), (5, 2, None)]),
        trajectory("a/1", [(4, 6, None)]),
        trajectory("b/0", [(4, 2, None)]),
    ]

    async def play() -> tuple[list[float], float]:
        import asyncio

        generator = ReplayGenerator(recorded, slots=2, cost=StepCost.at_rate(2.0), join_every=1)
        loop = asyncio.get_running_loop()

        async def episode(item: Trajectory, tool: float) -> float:
            ids: list[int] = []
            for turn in item.turns:
                ids += [1] * 4
                generation = await generator.generate(item.flow, ids, [], Sampling())
                assert generation.token_ids == turn.token_ids
                assert generation.finish == "stop"
                ids += generation.token_ids
                await asyncio.sleep(tool if turn.call else 0)
            generator.release(item.flow)
            return loop.time()

        ends = await asyncio.gather(*(episode(item, 10.0) for item in recorded))
        with pytest.raises(NotFoundError):
            await generator.generate("a/0", [1], [], Sampling())
        spans = generator.drain_spans()
        assert sum(span.tokens for span in spans if span.kind == "decode") == 2 + 5 + 1 + 1
        assert all(a.ended <= b.started for a, b in pairwise(spans))
        return list(ends), loop.time()

    ends, _ = run_in_virtual_time(play())
    # a/0: 3 ids in 2 steps of 0.5 s, a tool of 10 s, 2 ids in 1 step; b/0 takes over its slot after 1.0 s.
    assert ends == pytest.approx([1.0 + 10.0 + 0.5, 2.5, 1.5])


def test_a_cancelled_replay_makes_room() -> None:
    recorded = [trajectory("a/0", [(4, 100, None)]), trajectory("b/0", [(4, 3, None)])]

    async def play() -> float:
        import asyncio

        generator = ReplayGenerator(recorded, slots=1, cost=StepCost.at_rate(1.0), join_every=1)
        long, short = (asyncio.ensure_future(generator.generate(f"{name}/0", [1], [], Sampling())) for name in "ab")
        await asyncio.sleep(10.5)
        long.cancel()
        return (await short).ended

    # The step under way ends at 11 s; then the prefill gives b/0 its first id, and two steps the others.
    assert run_in_virtual_time(play()) == pytest.approx(13.0)


def test_a_replay_refuses_what_it_can_not_tell_apart() -> None:
    twice = [trajectory("a/0", [(1, 1, None)])] * 2
    with pytest.raises(InvalidArgumentError, match="one flow"):
        ReplayGenerator(twice, slots=1, cost=StepCost(1.0))
