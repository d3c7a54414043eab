"""What a run shows while it goes: bars on a terminal, plain lines where the output is a file or a CI log."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from vista_fast.cli.exits import discard_output
from vista_fast.report.results import ResultTable
from vista_fast.train.metrics import (
    CheckpointSaved,
    CorpusProgress,
    EvalMetrics,
    Event,
    GrpoMetrics,
    Listener,
    SftMetrics,
)

if TYPE_CHECKING:
    from rich.progress import TaskID

_SPARKS = "▁▂▃▄▅▆▇█"


@contextmanager
def progress(stream: TextIO) -> Iterator[Listener]:
    """A listener that shows each event on ``stream`` for as long as the context is open."""
    if stream.isatty():
        with _Bars(stream) as bars:
            yield bars
    else:
        yield Lines(stream)


class Lines:
    """One plain line per event, at most one per ``interval`` seconds for the steps between the first and the last.

    When the reader of the stream goes away (head), the run that is shown goes on, and nothing more is shown.
    """

    def __init__(self, stream: TextIO, interval: float = 5.0) -> None:
        self._stream = stream
        self._interval = interval
        self._shown = -float("inf")

    def __call__(self, event: Event) -> None:
        if isinstance(event, (CorpusProgress, SftMetrics, GrpoMetrics)) and not self._due(event):
            return
        text = line(event)
        if text:
            try:
                print(text, file=self._stream, flush=True)
            except BrokenPipeError:
                discard_output(self._stream)

    def _due(self, event: CorpusProgress | SftMetrics | GrpoMetrics) -> bool:
        now = time.monotonic()
        if event.step not in (1, event.steps) and now - self._shown < self._interval:
            return False
        self._shown = now
        return True


class _Bars:
    """A bar per stage, with the figures of its last step and the course of its accuracy below."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.live import Live
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        self._console = Console(file=stream)
        self._bars = Progress(
            TextColumn("[bold]{task.description:<5}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(elapsed_when_finished=False),
            console=self._console,
            expand=True,
        )
        self._live = Live(self._bars, console=self._console, refresh_per_second=4)
        self._stages: dict[str, TaskID] = {}
        self._course: deque[float] = deque(maxlen=32)

    def __enter__(self) -> _Bars:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def __call__(self, event: Event) -> None:
        if isinstance(event, CorpusProgress):
            self._bars.update(self._stage("demos", event.steps), completed=event.step)
        elif isinstance(event, SftMetrics):
            self._step("sft", event.step, event.steps, event.token_accuracy, figures(event))
        elif isinstance(event, GrpoMetrics):
            self._step("grpo", event.step, event.steps, event.accuracy, figures(event))
        elif isinstance(event, EvalMetrics):
            self._console.print(line(event), highlight=False)

    def _step(self, stage: str, step: int, steps: int, accuracy: float, parts: Sequence[tuple[str, str]]) -> None:
        from rich.console import Group
        from rich.text import Text

        self._bars.update(self._stage(stage, steps), completed=step)
        self._course.append(accuracy)
        below = Text(f"{sparkline(self._course)}  ", style="green", no_wrap=False)
        for name, value in parts:
            below.append(f"{name} ", style="dim").append(f"{value}   ", style="bold default")
        self._live.update(Group(self._bars, below))

    def _stage(self, name: str, steps: int) -> TaskID:
        if name not in self._stages:
            self._stages[name] = self._bars.add_task(name, total=steps)
            self._course.clear()
        return self._stages[name]


def line(event: Event) -> str | None:
    """The event as one line of text; None for those that are not shown."""
    if isinstance(event, CorpusProgress):
        return f"demonstrations {event.step}/{event.steps}"
    if isinstance(event, SftMetrics):
        return f"sft {event.step}/{event.steps}  {_joined(figures(event))}"
    if isinstance(event, GrpoMetrics):
        return f"grpo {event.step}/{event.steps}  {_joined(figures(event))}"
    if isinstance(event, EvalMetrics):
        tools = "with tools" if event.tools else "without tools"
        decoding = "greedy" if event.temperature == 0 else f"T={event.temperature:g}"
        lost = f"  lost {event.lost}" if event.lost else ""
        return (
            f"eval {event.policy}, {tools}, {decoding}: accuracy {event.accuracy:.1%}  reward {event.reward:.2f}  "
            f"({event.tasks} tasks, {event.seconds:.0f} s){lost}"
        )
    if isinstance(event, CheckpointSaved):
        return f"{event.stage} checkpoint {event.step}: {event.path}"
    return None


def figures(event: SftMetrics | GrpoMetrics) -> list[tuple[str, str]]:
    """Name and value of what is shown of a step."""
    if isinstance(event, SftMetrics):
        return [
            ("loss", f"{event.loss:.3f}"),
            ("token accuracy", f"{event.token_accuracy:.1%}"),
            ("s/step", f"{event.seconds:.2f}"),
        ]
    lost = [("lost", f"{event.lost} of {event.trajectories}")] if event.lost else []
    return [
        *lost,
        ("reward", f"{event.reward:.2f}"),
        ("accuracy", f"{event.accuracy:.1%}"),
        ("tool calls/s", f"{event.calls_per_second:.1f}"),
        ("mean batch", f"{event.mean_batch:.1f}"),
        ("cache hits", str(event.cache_hits)),
        ("flight joins", str(event.flight_joins)),
        ("exposed", f"{event.exposed:.1%}"),
        ("makespan", f"{event.makespan_ratio:.2f}x"),
        ("s/step", f"{event.rollout_seconds + event.update_seconds:.1f}"),
    ]


def sparkline(values: Sequence[float] | deque[float]) -> str:
    """The course of ``values`` as a row of block characters, lowest to highest."""
    if not values:
        return ""
    low, high = min(values), max(values)
    span = high - low or 1.0
    return "".join(_SPARKS[min(int((value - low) / span * len(_SPARKS)), len(_SPARKS) - 1)] for value in values)


def table_lines(table: ResultTable) -> Iterator[str]:
    """The table at the end, in plain characters: accuracy and mean reward per policy and setting."""
    heads = ["held-out accuracy / mean reward", *(setting.title for setting in table.settings)]
    rows = [heads]
    for policy in table.policies:
        cells = (table.cells.get((policy, setting)) for setting in table.settings)
        rows.append([policy, *("" if cell is None else f"{cell.accuracy:.1%} / {cell.reward:.2f}" for cell in cells)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(heads))]
    for number, row in enumerate(rows):
        first, *rest = (
            cell.ljust(width) if not i else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join([first, *rest])
        if number == 0:
            yield "  ".join("-" * width for width in widths)


def _joined(parts: Sequence[tuple[str, str]]) -> str:
    return "  ".join(f"{name} {value}" for name, value in parts)
