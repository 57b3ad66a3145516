"""All rules together: what a message costs, reload, forgetting, bounds, and the journal's tail."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from edge_agent.domain.reading import Sample, Value
from edge_agent.domain.rules.book import NOTHING, RuleBook
from edge_agent.domain.rules.machine import Machine
from edge_agent.domain.rules.replay import Episode, replay
from edge_agent.domain.rules.spec import Match, Rule, RuleState

NOON = 1_795_428_000_000
SECOND = 1_000


def rule(name: str = "low", **words: Any) -> Rule:
    return Rule(**{"name": name, "devices": "tank-*", "reading": "level", "below": 20.0} | words)


def sample(seq: int, at: int, device: str = "tank-1", **values: Value) -> Sample:
    t = NOON + at * SECOND
    return Sample(device, "b", seq, t, t, values)


def ids(matches: Any) -> list[str]:
    return [match.id for match in matches]


# -- cost, counted


def lines_run(work: Callable[[], object]) -> int:
    """How many lines of Python `work` runs through: a cost that no busy machine can blur."""
    count = 0

    def trace(frame: FrameType, event: str, arg: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    gc.collect()
    gc.disable()  # who listens to it (Hypothesis does) would be counted too
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
        gc.enable()
    return count


def strangers(count: int) -> list[Rule]:
    """Rules that do not concern a tank's level: other devices, other readings, names that come close."""
    return [
        rule(
            f"other-{n}",
            **({"devices": f"pump-{n}"} if n % 3 else {"reading": f"level-{n}"} if n % 2 else {"devices": "tank"}),
        )
        for n in range(count)
    ]


@pytest.mark.parametrize("concerned", [0, 1, 3])
def test_a_message_costs_the_same_with_10_and_with_1000_rules_that_do_not_concern_it(concerned: int) -> None:
    def cost(others: int) -> int:
        book = RuleBook([*strangers(others), *(rule(f"mine-{n}") for n in range(concerned))])
        book.observe(sample(1, 0, level=50.0, door=True))
        return lines_run(lambda: book.observe(sample(2, 1, level=49.0, door=False)))

    assert cost(1000) == cost(10)


def test_only_machines_of_rules_concerned_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    observe = Machine.observe

    def counted(self: Machine, sample: Sample, value: Value | None, t: int) -> list[Match] | None:
        asked.append(self.terms.rule.name)
        return observe(self, sample, value, t)

    monkeypatch.setattr(Machine, "observe", counted)
    book = RuleBook([*strangers(100), rule("mine"), rule("doors", reading="door", equals=True)])
    book.observe(sample(1, 0, level=50))
    assert asked == ["mine"]


def test_nothing_found_is_one_shared_value_and_makes_no_state() -> None:
    book = RuleBook([rule()])
    assert book.observe(sample(1, 0, level=50)) is NOTHING
    assert book.observe(sample(1, 0, "pump-1", level=5)) is NOTHING
    assert book.tick(NOON, drained=True) is NOTHING


def test_a_tick_with_nothing_due_costs_the_same_with_one_and_with_a_thousand_timers() -> None:
    def cost(devices: int) -> int:
        book = RuleBook([rule(for_=60.0)])
        for n in range(devices):
            book.observe(sample(1, 0, f"tank-{n}", level=5))
        book.tick(NOON, drained=True)  # the first one looks whether the clock was set back while the agent was off
        return lines_run(lambda: book.tick(NOON + SECOND, drained=True))

    assert cost(1000) == cost(1)


def test_timers_do_not_pile_up_however_often_they_move() -> None:
    book = RuleBook([rule(missing_for=60.0, below=None), rule("held", for_=3600.0)])
    for n in range(2_000):
        book.observe(sample(n, n, level=5 if n % 2 else 50))
        book.tick(NOON + n * SECOND, drained=n % 3 == 0)
        book.next_due()
    assert len(book._agenda._heap) + len(book._agenda._aside) <= 4


# -- several rules and devices


def test_globs_choose_devices() -> None:
    book = RuleBook(
        [
            rule("any", devices="*"),
            rule("one", devices="tank-1"),
            rule("some", devices="tank-[1-2]"),
            rule("q", devices="t*-?"),
        ]
    )
    found = {
        device: ids(book.observe(sample(1, 0, device, level=5))) for device in ("tank-1", "tank-2", "tank-33", "pump")
    }
    assert {device: [name.split("/")[-1] for name in names] for device, names in found.items()} == {
        "tank-1": ["any", "one", "some", "q"],
        "tank-2": ["any", "some", "q"],
        "tank-33": ["any"],
        "pump": ["any"],
    }


def test_what_fires_and_what_waits_is_listed() -> None:
    book = RuleBook([rule(), rule("later", for_=60.0)])
    book.observe(sample(1, 5, "tank-2", level=5))
    book.observe(sample(1, 3, "tank-1", level=5))
    assert [(f.rule, f.device, f.since, f.id) for f in book.firing()] == [
        ("low", "tank-1", NOON + 3 * SECOND, "tank-1/b/1/low"),
        ("low", "tank-2", NOON + 5 * SECOND, "tank-2/b/1/low"),
    ]
    assert [(p.rule, p.device, p.due) for p in book.pending()] == [
        ("later", "tank-2", NOON + 65 * SECOND),
        ("later", "tank-1", NOON + 63 * SECOND),
    ]


