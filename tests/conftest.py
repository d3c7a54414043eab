"""For all tests. That it lies here puts this folder on the path of imports, for what several folders share."""

import os
import signal

import pytest

# A shell ignores Ctrl-C in what it starts in the background, and so would all that tests start in turn.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config: pytest.Config) -> None:
    """Workers that run side by side share the cores: else the threads of each would wait for those of the others."""
    worker = getattr(config, "workerinput", None)
    if worker is not None and hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        number, count = int(worker["workerid"].removeprefix("gw")), worker["workercount"]
        os.sched_setaffinity(0, cores[number % len(cores) :: count])
