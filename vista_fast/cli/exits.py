"""What the exit codes mean, and the one place that turns an exception into a code and one clear line."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn, TextIO

from vista_fast.cli import installed
from vista_fast.errors import MissingExtraError, StorageError, VistaError

OK = 0
FAILED = 1
USAGE = 2
MISSING_EXTRA = 3
STORAGE = 4
INTERRUPTED = 128 + signal.SIGINT
TERMINATED = 128 + signal.SIGTERM

MEANING = """\
exit codes:
  0  done
  1  failed; one line on stderr says what was wrong and what to do
  2  the command line was not understood
  3  an optional library is missing; the line names the extra to install
  4  the disk is full (or a limit on file sizes is reached); checkpoints are kept
  130, 143  ended by Ctrl-C or SIGTERM; checkpoints are kept
"""


class Terminated(KeyboardInterrupt):
    """SIGTERM: an orderly end, like Ctrl-C."""


def code_of(error: BaseException) -> int:
    """Prints ``error`` as one line on stderr and returns the exit code; what is not expected is raised again."""
    if isinstance(error, Terminated):
        return _say("terminated", TERMINATED)
    if isinstance(error, KeyboardInterrupt):
        return _say("interrupted", INTERRUPTED)
    if isinstance(error, StorageError):
        return _say(str(error), STORAGE)
    if isinstance(error, MissingExtraError):
        return _say(str(error), MISSING_EXTRA)
    if isinstance(error, VistaError):
        return _say(str(error), FAILED)
    if isinstance(error, ModuleNotFoundError) and error.name and not error.name.startswith("vista_fast"):
        return _say(f"{error}; {_remedy(error.name)}", MISSING_EXTRA)
    raise error


@contextmanager
def orderly_termination() -> Iterator[None]:
    """While inside, SIGTERM raises Terminated in the main thread, so that everything open is closed."""
    previous = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def discard_output(stream: TextIO) -> None:
    """After a BrokenPipeError: whatever is still written to ``stream``, by Python's flush at exit too, goes nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, stream.fileno())
    finally:
        os.close(nowhere)


def _terminate(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise Terminated


def _remedy(module: str) -> str:
    """How to get the package of a module that is not there."""
    package = module.partition(".")[0].replace("_", "-")
    extras = [extra for extra, packages in installed.extras().items() if package in packages and extra != "dev"]
    return f"pip install 'vista-fast[{extras[0]}]'" if extras else f"pip install {package}"


def _say(message: str, code: int) -> int:
    print(f"vista-fast: {' '.join(message.split())}", file=sys.stderr)
    return code
