"""The report of a run: one HTML file with everything in it, readable without a network."""

from __future__ import annotations

from pathlib import Path

from vista_fast.run_folder import whole_file


def write(run: Path) -> Path:
    """Writes report.html of the run folder ``run`` from what the folder holds so far; returns its path.

    Raises NotFoundError when ``run`` holds no run, StorageError when the disk is full.
    """
    from vista_fast.report.data import read_run
    from vista_fast.report.page import page

    text = page(read_run(run))
    target = run / "report.html"
    with whole_file(target) as partial:
        partial.write_text(text, encoding="utf-8")
    return target
