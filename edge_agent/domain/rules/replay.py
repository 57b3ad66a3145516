"""Would this rule have woken me last night? A rule over stored samples, through the same book and machines as live.

Samples are taken in the order in which they were received, and time passes between them up to each receipt, so that timers,
late readings and silences come out as they did, or would have; a backlog counts as drained two seconds after its last
reading. With `as_measured` every sample counts as received when it was measured, in that order: what the rule makes of the
series itself, however late the readings came.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from edge_agent.domain.reading import Sample, Value
from edge_agent.domain.rules.book import RuleBook
from edge_agent.domain.rules.spec import Match, Rule

QUIET_MS = 2_000
"""When nothing has come for so long after a late reading, the backlog has drained."""


@dataclass(frozen=True, slots=True)
class Episode:
    """From firing to resolved, epoch ms; `until` is None when it was still on at the end. `late`: nobody would have been
    told. For `every`, each message is an episode of its own that ends where it begins."""

    device: str
    since: int
    until: int | None
    value: Value | None
    message: str
    late: bool
    id: str


@dataclass(slots=True)
class Replay:
    """What came of it. `series` are the values of the rule's reading per device, (t, value) as measured, for a plot; empty
    for a rule that names no reading. `samples` counts what was judged."""

    rule: Rule
    matches: list[Match] = field(default_factory=list)
    series: dict[str, list[tuple[int, Value]]] = field(default_factory=dict)
    samples: int = 0

    @property
    def episodes(self) -> list[Episode]:
        """Oldest first."""
        ends = {match.episode: match.at for match in self.matches if match.state == "resolved"}
        return [
            Episode(
                device=match.device,
                since=match.since,
                until=match.at if match.state == "message" else ends.get(match.episode),
                value=match.value,
                message=match.message,
                late=match.late,
                id=match.id,
            )
            for match in self.matches
            if match.state != "resolved"
        ]


def replay(
    rule: Rule,
    samples: Iterable[Sample],
    *,
    until: int | None = None,
    late_after_s: float = 300.0,
    as_measured: bool = False,
) -> Replay:
    """Judge `samples` by `rule`; nothing is changed or told to anybody. Samples of other devices do no harm.

    Time goes on to `until` (epoch ms) after the last sample, so that a silence or a `for` at the end is found; by default it
    ends with the last sample.
    """
    book = RuleBook([rule], late_after_s)
    result = Replay(rule)
    taken = [msgspec.structs.replace(sample, received=sample.t) if as_measured else sample for sample in samples]
    taken.sort(key=lambda sample: sample.received)
    late_ms, last = round(late_after_s * 1000), None
    for sample in taken:
        _pass_time(book, last, late_ms, sample.received - 1, result)
        last = sample
        result.matches += book.observe(sample)
        if sample.live and rule.reading in sample.values and book.roster.meet(sample.device).terms:
            result.series.setdefault(sample.device, []).append((sample.t, sample.values[rule.reading]))
    result.samples = len(taken)
    if until is not None:
        _pass_time(book, last, late_ms, until, result)
    for series in result.series.values():
        series.sort(key=lambda point: point[0])
    return result


def _pass_time(book: RuleBook, last: Sample | None, late_ms: int, until: int, result: Replay) -> None:
    """Let every timer that is due between the receipt of `last` and `until` speak, at its own moment."""
    if last is None:
        return
    now = last.received
    if last.received - last.t > late_ms:  # more of the backlog may follow
        _speak(book, (now, min(until, now + QUIET_MS - 1)), False, result)
        now += QUIET_MS
    _speak(book, (now, until), True, result)


def _speak(book: RuleBook, span: tuple[int, int], drained: bool, result: Replay) -> None:
    now, until = span
    while now <= until and (due := book.next_due(drained)) is not None and due <= until:
        now = max(now, due)
        result.matches += book.tick(now, drained)