# -- reload


def test_a_rule_that_means_the_same_keeps_its_states_through_a_reload() -> None:
    book = RuleBook([rule(), rule("held", for_=60.0)])
    book.observe(sample(1, 0, level=5))
    assert book.replace([rule(message="{value}", severity="critical", cooldown=5.0), rule("held", for_=90.0)]) == []
    assert book.observe(sample(2, 1, level=5)) is NOTHING
    [held] = book.tick(NOON + 90 * SECOND, drained=True)
    assert held.id == f"tank-1/timer/{NOON + 90 * SECOND}/held"
    [over, _] = book.observe(sample(3, 100, level=50))
    assert (over.rule.severity, over.episode) == ("critical", "tank-1/b/1/low")


@pytest.mark.parametrize(
    "words", [{"below": 10.0}, {"reading": "height"}, {"devices": "pump-*"}, {"clear_above": 30.0}]
)
def test_a_rule_that_means_something_else_now_is_resolved_where_it_fired(words: Any) -> None:
    book = RuleBook([rule()])
    book.observe(sample(1, 0, level=5))
    book.changed()
    [over] = book.replace([rule(**words)], now=NOON + 9 * SECOND)
    assert (over.id, over.state, over.episode) == ("tank-1/b/1/low/withdrawn/resolved", "resolved", "tank-1/b/1/low")
    assert (over.at, over.since, over.rule) == (NOON + 9 * SECOND, NOON, rule())
    assert book.changed() == [RuleState("low", "tank-1", b"")]
    assert book.firing() == []


def test_a_rule_that_is_gone_is_resolved_and_comes_back_afresh() -> None:
    book = RuleBook([rule(), rule("held", for_=60.0)])
    book.observe(sample(1, 0, level=5))
    assert ids(book.replace([])) == ["tank-1/b/1/low/withdrawn/resolved"]
    assert {(state.rule, state.body) for state in book.changed()} == {("low", b""), ("held", b"")}
    assert book.next_due() is None
    assert book.replace([rule()]) == []
    assert ids(book.observe(sample(2, 1, level=5))) == ["tank-1/b/2/low"]


def test_changes_not_yet_stored_are_stored_after_a_reload() -> None:
    book = RuleBook([rule()])
    book.observe(sample(1, 0, level=5))
    book.replace([rule(), rule("new")])
    assert [state.rule for state in book.changed()] == ["low"]


def test_a_reload_that_cannot_be_done_changes_nothing() -> None:
    book = RuleBook([rule()])
    book.observe(sample(1, 0, level=5))
    with pytest.raises(ValueError, match="no condition"):
        book.replace([rule(below=None)])
    assert list(book.rules) == ["low"]
    assert [firing.rule for firing in book.firing()] == ["low"]


def test_what_fired_under_a_rule_that_was_removed_while_the_agent_was_off_is_resolved_at_the_first_tick() -> None:
    book = RuleBook([rule(), rule("gone"), rule("calm", below=1.0)])
    book.observe(sample(1, 0, level=5))
    states = book.snapshot()
    book = RuleBook([rule(below=10.0)])
    book.restore(states)
    over = book.tick(NOON + 60 * SECOND, drained=False)
    assert {(match.rule.name, match.episode, match.at) for match in over} == {
        ("low", "tank-1/b/1/low", NOON + 60 * SECOND),
        ("gone", "tank-1/b/1/gone", NOON + 60 * SECOND),
    }
    assert {(state.rule, state.body) for state in book.changed()} == {("low", b""), ("gone", b""), ("calm", b"")}
    assert book.tick(NOON + 61 * SECOND, drained=False) is NOTHING


def test_a_device_that_is_retired_is_resolved_and_forgotten() -> None:
    book = RuleBook([rule(), rule("held", for_=60.0)])
    book.observe(sample(1, 0, level=5))
    book.observe(sample(1, 0, "tank-2", level=5))
    book.changed()
    assert ids(book.forget("tank-1", NOON)) == ["tank-1/b/1/low/withdrawn/resolved"]
    assert {(state.rule, state.device, state.body) for state in book.changed()} == {
        ("low", "tank-1", b""),
        ("held", "tank-1", b""),
    }
    assert [firing.device for firing in book.firing()] == ["tank-2"]
    assert ids(book.tick(NOON + 60 * SECOND, drained=True)) == [f"tank-2/timer/{NOON + 60 * SECOND}/held"]
    assert book.forget("never-seen") == []


# -- the journal's tail


def test_the_tail_brings_memory_up_to_date_and_says_nothing() -> None:
    book = RuleBook([rule("jump", below=None, changed_by=5.0)])
    book.observe(sample(1, 0, level=10))
    states = book.snapshot()
    fresh = RuleBook([rule("jump", below=None, changed_by=5.0)])
    fresh.restore(states)
    fresh.remember(sample(2, 10, level=13))
    assert ids(fresh.observe(sample(3, 20, level=17))) == []
    assert ids(fresh.observe(sample(4, 30, level=22))) == ["tank-1/b/4/jump"]


