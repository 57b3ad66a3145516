"""For all suites."""

from __future__ import annotations

import signal

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell without job control starts what it puts into the background so, and every program a test starts would inherit
    # it; the tests press Ctrl-C. What is caught here is as usual again in them.
    signal.signal(signal.SIGINT, signal.default_int_handler)
