"""A small run on disk, made through the real records and the real store, for the report to read."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from vista_fast.engine import Engine
from vista_fast.report.data import step_file
from vista_fast.rollout.store import write_trajectories
from vista_fast.run_folder import RunFolder
from vista_fast.train.config import preset
from vista_fast.train.metrics import EvalMetrics, GrpoMetrics, SftMetrics, as_record
from vista_fast.types import CallRecord, Observation, Reward, Task, ToolCall, ToolError, Trajectory, Turn

HOSTILE = "</script><script>alert('x')</script>"
"""Stands where a task, a policy and a tool write text: none of it may become markup."""

STEPS = 12


def grpo_metrics(step: int, **changes) -> GrpoMetrics:
    share = step / STEPS
    fields = {
        "step": step,
        "steps": STEPS,
        "reward": share,
        "accuracy": share / 2,
        "format_rate": 1.0,
        "turns": 2.0,
        "trajectories": 16,
        "skipped_groups": 0,
        "lost": 0,
        "loss": 0.1,
        "grad_norm": 0.5,
        "kl": 0.0,
        "entropy": 0.2,
        "choice_entropy": 1.0 - share / 2,
        "clipped": 0.0,
        "ratio_max": 0.0,
        "importance_mean": 1.0,
        "importance_truncated": 0.0,
        "weight_version": step,
        "calls": 20,
        "calls_per_second": 10.0,
        "mean_batch": 4.0,
        "cache_hits": 5,
        "flight_joins": 6,
        "exposed": 0.04,
        "makespan_ratio": 1.1,
        "rollout_seconds": 2.0,
        "update_seconds": 1.0,
        "families": {"charts": share, "scenes": share / 2},
    }
    return GrpoMetrics(**{**fields, **changes})


def trajectory(number: int, engine: Engine, *, correct: bool, error: ToolError | None = None) -> Trajectory:
    """Two turns with a call between them, begun at ``number`` tenths of a second: 1 s, 0.5 s and 1 s long."""
    pixels = np.full((40, 60, 3), 40 * (number % 5), dtype=np.uint8)
    image, zoomed = engine.image(pixels), engine.image(pixels[:20, :20])
    begin = 100 + number / 10
    call = ToolCall("zoom", {"bbox_2d": [0.5, 0.25, 1.0, 0.75]})
    record = CallRecord(call, begin + 1, begin + 1.5, "error" if error else "run", error)
    seen = () if error else (zoomed,)
    answer = "7" if correct else HOSTILE
    text = f"<think>{HOSTILE}</think><tool_call>{json.dumps({'name': 'zoom'})}</tool_call>"
    return Trajectory(
        task=Task(
            f"task-{number}", "drawn", ("charts", "scenes")[number % 2], f"How many? {HOSTILE}", (), "7", str.__eq__
        ),
        flow=f"group-{number // 2}/{number % 2}",
        group=f"group-{number // 2}",
        status="answered",
        ids=[1, 2],
        mask=[0, 1],
        logprobs=[0.0, -0.5],
        images=[image, *seen],
        turns=[
            Turn(text, [1, 2, 3], [-0.1] * 3, 1, begin, begin + 1, record, Observation(HOSTILE, seen, error)),
            Turn(f"<think></think><answer>{answer}</answer>", [1], [-0.1], 1, begin + 1.5, begin + 2.5),
        ],
        answer=answer,
        reward=Reward(2.0 if correct else 1.0, 0.0, 1.0, float(correct)),
        correct=correct,
        started=begin,
        ended=begin + 2.5,
    )


def trajectories(engine: Engine) -> list[Trajectory]:
    """Eight: right and wrong in turn, the last with a failed call."""
    error = ToolError("E2", f"zoom has no argument {HOSTILE}")
    many = [trajectory(number, engine, correct=number % 2 == 0) for number in range(7)]
    return [*many, trajectory(7, engine, correct=False, error=error)]


def draw_run(path: Path) -> RunFolder:
    folder = RunFolder.create(path, preset("ci").to_dict())
    for step in (1, 2):
        folder.append(as_record(SftMetrics(step, 2, 1.0 / step, 0.5, 1e-3, 0.1)))
    for step in range(1, STEPS + 1):
        folder.append(as_record(grpo_metrics(step)))
    for policy, accuracy in (("sft", 0.25), ("grpo", 0.625)):
        for tools in (True, False):
            share = accuracy if tools else accuracy / 5
            folder.append(as_record(EvalMetrics(policy, tools, 1.0, 400, share, share * 2, 0, 9.0, {"charts": share})))
    with Engine(threads=1) as engine:
        for step in (1, STEPS):
            write_trajectories(folder.trajectories, step_file("grpo", step), trajectories(engine))
    return folder
