"""Records a run while it goes: its folder, its progress on the screen, and its report at the end."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vista_fast.cli.progress import progress, table_lines
from vista_fast.report import write
from vista_fast.report.data import step_file
from vista_fast.report.results import result_table
from vista_fast.rollout.store import write_trajectories
from vista_fast.run_folder import RunFolder
from vista_fast.train.config import TrainConfig
from vista_fast.train.metrics import CheckpointSaved, Event, Listener, StepTrajectories, as_record


@contextmanager
def recording(
    path: Path, config: TrainConfig, *, resume: bool, store_every: int = 10
) -> Iterator[tuple[RunFolder, Listener]]:
    """Opens the run folder at ``path``, and yields it with the listener that writes it and shows the progress.

    The trajectories of the first and of every ``store_every``-th step are stored; 0 stores none.
    When the run ends early, whatever the reason, says which checkpoint it can go on from.
    """
    folder = RunFolder.create(path, config.to_dict(), resume=resume)
    with progress(sys.stdout) as show:
        recorder = _Recorder(folder, show, store_every)
        try:
            yield folder, recorder
        except BaseException:
            print(recorder.whereabouts(), file=sys.stderr)
            raise


class _Recorder:
    """Writes each event to the folder before it is shown."""

    def __init__(self, folder: RunFolder, show: Listener, store_every: int) -> None:
        self._folder = folder
        self._show = show
        self._store_every = store_every
        self._checkpoint: CheckpointSaved | None = None

    def __call__(self, event: Event) -> None:
        if isinstance(event, CheckpointSaved):
            self._checkpoint = event
        if isinstance(event, StepTrajectories):
            self._store(event)
        self._folder.append(as_record(event))
        self._show(event)

    def _store(self, event: StepTrajectories) -> None:
        if self._store_every and (event.step == 1 or event.step % self._store_every == 0):
            write_trajectories(self._folder.trajectories, step_file(event.stage, event.step), event.trajectories)

    def whereabouts(self) -> str:
        """Where the run stands, for whoever has to go on with it."""
        if self._checkpoint is None:
            return f"vista-fast: this session wrote no checkpoint; the run is in {self._folder.path}"
        return (
            f"vista-fast: the last checkpoint is {self._checkpoint.stage} step {self._checkpoint.step} "
            f"({self._checkpoint.path}); the same command with --resume goes on from it"
        )


def finish(folder: RunFolder) -> None:
    """Prints the table of the run and writes its report."""
    table = result_table(folder.metrics("EvalMetrics"))
    if table.policies:
        print("\n".join(["", *table_lines(table), ""]))
    print(f"report  {write(folder.path)}")
