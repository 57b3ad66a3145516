"""What was asked of a function lately: averages over a sliding window. Pure: time is an argument (monotonic seconds).

Enters: how many events are being worked on and how many queue, whenever that changes. Leaves: averages over the last
seconds. Guarantee: at most two marks a second are kept, and none while nothing changes; an average is exact but for the
second at the far end of its window, where it is interpolated.
Not chosen: sampling by a timer, as Knative does: a function that nobody asks would wake the machine once a second.
"""

from __future__ import annotations

from collections import deque
from itertools import pairwise
from typing import NamedTuple

STABLE, PANIC = 60.0, 6.0
"""Seconds the two windows look back (Knative Serving, KPA: `stable-window`, `panic-window-percentage` 10)."""
GRAIN = 1.0
"""Seconds between two marks at least."""


class Load(NamedTuple):
    """Averages over one window."""

    concurrency: float = 0.0
    """Events in work and queued."""
    busy: float = 0.0
    """Events in work, which is workers in use."""
    rate: float = 0.0
    """Events a second; n events span n - 1 gaps, so a single one is no rate."""


class _Mark(NamedTuple):
    """Everything up to `at`: event-seconds in work and in the queue, events handed over."""

    at: float
    worked: float
    waited: float
    given: float


class Windows:
    """Of one function, from `now` on."""

    __slots__ = ("_born", "_busy", "_earlier", "_given", "_last", "_marks", "_noted", "_queued", "_waited", "_worked")

    def __init__(self, now: float) -> None:
        self._born = now
        self._last = now
        """When something was noted last. Up to then, in event-seconds:"""
        self._worked = self._waited = 0.0
        self._busy = self._queued = 0
        """Since then."""
        self._given = self._noted = self._earlier = 0
        """Events handed over: all, up to the last note, before it."""
        self._marks = deque([_Mark(now, 0.0, 0.0, 0)])

    def note(self, now: float, busy: int, queued: int) -> None:
        """From now on so many are in work, and so many queue. Called twice for each event: it has to be quick."""
        lasted = now - self._last
        if busy == self._busy and queued == self._queued and lasted < GRAIN:
            return
        if now - self._marks[-1].at >= GRAIN:
            self._mark(now)
        self._worked += self._busy * lasted
        self._waited += self._queued * lasted
        self._last = now
        self._busy = busy
        self._queued = queued
        self._earlier = (
            self._noted
        )  # what was given since the note before was given now: not spread over the time between
        self._noted = self._given

    def _mark(self, now: float) -> None:
        marks = self._marks
        if self._last > marks[-1].at:
            marks.append(self._noted_last())
        marks.append(self._up_to(now, self._noted))
        while len(marks) > 2 and marks[1].at <= now - STABLE:
            marks.popleft()

    @property
    def now(self) -> int:
        """Events in work and queued, as noted last."""
        return self._busy + self._queued

    def given(self) -> None:
        """An event was handed over."""
        self._given += 1

    def load(self, now: float, window: float) -> Load:
        """Over the last `window` seconds (at most STABLE); of a younger function, over its life."""
        since = max(self._born, now - window)
        if since >= now:
            return Load(float(self.now), float(self._busy))
        start, end, span = self._at(since), self._up_to(now, self._given), now - since
        busy, queued = max(0.0, end.worked - start.worked) / span, max(0.0, end.waited - start.waited) / span
        return Load(busy + queued, busy, max(0.0, end.given - start.given - 1) / window)

    def _noted_last(self) -> _Mark:
        return _Mark(self._last, self._worked, self._waited, self._earlier)

    def _up_to(self, when: float, given: int) -> _Mark:
        lasted = max(0.0, when - self._last)
        return _Mark(
            self._last + lasted, self._worked + self._busy * lasted, self._waited + self._queued * lasted, given
        )

    def _at(self, when: float) -> _Mark:
        """Everything up to `when`, between the two marks around it."""
        if when >= self._last:
            return self._up_to(when, self._given)
        for before, after in pairwise((*self._marks, self._noted_last())):
            if before.at <= when < after.at:
                part = (when - before.at) / (after.at - before.at)
                return _Mark(*(low + (high - low) * part for low, high in zip(before, after, strict=True)))
        return self._marks[0]
