"""A rule as its manifest declares it (INTERFACE: Manifests), and what it says when it is met."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from edge_agent.domain.reading import Value


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule. Durations are seconds; None is "not set". The words are Home Assistant's where it has them.

    What each word means exactly: README.md in this folder; how they are judged: `machine`.
    """

    name: str
    devices: str = "*"
    """A glob over device names (`tank-*`, `[a-c]*`, `?`)."""
    reading: str = ""
    """The reading it watches; only `missingFor` and `every` may leave it out (any reading)."""
    above: float | None = None
    below: float | None = None
    clear_above: float | None = None
    clear_below: float | None = None
    outside: tuple[float, float] | None = None
    equals: Value | None = None
    changed_by: float | None = None
    rate_per_minute: float | None = None
    missing_for: float | None = None
    every: bool = False
    for_: float = 0.0
    cooldown: float = 0.0
    deadband: float | None = None
    longest_silence: float | None = None
    severity: str = "warning"
    message: str = ""
    run: tuple[str, ...] = ()
    run_on: tuple[str, ...] = ("firing",)
    notify: tuple[str, ...] = ("page", "mqtt")


class Match(msgspec.Struct, frozen=True):
    """A rule was met on a device, or is over: what alert and function are made from.

    `state` is `firing`, `resolved`, or `message` (a rule with `every`, which has no end). `id` is deterministic: the same
    reading, or the same due time, gives the same id after any crash: `<sample id>/<rule>`, `<device>/timer/<due>/<rule>`,
    and for a `resolved` one `.../resolved` behind what ended it. `at` is epoch ms of the reading, or of the timer.
    `late`: found in readings older than `lateAfter`; nobody is told. `readings` are all values of the sample.
    `since` is when the episode began firing; `episode` is the id of the firing match a `resolved` one belongs to.
    """

    id: str
    rule: Rule
    device: str
    reading: str
    state: str
    at: int
    value: Value | None = None
    previous: Value | None = None
    message: str = ""
    late: bool = False
    readings: Mapping[str, Value] = {}
    since: int = 0
    episode: str = ""


class RuleState(msgspec.Struct, frozen=True):
    """What one rule remembers of one device, as stored: `body` is the machine's own encoding; empty: nothing any more.

    `upto` orders it against samples in the journal: a state written in the commit with number N has seen every sample
    up to N and none after, so at start the samples of later commits are shown to the machine again, silently.
    """

    rule: str
    device: str
    body: bytes
    upto: int = 0
