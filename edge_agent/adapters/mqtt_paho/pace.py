"""When much comes, let a little gather: each read has a price, however few messages it brings."""

from __future__ import annotations

import time

ABOVE = 250.0
"""Messages a second from which reads are paced; below it a message is taken at once."""
SHORTEST, LONGEST = 0.005, 0.04
"""Seconds of rest, up to 800 and from 6,700 messages a second: more together is cheaper, and an alert must not wait long.
At 5,000 a second the processor time for each message falls by half (`make bench`: paced)."""
MUCH = 400
"""Messages in one read after which there is no rest: the socket's buffer would be full before it ends, and hold back the
broker."""


class Pace:
    """A rate over about the last quarter of a second."""

    def __init__(self) -> None:
        self._rate = 0.0
        self._count = 0
        self._last = 0.0

    def took(self, count: int) -> None:
        """A read brought `count` messages."""
        now = time.monotonic()
        gap = max(now - self._last, 1e-4)
        self._rate += min(1.0, gap / 0.25) * (count / gap - self._rate)
        self._last = now
        self._count = count

    def rest(self) -> None:
        """Wait a moment, if more is on its way."""
        if self._rate > ABOVE and self._count < MUCH:
            time.sleep(min(LONGEST, max(SHORTEST, self._rate * 6e-6)))
