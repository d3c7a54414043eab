"""Records a run while it goes: its folder, its progress on the screen, and its report at the end."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from vista_fast.cli.progress import progress, table_lines
from vista_fast.report import write
from vista_fast.report.data import step_file
from vista_fast.report.results import result_table
from vista_fast.report.spans import write_spans
from vista_fast.rollout.store import write_trajectories
from vista_fast.run_folder import RunFolder
from vista_fast.train.config import TrainConfig
from vista_fast.train.metrics import CheckpointSaved, Event, Listener, StepTrajectories, as_record

FINISHED = "RunFinished"
"""The event that ends metrics.jsonl of a run that got to its end."""


def record_run(
    command: str,
    path: Path,
    config: TrainConfig,
    job: Callable[[Path, Listener], object],
    *,
    resume: bool,
    store_every: int = 10,
) -> None:
    """Runs ``job(folder, listener)`` in the run folder ``path``, then prints the run's table and writes its report.

    The trajectories of the first, the last and every ``store_every``-th step of GRPO are stored; 0 stores none. A run
    that is at its end already is not run again. When the job ends early, whatever the reason, says which checkpoint is
    the last.
    """
    folder = RunFolder.create(path, {"command": command, **config.to_dict()}, resume=resume)
    if not folder.metrics(FINISHED):
        with progress(sys.stdout) as show:
            recorder = _Recorder(folder, show, store_every, config.grpo.steps)
            try:
                job(folder.path, recorder)
            except BaseException:
                print(recorder.whereabouts(), file=sys.stderr)
                raise
        folder.append({"event": FINISHED})
    _conclude(folder)


class _Recorder:
    """Writes each event to the folder before it is shown."""

    def __init__(self, folder: RunFolder, show: Listener, store_every: int, steps: int) -> None:
        self._folder = folder
        self._show = show
        self._store_every = store_every
        self._ends = (1, steps)
        saved = folder.metrics("CheckpointSaved")
        self._checkpoint = _where(saved[-1]["stage"], saved[-1]["step"], saved[-1]["path"]) if saved else None

    def __call__(self, event: Event) -> None:
        if isinstance(event, CheckpointSaved):
            self._checkpoint = _where(event.stage, event.step, event.path)
        if isinstance(event, StepTrajectories):
            self._store(event)
        self._folder.append(as_record(event))
        self._show(event)

    def _store(self, event: StepTrajectories) -> None:
        if not self._store_every or (event.step not in self._ends and event.step % self._store_every):
            return
        name = step_file(event.stage, event.step)
        write_spans(self._folder.trajectories, name, event.spans)
        write_trajectories(self._folder.trajectories, name, event.trajectories)

    def whereabouts(self) -> str:
        """Where the run stands, for whoever has to go on with it."""
        if self._checkpoint is None:
            return f"vista-fast: the run in {self._folder.path} has no checkpoint yet"
        return f"vista-fast: the last checkpoint is {self._checkpoint}; the same command with --resume goes on from it"


def _where(stage: str, step: int, path: str) -> str:
    return f"{stage} step {step} ({path})"


def _conclude(folder: RunFolder) -> None:
    """Prints the table of the run and writes its report."""
    table = result_table(folder.metrics("EvalMetrics"))
    if table.policies:
        print("\n".join(["", *table_lines(table), ""]))
    print(f"report  {write(folder.path)}")
