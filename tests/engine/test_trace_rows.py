"""Where a trace puts what overlaps."""

from __future__ import annotations

import random
import time
from typing import Any

from vista_fast.engine.trace import trace_events


def recorded(spans: list[tuple[int, float, float]]) -> dict[str, Any]:
    """What the core gives for calls (flow, start, end)."""
    requests = [(0, flow, start, end, "run", "ok", 0) for flow, start, end in spans]
    return {"ops": ["op"], "batches": [], "requests": requests, "left_out": 0}


def rows(spans: list[tuple[int, float, float]]) -> list[tuple[str, float, float, int]]:
    """The name of each slice's row, its start and duration in microseconds and its row, in the order of the trace."""
    events = trace_events(recorded(spans))
    names = {event["tid"]: event["args"]["name"] for event in events if event["name"] == "thread_name"}
    return [(names[event["tid"]], event["ts"], event["dur"], event["tid"]) for event in events if event["ph"] == "X"]


def first_free_rows(spans: list[tuple[int, float, float]]) -> list[int]:
    """The same rows, found by looking at all of them."""
    free_from: list[tuple[int, float]] = []  # the flow of each row, and when it is free
    chosen = []
    for flow, start, end in sorted(spans, key=lambda span: span[1:]):
        fitting = [row for row, (owner, free) in enumerate(free_from) if owner == flow and free <= start]
        row = fitting[0] if fitting else len(free_from)
        free_from[row : row + 1] = [(flow, end)]
        chosen.append(row)
    return chosen


def test_each_span_takes_the_first_row_of_its_name_that_is_free() -> None:
    draw = random.Random(0)
    for _ in range(50):
        starts = [draw.randrange(40) for _ in range(60)]
        spans = [(draw.randrange(3), float(start), float(start + draw.randrange(12))) for start in starts]
        assert [row for *_, row in rows(spans)] == first_free_rows(spans)


def test_rows_have_the_name_of_their_flow_and_hold_no_two_spans_at_once() -> None:
    placed = rows([(1, 0.0, 3.0), (1, 1.0, 2.0), (2, 1.0, 4.0), (1, 2.0, 5.0), (1, 3.0, 4.0)])
    assert [row for *_, row in placed] == [0, 1, 2, 1, 0]
    assert {(row, name) for name, *_, row in placed} == {
        (0, "flow 0000000000000001"),
        (1, "flow 0000000000000001"),
        (2, "flow 0000000000000002"),
    }


def test_many_calls_of_one_flow_at_once_are_placed_in_little_time() -> None:
    count = 20_000
    spans = [(1, float(start), float(count + start)) for start in range(count)]
    before = time.thread_time()
    assert len({row for *_, row in rows(spans)}) == count
    assert time.thread_time() - before < 2.5
