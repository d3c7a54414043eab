"""``vista-fast doctor``: what was found on this machine, what is used, and why; what is missing, and how to get it."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
from collections.abc import Iterable, Sequence
from typing import Any

from vista_fast.cli import choices, exits, installed, machine
from vista_fast.errors import VistaError
from vista_fast.models.backend import check_backend, chosen_backend, uses_own_kernels
from vista_fast.models.backend.choice import SETTING
from vista_fast.models.grounding.ops import which_answers, why_not_here
from vista_fast.train.threads import split_threads


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print everything as one JSON object")
    parser.epilog = "Leaves with 1 when something that the default route needs is missing."


def run(options: argparse.Namespace) -> int:
    examination = examine()
    if options.json:
        print(json.dumps(examination, indent=2))
    else:
        print("\n".join(_page(examination)))
    return exits.OK if examination["ready"] else exits.FAILED


def examine() -> dict[str, Any]:
    """Everything that doctor prints, as JSON values. "ready" is whether ``vista-fast train`` can run."""
    here = machine.describe()
    versions = installed.versions(choices.PACKAGES)
    core_problem = _core_problem()
    found = choices.Found(
        here,
        versions,
        core_problem,
        choices.cuda_of("torch"),
        os.environ.get(SETTING),
        which_answers(),
        _backend_on_cuda() if here.gpus else None,
        core_problem is None and uses_own_kernels(),
        _refusal(),
        choices.cuda_of("torchvision"),
        grounder_refused=why_not_here(),
    )
    rows = choices.choices(found)
    extras = {
        name: {
            "packages": packages,
            "missing": [each for each in packages if installed.installed_version(each) is None],
        }
        for name, packages in sorted(installed.extras().items())
    }
    return {
        "ready": not any(row.state == "missing" for row in rows),
        "vista-fast": installed.installed_version(installed.PACKAGE),
        "machine": {**dataclasses.asdict(here), "crowded": here.crowded},
        "threads": thread_split(here),
        "choices": [dataclasses.asdict(row) for row in rows],
        "extras": extras,
    }


def _backend_on_cuda() -> str | None:
    """The backend that runs what is opened for device "cuda" here; None where none does."""
    try:
        name = chosen_backend("cuda")
        check_backend(name, "cuda")
    except VistaError:
        return None
    return name


def _refusal() -> str | None:
    """Why the backend that is chosen for networks does not run those of OCR here; None where it does."""
    try:
        check_backend(chosen_backend(), opens="the networks of OCR")
    except (VistaError, OSError, RuntimeError) as error:  # the latter where a library does not load
        return str(error)
    return None


def thread_split(here: machine.Machine) -> dict[str, int]:
    """Threads by who runs them when nothing is set. One setting (``Engine(threads=)``, ``--threads``) moves all."""
    split = split_threads(here.cores)
    return {
        "native workers": split.tools,
        "tool networks": split.tools,
        "decoding": split.decoding,
        "training": split.torch,
    }


def _core_problem() -> str | None:
    try:
        import vista_fast._core  # noqa: F401
    except ImportError as error:
        return str(error)
    return None


def _page(examination: dict[str, Any]) -> Iterable[str]:
    here = examination["machine"]
    yield f"vista-fast {examination['vista-fast'] or '(not installed as a package)'}"
    yield ""
    yield from _table([(name, value) for name, value in _machine_rows(here)])
    yield ""
    yield "threads  " + ", ".join(f"{who} {count}" for who, count in examination["threads"].items())
    if examination["machine"]["crowded"]:
        yield f"         the container grants {here['quota']:g} cores only: pass --threads {max(1, int(here['quota']))}"
    yield ""
    rows = [(row["job"], row["what"], row["state"], row["why"]) for row in examination["choices"]]
    yield from _table([("for", "what", "", "why"), *rows])
    yield ""
    yield from _table(list(_extra_rows(examination["extras"])))


def _machine_rows(here: dict[str, Any]) -> Iterable[tuple[str, str]]:
    quota = f", of which the container may use {here['quota']:g}" if here["quota"] is not None else ""
    gpus = "; ".join(f"{gpu['name']}, {gpu['memory']}, driver {gpu['driver']}" for gpu in here["gpus"])
    yield "system", f"{here['system']}, Python {here['python']}"
    yield "processor", here["cpu"]
    yield "features", " ".join(here["features"]) or "none that matter here"
    yield "cores", f"{here['cores']}{quota}"
    yield "memory", f"{here['memory'] / 2**30:.1f} GiB"
    yield "GPU", gpus or "none"


def _extra_rows(extras: dict[str, Any]) -> Iterable[tuple[str, str, str]]:
    if not extras:
        yield "extras", "unknown", "vista-fast is not installed as a package; pip install . from the checkout"
        return
    yield "extra", "", ""
    for name, extra in extras.items():
        if extra["missing"]:
            yield name, f"lacks {', '.join(extra['missing'])}", f"pip install 'vista-fast[{name}]'"
        else:
            yield name, "installed", ""


def _table(rows: Sequence[tuple[str, ...]]) -> Iterable[str]:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