def test_samples_that_a_stored_state_has_seen_are_not_shown_to_it_again() -> None:
    book = RuleBook([rule("jump", below=None, changed_by=5.0)])
    book.observe(sample(1, 0, level=10))
    book.observe(sample(2, 10, level=20))
    states = [RuleState(s.rule, s.device, s.body, upto=2) for s in book.snapshot()]
    fresh = RuleBook([rule("jump", below=None, changed_by=5.0)])
    fresh.restore(states)
    fresh.remember(sample(2, 10, level=20), number=2)
    fresh.remember(sample(3, 20, level=29), number=3)
    assert [firing.id for firing in fresh.firing()] == ["tank-1/b/2/jump"]
    assert fresh.observe(sample(4, 30, level=35)) is NOTHING
    assert ids(fresh.observe(sample(5, 40, level=36))) == ["tank-1/b/5/jump/resolved"]


def test_a_new_rule_does_not_fire_silently_on_the_tail_but_aloud_on_the_next_reading() -> None:
    book = RuleBook([rule()])
    book.remember(sample(1, 0, level=5))
    assert book.firing() == []
    assert ids(book.observe(sample(2, 10, level=4))) == ["tank-1/b/2/low"]


# -- bounds


def test_devices_without_episodes_make_room_for_new_ones_and_firing_ones_stay() -> None:
    book = RuleBook([rule()], max_devices=20)
    book.observe(sample(1, 0, "tank-firing", level=5))
    for n in range(1_000):
        book.observe(sample(1, 0, f"tank-{n}", level=50))
        book.observe(sample(1, 0, f"pump-{n}", level=50))
    assert len(book.roster.watches) <= 20
    assert book.roster.evicted > 1_900
    assert [firing.device for firing in book.firing()] == ["tank-firing"]
    assert ids(book.observe(sample(2, 1, "tank-firing", level=50))) == ["tank-firing/b/2/low/resolved"]


def test_when_every_device_matters_a_new_one_is_refused_and_counted() -> None:
    book = RuleBook([rule()], max_devices=3)
    found = [ids(book.observe(sample(1, 0, f"tank-{n}", level=5))) for n in range(5)]
    assert [len(some) for some in found] == [1, 1, 1, 0, 0]
    assert book.roster.refused == 2


def test_a_board_that_invents_readings_is_judged_still_and_remembered_in_part() -> None:
    book = RuleBook([rule()])
    for n in range(2_000):
        book.observe(sample(n, n, **{f"r{n}": 1}))
    assert len(book.roster.watches["tank-1"]) <= 257
    assert ids(book.observe(sample(3_000, 3_000, level=5))) == ["tank-1/b/3000/low"]


# -- replay


def night() -> list[Sample]:
    levels = [50, 50, 15, 14, 13, 30, 50, 50, 15]
    return [sample(n, n * 600, level=level) for n, level in enumerate(levels)]


def test_a_replay_tells_the_episodes_of_the_night_and_the_series_to_plot() -> None:
    result = replay(rule(clear_above=25.0, message="{value}"), [*night(), sample(1, 5, "pump-1", level=1)])
    assert result.episodes == [
        Episode("tank-1", NOON + 1200 * SECOND, NOON + 3000 * SECOND, 15, "15", False, "tank-1/b/2/low"),
        Episode("tank-1", NOON + 4800 * SECOND, None, 15, "15", False, "tank-1/b/8/low"),
    ]
    assert list(result.series) == ["tank-1"]
    assert result.series["tank-1"][:3] == [(NOON, 50), (NOON + 600 * SECOND, 50), (NOON + 1200 * SECOND, 15)]
    assert result.samples == 10


def test_a_replay_lets_time_pass_between_samples_and_up_to_its_end() -> None:
    silent = rule("silent", below=None, missing_for=599.0)
    result = replay(silent, night()[:2], until=NOON + 1800 * SECOND)
    assert [(match.state, (match.at - NOON) // SECOND) for match in result.matches] == [
        ("firing", 599), ("resolved", 600), ("firing", 1199),
    ]  # fmt: skip
    held = replay(rule(for_=100.0), night()[:6])
    assert [(match.state, (match.at - NOON) // SECOND) for match in held.matches] == [
        ("firing", 1300),
        ("resolved", 3000),
    ]


def test_a_replay_of_a_backlog_says_that_nobody_would_have_been_woken_unless_asked_for_the_series_itself() -> None:
    came = NOON + 9_000 * SECOND
    backlog = [Sample(s.device, s.boot, s.seq, s.t, came, s.values) for s in night()]
    assert [episode.late for episode in replay(rule(), backlog).episodes] == [True, True]
    assert [episode.late for episode in replay(rule(), backlog, as_measured=True).episodes] == [False, False]
    assert len(replay(rule(for_=1_000.0), backlog).episodes) == 1


def test_a_replay_of_nothing_is_nothing() -> None:
    assert replay(rule(), []).matches == []
