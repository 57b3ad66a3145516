"""What a message or an answer starts besides rules: functions that asked for its topic, functions that follow another.

Enters: messages (with what was decoded of them) and answers. Leaves: invocations, to be recorded in the same commit as what
they come from. Pure but for its counters; what is declared is exchanged as a whole, so any thread may ask meanwhile.
Guarantee: at least once. An event has the id of the newest reading its message brought, so a board's repeats start
nothing; a message without a reading that can be told apart has an id of its own each time the broker delivers it.
A message costs one look-up, and none while no function asks for topics.
"""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from edge_agent.domain import event
from edge_agent.domain.filters import covers, widest
from edge_agent.domain.function import MAX_PAYLOAD, FunctionSpec
from edge_agent.domain.invocation import Invocation, Settlement, Succeeded
from edge_agent.domain.message import Message, Rejected
from edge_agent.domain.reading import Sample
from edge_agent.ports import Entries

MAX_TOPICS = 16_384
"""Topics whose functions are remembered."""
RESULT_OF = "~"
"""Between an event's id and the function whose answer to it is the next event: it is in no name, and needs no escape in a
URL."""


class Asked(NamedTuple):
    """Who asked for a topic. Not `by_dialects`: it is nobody's reading, and no poison either."""

    by_dialects: bool
    by_functions: tuple[tuple[str, str], ...]
    """(function, its first filter that matches) of each."""


class Triggers:
    """`dialects` are the Topic Filters of the boards' languages; `boot` is new at every start."""

    def __init__(self, site: str, boot: str, dialects: Sequence[str] = ()) -> None:
        self.started: Counter[tuple[str, str]] = Counter()
        """(function, kind of trigger): invocations recorded since the start."""
        self._site = site
        self._boot = boot
        self._dialects = tuple(dialects)
        self._numbers = itertools.count(1)
        self._counting = threading.Lock()
        self._filters: tuple[tuple[str, str], ...] = ()
        self._topics: dict[str, Asked | None] = {}
        self._followers: dict[str, tuple[str, ...]] = {}

    def replace(self, functions: Mapping[str, FunctionSpec]) -> None:
        """From now on these functions."""
        followers: dict[str, list[str]] = {}
        for name, spec in functions.items():
            for other in spec.results_of:
                followers.setdefault(other, []).append(name)
        self._followers = {name: tuple(following) for name, following in followers.items()}
        self._filters = tuple((name, filter_) for name, spec in functions.items() for filter_ in spec.topics)
        self._topics = {}

    def subscriptions(self) -> list[str]:
        """The Topic Filters to subscribe, the dialects' included."""
        return widest([*self._dialects, *(filter_ for _, filter_ in self._filters)])

    # -- topics

    def asked(self, topic: str) -> Asked | None:
        """Who asked for messages of `topic`; None: the dialects alone, as for nearly all."""
        if not self._filters:
            return None
        known = self._topics
        if topic in known:
            return known[topic]
        found = self._find(topic)
        if len(known) >= MAX_TOPICS:
            known.clear()
        known[topic] = found
        return found

    def add(
        self, entries: Entries, message: Message, asked: Asked, fresh: Sequence[Sample], repeats: Sequence[Sample]
    ) -> None:
        """Add the invocations of functions that asked for a live message; none when all that it brought was a repeat."""
        if not asked.by_functions or message.retained or (repeats and not fresh):
            return
        if len(message.payload) > MAX_PAYLOAD:
            names = ", ".join(name for name, _ in asked.by_functions)
            detail = f"{len(message.payload)} bytes for {names}; an event has at most {MAX_PAYLOAD}"
            entries.rejected.append(
                Rejected(message.topic, "oversize", detail, message.payload[:512], message.received)
            )
            return
        event_id = fresh[-1].id if fresh else f"mqtt/{self._boot}/{next(self._numbers)}"
        body = event.of_message(event_id, message, self._site, fresh[-1].device if fresh else "")
        entries.invocations += [
            Invocation(event_id, name, body, message.received, f"topic:{filter_}")
            for name, filter_ in asked.by_functions
        ]

    def _find(self, topic: str) -> Asked | None:
        first: dict[str, str] = {}
        for name, filter_ in self._filters:
            if name not in first and covers(filter_, topic):
                first[name] = filter_
        by_dialects = any(covers(filter_, topic) for filter_ in self._dialects)
        return None if by_dialects and not first else Asked(by_dialects, tuple(first.items()))

    # -- results

    def of_answer(self, settled: Settlement, answered: Invocation) -> list[Invocation]:
        """The invocations that follow an answer, each the next step of the same chain."""
        following = self._followers.get(settled.function)
        if not following or settled.state != "answered" or not isinstance(settled.outcome, Succeeded):
            return []
        event_id = f"{settled.id}{RESULT_OF}{settled.function}"
        body = event.of_result(event_id, answered, settled.outcome, self._site, settled.at)
        invocations = [Invocation(event_id, name, body, settled.at, f"result:{settled.function}") for name in following]
        self.count(invocations)
        return invocations

    # -- what is counted

    def count(self, invocations: Sequence[Invocation]) -> None:
        """These were recorded. Any thread."""
        with self._counting:
            self.started.update((each.function, each.cause.partition(":")[0]) for each in invocations)
