"""Random rules over random readings and times: the machine says what the slow model says, whatever restarts between."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_agent.domain.reading import Sample
from edge_agent.domain.rules.book import RuleBook
from edge_agent.domain.rules.replay import QUIET_MS, replay
from edge_agent.domain.rules.spec import Match, Rule, RuleState
from edge_agent.domain.rules.wire import parse_rule, to_spec
from tests.unit.rules_model import Event, Said, Tick, expected

START = 1_763_888_888_000
LATE_AFTER = 300.0

VALUES = [8, 9, 9.5, 10, 10.5, 12, 12.0, 15, 15, 19, 19.5, 20, 20, 21, 24, 25, 25.5, 30, True, "on"]
STEPS = [10_000, 10_000, 10_000, 10_000, 0, 1, 999, 1_000, 5_000, 20_000, 30_000, 60_000, 300_000, 1_000_000]
AGES = [0, 0, 0, 0, 0, 0, 0, 0, 5, 1_000, 10_000, 10_000, 20_000, 60_000, 300_000, 300_001, -60_000, -200_000]
OUTAGES = [0, 0, 0, 290_000, 310_000, 1_000_000]
"""All in ms. An outage is an age that a run of samples has in common: a backlog that comes in order."""
SPANS = [0.0, 0.0, 10.0, 20.0, 30.0, 60.0, 500.0, 2_000.0]
SOME_SPANS = [10.0, 30.0, 60.0, 500.0]

Choose = Callable[[Sequence[Any]], Any]
"""Takes one of several: by chance, or as hypothesis likes it."""


def any_rule(choose: Choose) -> Rule:
    """A rule that a manifest could declare, on one reading of every device."""
    word = choose(["below", "above", "between", "outside", "equals", "changed", "rate", "missing", "every"])
    of: dict[str, Any] = {"cooldown": choose(SPANS), "reading": "level"}
    if word in ("below", "between"):
        of["below"] = choose([12.0, 20.0])
        of["clear_above"] = choose([None, 20.0, 25.0])
    if word in ("above", "between"):
        of["above"] = 10.0 if word == "between" else choose([10.0, 20.0])
        of["clear_below"] = choose([None, 9.0, 10.0])
    if word == "outside":
        of |= {"outside": (10.0, 20.0), "clear_above": choose([None, 10.5]), "clear_below": choose([None, 19.5])}
    if word == "equals":
        of["equals"] = choose([12, 15, 10.5, True, "on"])
    if word == "changed":
        of["changed_by"] = choose([0.5, 2.0])
    if word == "rate":
        of["rate_per_minute"] = choose([-10.0, -1.0, 1.0, 60.0])
    if word == "missing":
        of |= {"missing_for": choose(SOME_SPANS), "reading": choose(["", "level"])}
    if word == "every":
        of |= {"every": True, "reading": choose(["", "level"])}
    if word not in ("changed", "missing", "every"):
        of["for_"] = choose(SPANS)
    numeric = word != "missing" and bool(of["reading"]) and not isinstance(of.get("equals"), (bool, str))
    if numeric and choose([False, False, True]):
        of |= {"deadband": choose([0.5, 3.0]), "longest_silence": choose([None, *SOME_SPANS])}
    return Rule(name="rule", **of)


def any_events(choose: Choose) -> list[Event]:
    """Samples of two devices as they are received, and ticks between them; the agent's clock goes forward."""
    now, outage = START, 0
    events: list[Event] = []
    for number in range(choose(range(1, 40))):
        now += choose(STEPS)
        if choose([False, False, False, True]):
            events.append(Tick(now, choose([True, False])))
            continue
        if choose([False, False, False, False, True]):
            outage = choose(OUTAGES)
        values = {choose(["level"] * 9 + ["other"]): choose(VALUES)}
        device = choose(["tank-1"] * 4 + ["tank-2"])
        live = choose([True] * 19 + [False])
        events.append(Sample(device, "b", number + 1, now - outage - choose(AGES), now, values, live=live))
    return events


def any_interruptions(choose: Choose) -> dict[int, str]:
    return {choose(range(40)): choose(["stop", "crash"]) for _ in range(choose(range(4)))}


@st.composite
def chosen(draw: st.DrawFn, make: Callable[[Choose], Any]) -> Any:
    return make(lambda options: draw(st.sampled_from(options)))


