"""For all tests. That it lies here puts this folder on the path of imports, for what several folders share."""

import os
import signal

# A shell ignores Ctrl-C in what it starts in the background, and so would all that tests start in turn.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Which share of the cores is this process's, such as 0/2: else the threads of two would wait for one another.
share, _, shares = os.environ.get("VISTA_TEST_SHARE", "").partition("/")
if share and hasattr(os, "sched_setaffinity"):
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[int(share) :: int(shares)] or cores)
