"""Every reading there is: the history, and what the journal still holds for it, read as one.

Enters: questions about a device and a time. Leaves: points, steps and samples, the newest included.
Guarantee: each reading on disk counts once: nothing moves from the journal to the history while a question is answered.
Not chosen: having the journal emptied first. A page that stays open would write to the card with every look at a plot.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Protocol

from edge_agent.domain.reading import Sample, Value
from edge_agent.ports import History, Step

MOST = 100_000
"""Samples in the journal beyond which they are moved on first: looking through more of them takes too long."""


class Waiting(Protocol):
    """The part of the journal that holds readings for the history."""

    def every_batch(self) -> Iterator[tuple[int, int, list[Sample]]]: ...
    def backlog(self) -> tuple[int, int, int]: ...


class Moving(Protocol):
    """What moves them."""

    def run(self) -> bool: ...
    def resting(self) -> AbstractContextManager[None]: ...


class Readings:
    """Any thread may ask. Errors of every call: those of `ports.History`. Times are epoch ms, since <= t < until.

    `inherited` is the number of the last life's last commit: a kill -9 may have left what the history has already.
    """

    def __init__(self, journal: Waiting, history: History, drain: Moving, inherited: int) -> None:
        self._journal = journal
        self._history = history
        self._drain = drain
        self._inherited = inherited

    def raw(self, device: str, reading: str, since: int, until: int, limit: int = 10_000) -> list[tuple[int, Value]]:
        """As `ports.History.raw`."""
        with self._still():
            tail = [(s.t, s.values[reading]) for s in self._tail(device, since, until) if reading in s.values]
            found = self._history.raw(device, reading, since, until, limit)
        return sorted([*found, *tail], key=lambda point: point[0])[-limit:]

    def steps(self, device: str, reading: str, since: int, until: int, step: int) -> list[Step]:
        """As `ports.History.steps`."""
        with self._still():
            tail = self._tail(device, since, until)
            newer = _stepped([(s.t, s.values[reading]) for s in tail if reading in s.values], step)
            found = {each.t: each for each in self._history.steps(device, reading, since, until, step)}
        for t, each in newer.items():
            found[t] = _joined(found[t], each) if t in found else each
        return [found[t] for t in sorted(found)]

    def samples(self, device: str, since: int, until: int, limit: int = 100_000) -> list[Sample]:
        """As `ports.History.samples`."""
        with self._still():
            tail = self._tail(device, since, until)
            found = list(self._history.samples(device, since, until, limit))
        return sorted([*found, *tail], key=lambda sample: (sample.t, sample.boot, sample.seq))[:limit]

    def _still(self) -> AbstractContextManager[None]:
        if self._journal.backlog()[0] > MOST:
            self._drain.run()
        return self._drain.resting()

    def _tail(self, device: str, since: int, until: int) -> list[Sample]:
        """What the journal has and the history has not."""
        old, new = list[Sample](), list[Sample]()
        for number, _, samples in self._journal.every_batch():
            some = [s for s in samples if s.device == device and since <= s.t < until and s.values]
            (old if number <= self._inherited else new).extend(some)
        if old:
            begin, end = min(sample.t for sample in old), max(sample.t for sample in old)
            known = {(s.boot, s.seq) for s in self._history.samples(device, begin, end + 1)}
            old = [sample for sample in old if (sample.boot, sample.seq) not in known]
        return old + new


def _stepped(points: list[tuple[int, Value]], step: int) -> dict[int, Step]:
    grouped: dict[int, list[float]] = {}
    for t, value in points:
        if not isinstance(value, str):
            grouped.setdefault(t - t % step, []).append(float(value))
    return {t: Step(t, sum(some) / len(some), min(some), max(some), len(some)) for t, some in grouped.items()}


def _joined(one: Step, other: Step) -> Step:
    count = one.count + other.count
    mean = (one.mean * one.count + other.mean * other.count) / count
    return Step(one.t, mean, min(one.low, other.low), max(one.high, other.high), count)
