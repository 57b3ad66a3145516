"""Does a function start itself? One that publishes to a topic that starts it runs for ever, and nobody but its rate tells.

Enters: the counts of invocations by trigger, every ten seconds. Leaves: a sentence for an alarm, or "".
Not chosen: stopping it. A busy house looks the same, and what is stopped by mistake is lost; a chain that says how long it
is (`edgedepth`, see functions/CONTRACT.md) does end by itself.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping

EVERY = 10.0
"""Seconds between two looks."""
WINDOW = 6
"""Looks that make the minute."""


class Rates:
    """`most`: invocations by messages of one function in a minute; more is an alarm. 0: never."""

    def __init__(self, started: Mapping[tuple[str, str], int], most: int) -> None:
        self._started = started
        self._most = most
        self._looks: deque[Counter[str]] = deque([Counter()], maxlen=WINDOW + 1)

    def look(self) -> str:
        """What the last minute was like."""
        now = Counter({function: count for (function, kind), count in list(self._started.items()) if kind == "topic"})
        self._looks.append(now)
        before = self._looks[0]
        busy = [
            f"{name} {now[name] - before[name]} times" for name in sorted(now) if now[name] - before[name] > self._most
        ]
        if not busy or not self._most:
            return ""
        return (
            f"messages started {', '.join(busy)} within a minute (more than {self._most}): if it publishes to the topic that "
            "starts it, take that out of its triggers; if its boards say so much, raise functions.messages_per_minute"
        )
