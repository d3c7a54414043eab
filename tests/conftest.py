"""Puts this folder on the path of imports, for what tests of several folders share."""

import signal

# A shell ignores Ctrl-C in what it starts in the background, and so would all that tests start in turn.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
