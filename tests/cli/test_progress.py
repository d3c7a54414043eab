"""What a run shows: bars on a terminal, lines elsewhere, and the table at the end."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from vista_fast.cli.progress import Lines, progress, sparkline, table_lines
from vista_fast.report.results import result_table
from vista_fast.train.metrics import (
    CheckpointSaved,
    CorpusProgress,
    EvalMetrics,
    Event,
    GrpoMetrics,
    SftMetrics,
    StepTrajectories,
    as_record,
)

SFT = SftMetrics(1, 20, 2.5, 0.25, 1e-3, 0.5)
EVAL = EvalMetrics("grpo", True, 1.0, 400, 0.625, 1.25, 2, 31.0)


def grpo(step: int, steps: int = 100) -> GrpoMetrics:
    fields = dict.fromkeys(GrpoMetrics.__slots__, 0)
    fields |= {
        "step": step,
        "steps": steps,
        "reward": 1.25,
        "accuracy": 0.5,
        "exposed": 0.034,
        "makespan_ratio": 1.08,
        "families": {},
    }
    fields |= {"calls_per_second": 41.3, "mean_batch": 5.2, "cache_hits": 17, "flight_joins": 23}
    return GrpoMetrics(**fields)


def lines_of(events: list[Event], interval: float = 5.0) -> list[str]:
    stream = io.StringIO()
    lines = Lines(stream, interval)
    for event in events:
        lines(event)
    return stream.getvalue().splitlines()


def test_a_stream_that_is_no_terminal_gets_plain_lines() -> None:
    stream = io.StringIO()
    with progress(stream) as show:
        show(CorpusProgress(100, 200))
        show(CorpusProgress(200, 200))
        show(SFT)
        show(EVAL)
    assert stream.getvalue() == (
        "demonstrations 100/200\n"
        "demonstrations 200/200\n"
        "sft 1/20  loss 2.500  token accuracy 25.0%  s/step 0.50\n"
        "eval grpo, with tools, T=1: accuracy 62.5%  reward 1.25  (400 tasks, 31 s)  lost 2\n"
    )


def test_lost_trajectories_are_shown() -> None:
    assert "lost" not in lines_of([grpo(1)])[0]
    (line,) = lines_of([replace(grpo(1), lost=3, trajectories=128)])
    assert "lost 3 of 128" in line


def test_a_step_names_every_figure() -> None:
    (line,) = lines_of([grpo(1)])
    for part in ("grpo 1/100", "reward 1.25", "accuracy 50.0%", "tool calls/s 41.3", "mean batch 5.2", "cache hits 17"):
        assert part in line
    for part in ("flight joins 23", "exposed 3.4%", "makespan 1.08x"):
        assert part in line


def test_steps_in_quick_succession_are_thinned_but_first_and_last_shown() -> None:
    shown = lines_of([grpo(step) for step in range(1, 101)], interval=1000)
    assert [line.split()[1] for line in shown] == ["1/100", "100/100"]
    assert len(lines_of([grpo(step) for step in range(1, 101)], interval=0)) == 100


def test_checkpoints_are_named_and_trajectories_are_not() -> None:
    shown = lines_of([CheckpointSaved("grpo", 10, "runs/a/checkpoints/10"), StepTrajectories("grpo", 10, ())])
    assert shown == ["grpo checkpoint 10: runs/a/checkpoints/10"]


def test_a_reader_that_leaves_does_not_end_the_run() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream:
        lines = Lines(stream, interval=0)
        for step in (1, 2, 3):
            lines(grpo(step))
        print("report", file=stream, flush=True)


def test_a_terminal_gets_bars() -> None:
    """The same events in a process whose output is a pseudo-terminal."""
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from test_progress import EVAL, SFT, grpo\n"
        "from vista_fast.cli.progress import progress\n"
        "with progress(sys.stdout) as show:\n"
        "    for event in (SFT, grpo(50), EVAL): show(event)\n"
    )
    master, slave = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "140", "LINES": "40"}
    arguments = [sys.executable, "-c", program, str(Path(__file__).parent)]
    process = subprocess.Popen(arguments, stdout=slave, stderr=subprocess.PIPE, env=environment, text=True)
    os.close(slave)
    shown = b""
    while chunk := _read(master):
        shown += chunk
    os.close(master)
    assert process.stderr is not None
    assert process.wait() == 0, process.stderr.read()
    process.stderr.close()
    text = shown.decode()
    assert "━" in text
    assert "50/100" in text
    assert "tool calls/s" in text
    assert "eval grpo, with tools" in text


def _read(master: int) -> bytes:
    try:
        return os.read(master, 1 << 16)
    except OSError:  # Linux says so when the other side has closed
        return b""


@pytest.mark.parametrize(("values", "blocks"), [([], ""), ([1, 1], "▁▁"), ([0, 0.5, 1], "▁▅█")])
def test_sparkline(values: list[float], blocks: str) -> None:
    assert sparkline(values) == blocks


def test_the_table_has_a_row_per_policy_and_a_column_per_setting() -> None:
    records = [
        EVAL,
        EvalMetrics("grpo", False, 0.0, 400, 0.125, 0.5, 0, 9.0),
        EvalMetrics("sft", True, 1.0, 400, 0.3, 0.6, 0, 9.0),
    ]
    head, rule, first, second = table_lines(result_table(as_record(each) for each in records))
    assert head.split("  ")[0] == "held-out accuracy / mean reward"
    assert head.index("with tools, T = 1") < head.index("without tools, greedy")
    assert set(rule) == {"-", " "}
    assert first.split() == ["grpo", "62.5%", "/", "1.25", "12.5%", "/", "0.50"]
    assert second.split() == ["sft", "30.0%", "/", "0.60"]
