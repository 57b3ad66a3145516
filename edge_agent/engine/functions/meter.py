"""What functions use, as it happens: minutes in memory, hours for the disk.

Enters: settlements (each attempt's end). Leaves: rows to be kept, (function, hour, usage), about once a minute; spans for
whoever asks. Guarantee: bounded by the number of functions; a crash forgets a minute of counting, no event.
Not chosen: adding the journal's invocations up when asked, for they are kept a while only and an hour may hold a million.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping

from edge_agent.domain.function import FunctionSpec
from edge_agent.domain.invocation import Failed, Invocation, Settlement
from edge_agent.domain.usage import HOUR, Usage, total

MINUTE = 60_000
"""Milliseconds."""
MINUTES = 60
"""How many are remembered."""

Row = tuple[str, int, Usage]
"""(function, start of the hour in epoch ms, all of that hour)."""
Spans = dict[int, Usage]
"""{start in epoch ms: usage}."""


class Meter:
    """Thread-safe. Set `specs`, which know each function's memory, and `cold_starts`, the engine's counts since its start."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self.specs: Mapping[str, FunctionSpec] = {}
        self.cold_starts: Mapping[str, int] = {}
        self._seen: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._minute = 0
        self._now: dict[str, Usage] = {}
        self._past: deque[tuple[int, dict[str, Usage]]] = deque(maxlen=MINUTES - 1)
        self._hours: dict[tuple[str, int], Usage] = {}
        self._unsaved: set[tuple[str, int]] = set()

    def begin(self, rows: Iterable[Row]) -> None:
        """At start: what is kept of the hour that has begun, to be added to."""
        with self._lock:
            self._hours.update({(function, hour): usage for function, hour, usage in rows})

    def settled(self, settlement: Settlement, _invocation: Invocation) -> None:
        """An attempt has ended."""
        outcome, attempt = settlement.outcome, settlement.attempt
        spec = self.specs.get(settlement.function)
        if outcome is None or spec is None:
            return
        ended = attempt.answered or settlement.at
        # A clock that is set right in the middle must not become years of work.
        seconds = min((ended - attempt.handed_over) / 1000, spec.timeout) if attempt.handed_over else 0.0
        error = outcome.kind if isinstance(outcome, Failed) else ""
        with self._lock:
            for usage in self._open(settlement.function, settlement.at):
                usage.attempt(seconds, spec.memory, error)

    def rows(self) -> list[Row]:
        """What has changed since the last call: to be written over what is kept."""
        with self._lock:
            now = self._look()
            changed, self._unsaved = self._unsaved, set()
            found = [(function, hour, self._hours[function, hour]) for function, hour in sorted(changed)]
            old = now - 2 * HOUR
            self._hours = {key: usage for key, usage in self._hours.items() if key[1] > old}
            return found

    def minutes(self, function: str) -> Spans:
        """The last hour by the minute, this minute included; those without any are left out."""
        with self._lock:
            now = self._look()
            everything = [*self._past, (self._minute, self._now)]
            oldest = now - MINUTES * MINUTE
            return {at: total([spans[function]]) for at, spans in everything if function in spans and at > oldest}

    def hours(self, function: str) -> Spans:
        """The newest hours as far as they are in memory: they stand over what is on disk."""
        with self._lock:
            self._look()
            return {hour: total([usage]) for (name, hour), usage in self._hours.items() if name == function}

    def _look(self) -> int:
        """Count the cold starts since the last look; the time now."""
        now = self._clock()
        for function, count in list(self.cold_starts.items()):
            if new := count - self._seen[function]:
                self._seen[function] = count
                for usage in self._open(function, now):
                    usage.cold_starts += new
        return now

    def _open(self, function: str, at: int) -> tuple[Usage, Usage]:
        """The minute and the hour that `at` is in, to be added to."""
        minute, hour = at - at % MINUTE, at - at % HOUR
        if minute != self._minute:
            if self._now:
                self._past.append((self._minute, self._now))
            self._minute, self._now = minute, {}
        self._unsaved.add((function, hour))
        return self._now.setdefault(function, Usage()), self._hours.setdefault((function, hour), Usage())
