"""The arithmetic behind the report's pictures."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from drawn_run import trajectories, trajectory
from hypothesis import given
from hypothesis import strategies as st

from vista_fast.engine import Engine
from vista_fast.report import stories, timeline
from vista_fast.report.curves import nice_ticks, percent, running_mean
from vista_fast.report.data import StoredStep
from vista_fast.report.results import Setting, result_table
from vista_fast.report.spans import read_spans, write_spans
from vista_fast.rollout.generator import DecodeSpan
from vista_fast.types import ToolError

FINITE = st.floats(-1e6, 1e6)


@given(FINITE, st.floats(0, 1e6))
def test_ticks_cover_the_range_in_equal_round_steps(low: float, span: float) -> None:
    high = low + span
    ticks = nice_ticks(low, high)
    assert 2 <= len(ticks) <= 8
    step = (ticks[-1] - ticks[0]) / (len(ticks) - 1)
    assert ticks[0] <= low + step * 1e-6
    assert ticks[-1] >= high - step * 1e-6
    np.testing.assert_allclose(np.diff(ticks), step, rtol=1e-6)
    assert min(abs(step / 10 ** math.floor(math.log10(step * 1.0001)) - round_) for round_ in (1, 2, 5)) < 1e-3


@given(st.lists(FINITE, min_size=1, max_size=50))
def test_the_running_mean_stays_within_what_it_has_seen(values: list[float]) -> None:
    smooth = running_mean(values)
    assert smooth[0] == values[0]
    for number, value in enumerate(smooth):
        seen = values[: number + 1]
        assert min(seen) - 1e-6 <= value <= max(seen) + 1e-6


def test_the_running_mean_steps_over_gaps() -> None:
    smooth = running_mean([math.nan, 1.0, math.nan, 1.0])
    assert math.isnan(smooth[0])
    assert smooth[1:] == [1.0, 1.0, 1.0]


def test_percent_keeps_a_decimal_where_it_matters() -> None:
    assert [percent(value) for value in (0, 0.034, 0.5, 1)] == ["0%", "3.4%", "50%", "100%"]


def test_exposed_time_is_call_time_without_decoding() -> None:
    """Each trajectory decodes 1 s, calls for 0.5 s, decodes 1 s; ``number`` shifts it by tenths of a second."""
    with Engine(threads=1) as engine:
        first, second, tenth = (trajectory(number, engine, correct=True) for number in (0, 2, 10))
    assert timeline.exposed(StoredStep("grpo", 1, [first])) == ([(101.0, 101.5)], pytest.approx(1.0))
    # A second later: each decodes while the other's call is outstanding.
    assert timeline.exposed(StoredStep("grpo", 1, [first, tenth])) == ([], 0.0)
    # Turns end at 101.2 and begin again at 101.5; calls are outstanding from 101 to 101.7.
    assert timeline.exposed(StoredStep("grpo", 1, [first, second])) == (
        [(pytest.approx(101.2), pytest.approx(101.5))],
        pytest.approx(0.3 / 0.7),
    )


def test_the_generators_own_spans_count_where_they_are_kept(tmp_path: Path) -> None:
    spans = [DecodeSpan("prefill", 100.0, 100.9, 1, 40), DecodeSpan("decode", 101.1, 101.3, 4, 4)]
    write_spans(tmp_path, "grpo-000001", spans)
    assert read_spans(tmp_path, "grpo-000001") == spans
    assert read_spans(tmp_path, "grpo-000002") == []
    with Engine(threads=1) as engine:
        stored = StoredStep("grpo", 1, [trajectory(0, engine, correct=True)], spans)
    bare, share = timeline.exposed(stored)
    assert bare == [(101.0, 101.1), (101.3, 101.5)]
    assert share == pytest.approx(0.3 / 0.5)


def test_the_last_measurement_counts_and_columns_are_in_order() -> None:
    def record(policy: str, tools: bool, temperature: float, accuracy: float) -> dict:
        return {
            "policy": policy,
            "tools": tools,
            "temperature": temperature,
            "accuracy": accuracy,
            "reward": 0,
            "tasks": 4,
        }

    table = result_table(
        [
            record("sft", False, 0, 0.1),
            record("sft", True, 0, 0.2),
            record("sft", True, 1, 0.3),
            record("sft", True, 0, 0.4),
        ]
    )
    assert table.settings == (Setting(True, 1), Setting(True, 0), Setting(False, 0))
    assert table.cells["sft", Setting(True, 0)].accuracy == 0.4


def test_a_call_with_half_a_surrogate_pair_stays_as_it_was_written() -> None:
    with Engine(threads=1) as engine:
        played = trajectory(0, engine, correct=True)
    played.turns[0].text = '<tool_call>{"name": "ocr", "arguments": {"a": "\\ud800"}}</tool_call>'
    page = stories.draw([stories.Story("good", 1, played)])
    assert b"ud800" in page.encode()


def test_boxes_are_shares_of_the_image_they_name() -> None:
    with Engine(threads=1) as engine:
        played = trajectory(0, engine, correct=True)
        call = played.turns[0].call
        assert call is not None
        assert call.call is not None
        assert stories.boxes_by_image(played, 1) == {1: [(0.5, 0.25, 1.0, 0.75)]}
        call.call.arguments["bbox_2d"] = [30, 10, 90, 30]  # pixels of 60 x 40, beyond the right edge
        assert stories.boxes_by_image(played, 1) == {1: [(0.5, 0.25, 1.0, 0.75)]}
        call.call.arguments["target_image"] = 9
        assert stories.boxes_by_image(played, 1) == {}
        call.call.arguments.update(target_image=2, bbox_2d=[0, 0, 1, 1])
        assert list(stories.boxes_by_image(played, 1)) == [2]
        call.error = ToolError("E3", "no")
        assert stories.boxes_by_image(played, 1) == {}


def test_stories_vary_families_and_tasks() -> None:
    with Engine(threads=1) as engine:
        chosen = stories.choose(
            [StoredStep("grpo", 1, trajectories(engine)), StoredStep("grpo", 9, trajectories(engine))]
        )
        good = [story for story in chosen if story.kind == "good"]
        assert len({story.trajectory.task.id for story in good}) == 4
        assert {story.step for story in good} == {9}
        assert [story.trajectory.task.id for story in chosen if story.kind == "error"] == ["task-7", "task-7"]