class Life:
    """A book as the agent drives it: states go to `stored` with the commit that follows each event."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = rules
        self.book = RuleBook(rules, LATE_AFTER)
        self.stored: dict[tuple[str, str], RuleState] = {}
        self.done: list[Event] = []

    def live(self, event: Event) -> Sequence[Match]:
        found = self.book.tick(*event) if isinstance(event, Tick) else self.book.observe(event)
        self.done.append(event)
        self.store(self.book.changed())
        return found

    def store(self, states: Iterable[RuleState]) -> None:
        number = len(self.done)
        self.stored |= {(s.rule, s.device): RuleState(s.rule, s.device, s.body, number) for s in states}

    def interrupt(self, how: str) -> None:
        """Begin another life with what was stored: all of it after a stop, what the commits held after a crash."""
        if how == "stop":
            self.store(self.book.snapshot())
        self.book = RuleBook(self.rules, LATE_AFTER)
        self.book.restore(self.stored.values())
        for number, event in enumerate(self.done, start=1):
            if isinstance(event, Sample):
                self.book.remember(event, number)


def compare(rule: Rule, events: list[Event], interruptions: dict[int, str]) -> None:
    life = Life([rule])
    found: list[Said] = []
    for place, event in enumerate(events):
        if place in interruptions:
            life.interrupt(interruptions[place])
        matches = life.live(event)
        found += [
            Said(place, m.id, m.state, m.at, m.late, m.value, m.previous, m.since, m.episode) for m in matches
        ]  # fmt: skip
    assert by_event(found) == by_event(expected(rule, events, LATE_AFTER)), f"{rule}\n{events}\n{interruptions}"


def by_event(all_said: list[Said]) -> list[Said]:
    """Devices are independent: within one tick their order is of no meaning, within one device it is."""
    return sorted(all_said, key=lambda one: (one.event, one.id.split("/")[0]))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rule=chosen(any_rule), events=chosen(any_events), interruptions=chosen(any_interruptions))
def test_the_machine_says_what_the_slow_model_says_through_restarts_and_crashes(
    rule: Rule, events: list[Event], interruptions: dict[int, str]
) -> None:
    compare(rule, events, interruptions)


@pytest.mark.parametrize("seed", range(10))
def test_the_machine_says_what_the_slow_model_says_on_many_more_by_plain_chance(seed: int) -> None:
    choose = random.Random(seed).choice
    for _ in range(600):
        compare(any_rule(choose), any_events(choose), any_interruptions(choose))


@settings(max_examples=150, deadline=None)
@given(rule=chosen(any_rule), events=chosen(any_events))
def test_every_episode_has_one_beginning_and_at_most_one_end(rule: Rule, events: list[Event]) -> None:
    life = Life([rule])
    matches = [match for event in events for match in life.live(event)]
    firing = [match.id for match in matches if match.state == "firing"]
    ended = [match.episode for match in matches if match.state == "resolved"]
    assert len(set(firing)) == len(firing)
    assert len(set(ended)) == len(ended)
    assert set(ended) <= set(firing)
    assert {episode.id for episode in life.book.firing()} == set(firing) - set(ended)


@settings(max_examples=50, deadline=None)
@given(rule=chosen(any_rule), events=chosen(any_events))
def test_a_replay_says_what_life_said_with_a_tick_every_second(rule: Rule, events: list[Event]) -> None:
    samples = [on_the_second(event) for event in events if isinstance(event, Sample)]
    life, lived, last = Life([rule]), list[Match](), None
    for sample in samples:
        for moment in range(last.received if last else sample.received, sample.received, 1_000):
            backlog = last is not None and last.received - last.t > LATE_AFTER * 1000
            lived += life.live(Tick(moment, last is None or not backlog or moment - last.received >= QUIET_MS))
        lived += life.live(last := sample)
    assert by_device(replay(rule, samples, late_after_s=LATE_AFTER).matches) == by_device(lived)


def by_device(matches: list[Match]) -> list[Match]:
    """Timers of one moment have no order among devices."""
    return sorted(matches, key=lambda match: match.device)


def on_the_second(sample: Sample) -> Sample:
    return msgspec.structs.replace(sample, t=sample.t // 1000 * 1000, received=sample.received // 1000 * 1000)


@given(rule=chosen(any_rule))
def test_a_rule_written_as_a_manifest_reads_back_as_itself(rule: Rule) -> None:
    assert parse_rule(rule.name, to_spec(rule)) == (rule, [])
