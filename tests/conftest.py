"""For all tests. That it lies here puts this folder on the path of imports, for what several folders share."""

import signal

# A shell ignores Ctrl-C in what it starts in the background, and so would all that tests start in turn.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
