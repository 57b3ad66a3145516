"""Each word of a rule, and each promise about time, on one device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from edge_agent.domain.durations import format_duration, parse_duration
from edge_agent.domain.reading import About, Sample, Value
from edge_agent.domain.rules.book import RuleBook
from edge_agent.domain.rules.spec import Match, Rule, RuleState
from edge_agent.domain.rules.wording import Template

NOON = 1_795_428_000_000
SECOND, MINUTE, HOUR = 1_000, 60_000, 3_600_000


class Board:
    """A board and the book that judges it. `at` and `received` are seconds after noon; samples are numbered from 1."""

    def __init__(self, *rules: Rule, device: str = "tank-1") -> None:
        self.book = RuleBook(rules)
        self.rules = rules
        self.device = device
        self.seq = 0

    def send(self, at: float, *, received: float | None = None, live: bool = True, **values: Value) -> list[str]:
        return told(self.sends(at, received=received, live=live, **values))

    def sends(self, at: float, *, received: float | None = None, live: bool = True, **values: Value) -> Sequence[Match]:
        self.seq += 1
        t, came = NOON + round(at * SECOND), NOON + round((at if received is None else received) * SECOND)
        return self.book.observe(Sample(self.device, "b", self.seq, t, came, values, live=live))

    def levels(self, *levels: Value, every: float = 10.0) -> list[list[str]]:
        return [self.send(self.seq * every, level=level) for level in levels]

    def tick(self, at: float, drained: bool = True) -> list[str]:
        return told(self.book.tick(NOON + round(at * SECOND), drained))

    def restart(self, *rules: Rule) -> None:
        states = self.book.snapshot()
        self.book = RuleBook(rules or self.rules)
        self.book.restore(states)


def told(matches: Sequence[Match]) -> list[str]:
    """`firing` or `resolved` with the seconds after noon; late ones in brackets."""
    said = [f"{match.state} {(match.at - NOON) / SECOND:g}" for match in matches]
    return [f"({text})" if match.late else text for text, match in zip(said, matches, strict=True)]


def rule(**words: Any) -> Rule:
    return Rule(**{"name": "low", "devices": "tank-*", "reading": "level"} | words)


# -- words


@pytest.mark.parametrize(
    ("words", "levels", "fires_at", "clears_at"),
    [
        ({"below": 20.0}, [20, 19.9, 19, 20], 1, 3),
        ({"below": 20.0, "clear_above": 25.0}, [20, 19, 22, 25, 25.1], 1, 4),
        ({"above": 30.0}, [30, 31, 30], 1, 2),
        ({"above": 30.0, "clear_below": 28.0}, [30.5, 29, 28, 27.9], 0, 3),
        ({"above": 10.0, "below": 20.0}, [10, 15, 19.9, 20], 1, 3),
        ({"above": 10.0, "below": 20.0, "clear_above": 22.0}, [15, 21, 22, 22.5], 0, 3),
        ({"outside": (10.0, 30.0)}, [10, 30, 30.1, 9, 10], 2, 4),
        ({"outside": (10.0, 30.0), "clear_above": 12.0, "clear_below": 28.0}, [9, 11, 29, 28, 20], 0, 4),
        ({"equals": 3}, [2, 3.0, 3, 4], 1, 3),
        ({"equals": True}, [False, True, True, False], 1, 3),
        ({"equals": "open"}, ["shut", "open", "open", "shut"], 1, 3),
        ({"changed_by": 0.1}, [20.2, 20.3, 20.4, 20.45], 1, 3),
        ({"rate_per_minute": 6.0}, [10, 10.9, 11.9, 13, 13.5], 2, 4),
        ({"rate_per_minute": -6.0}, [10, 9.5, 8.5, 7, 20], 2, 4),
    ],
)
def test_a_word_fires_and_clears_where_it_says(words: Any, levels: list[Value], fires_at: int, clears_at: int) -> None:
    said = Board(rule(**words)).levels(*levels)
    wanted: list[list[str]] = [[] for _ in levels]
    wanted[fires_at], wanted[clears_at] = [f"firing {fires_at * 10}"], [f"resolved {clears_at * 10}"]
    assert said == wanted


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        ({"below": 20.0}, ["1", True, False]),
        ({"changed_by": 1.0}, ["5", True]),
        ({"rate_per_minute": 1.0}, ["5", False]),
        ({"equals": 1}, [True, "1"]),
        ({"equals": True}, [1, 1.0, "true"]),
        ({"equals": "1"}, [1, True]),
    ],
)
def test_a_value_of_another_type_is_ignored(words: Any, wrong: list[Value]) -> None:
    board = Board(rule(**words))
    assert board.levels(*wrong) == [[] for _ in wrong]
    assert board.book.snapshot() == []


def test_other_readings_other_devices_and_retained_samples_are_ignored() -> None:
    board = Board(rule(below=20.0))
    assert board.send(1, humidity=5) == []
    assert board.send(2, level=5, live=False) == []
    board.device = "pump-1"
    assert board.send(3, level=5) == []
    board.device = "tank-1"
    assert board.send(4, level=5) == ["firing 4"]


def test_two_values_of_one_instant_have_no_slope() -> None:
    board = Board(rule(rate_per_minute=1.0))
    assert [board.send(0, level=1), board.send(0, level=99), board.send(60, level=1.5)] == [[], [], []]
    assert board.send(120, level=9) == ["firing 120"]
    assert board.send(120, level=9) == []


def test_every_message_is_an_event_without_an_end() -> None:
    board = Board(rule(every=True), rule(name="any", every=True, reading=""))
    [level, anything] = board.sends(1, level=5, door=True)
    assert (level.id, level.state, level.value) == ("tank-1/b/1/low", "message", 5)
    assert (anything.id, anything.value, anything.readings) == ("tank-1/b/1/any", None, {"level": 5, "door": True})
    assert told(board.sends(2, door=False)) == ["message 2"]
    assert board.book.firing() == []
    assert board.book.changed() == []  # nothing to store with the message


def test_of_several_messages_within_a_cooldown_the_first_counts() -> None:
    board = Board(rule(every=True, cooldown=25.0))
    assert board.levels(1, 2, 3, 4) == [["message 0"], [], [], ["message 30"]]


def test_a_match_tells_value_previous_and_all_readings() -> None:
    board = Board(rule(below=20.0))
    board.send(0, level=21.5, door=False)
    [match] = board.sends(10, level=18.2, door=True)
    assert (match.id, match.episode, match.since) == ("tank-1/b/2/low", "tank-1/b/2/low", NOON + 10 * SECOND)
    assert (match.value, match.previous, match.readings) == (18.2, 21.5, {"level": 18.2, "door": True})
    [over] = board.sends(20, level=30)
    assert (over.id, over.episode, over.since) == ("tank-1/b/3/low/resolved", match.id, match.since)


# -- for


def test_for_is_found_by_the_first_reading_that_has_held_long_enough() -> None:
    board = Board(rule(below=20.0, for_=30.0))
    assert board.levels(19, 19, 19, 18, 21) == [[], [], [], ["firing 30"], ["resolved 40"]]
    assert board.levels(19, 19, 21, 19, 19) == [[], [], [], [], []]


def test_for_is_found_by_the_timer_when_no_reading_comes() -> None:
    board = Board(rule(below=20.0, for_=30.0, message="{device} {value} {door}"))
    board.sends(0, level=25)
    board.sends(7, level=19, door=True)
    assert board.book.next_due() == NOON + 37 * SECOND
    assert board.tick(36.999) == []
    [match] = board.book.tick(NOON + 40 * SECOND, drained=False)
    assert match.id == f"tank-1/timer/{NOON + 37 * SECOND}/low"
    assert (match.at, match.value, match.previous) == (NOON + 37 * SECOND, 19, 25)
    assert match.message == "tank-1 19 true"
    assert board.tick(1000) == []
    assert board.book.next_due() is None
    [over] = board.sends(1001, level=30)
    assert over.episode == match.id


def test_hysteresis_is_for_firing_rules_a_pending_one_starts_again_at_the_limit() -> None:
    board = Board(rule(below=20.0, clear_above=25.0, for_=30.0))
    assert board.levels(19, 22, 19, 19, 19, 19, 22) == [[], [], [], [], [], ["firing 50"], []]


def test_a_reading_that_ends_a_hold_after_its_time_finds_that_the_timer_was_due() -> None:
    board = Board(rule(below=20.0, for_=30.0))
    board.sends(0, level=19)
    fired, over = board.sends(60, level=25)
    assert (fired.id, fired.value, over.at) == (f"tank-1/timer/{NOON + 30 * SECOND}/low", 19, NOON + 60 * SECOND)


def test_a_hold_is_long_enough_when_the_reading_that_ends_it_comes_at_its_last_moment() -> None:
    board = Board(rule(below=20.0, for_=30.0))
    board.sends(0, level=19)
    assert board.send(30, level=25) == ["firing 30", "resolved 30"]
    board.sends(100, level=19)
    assert board.send(129.999, level=25) == []


def test_a_reading_inside_the_deadband_says_that_time_has_passed() -> None:
    board = Board(rule(below=20.0, for_=30.0, deadband=1.0))
    assert board.levels(19, 18.5, 18.5, 18.5) == [[], [], [], ["firing 30"]]


def test_such_an_episode_of_long_ago_wakes_nobody() -> None:
    board = Board(rule(below=20.0, for_=30.0))
    board.sends(0, level=19)
    assert board.send(HOUR / SECOND, level=25) == ["(firing 30)", "(resolved 3600)"]


def test_a_reading_measured_before_the_timer_but_heard_after_it_ends_the_episode_at_once() -> None:
    board = Board(rule(below=20.0, for_=30.0))
    board.sends(0, level=19)
    assert board.tick(30) == ["firing 30"]
    assert board.send(25, received=35, level=25) == ["resolved 30"]


# -- cooldown


def test_what_still_holds_when_the_cooldown_ends_fires_then() -> None:
    board = Board(rule(below=20.0, cooldown=60.0))
    assert board.levels(19, 21, 19, 19, 19, 19, 19) == [
        ["firing 0"], ["resolved 10"], [], [], [], [], ["firing 60"],
    ]  # fmt: skip


def test_what_still_holds_when_the_cooldown_ends_fires_by_the_timer_too() -> None:
    board = Board(rule(below=20.0, cooldown=60.0))
    board.levels(19, 21, 19)
    assert [pending.due for pending in board.book.pending()] == [NOON + 60 * SECOND]
    assert board.tick(59) == []
    assert board.tick(61) == ["firing 60"]


def test_what_comes_and_goes_within_the_cooldown_is_not_reported() -> None:
    board = Board(rule(below=20.0, cooldown=60.0))
    assert board.levels(19, 21, 19, 21) == [["firing 0"], ["resolved 10"], [], []]
    assert board.tick(100) == []


def test_a_jump_within_the_cooldown_is_dropped_for_it_cannot_wait() -> None:
    board = Board(rule(changed_by=5.0, cooldown=60.0))
    assert board.levels(0, 10, 10, 20) == [[], ["firing 10"], ["resolved 20"], []]
    assert board.tick(100) == []


def test_for_and_cooldown_both_have_to_be_over() -> None:
    board = Board(rule(below=20.0, for_=30.0, cooldown=60.0))
    board.levels(19, 19, 19, 19, 21)
    board.sends(80, level=19)
    assert [pending.due for pending in board.book.pending()] == [NOON + 110 * SECOND]


# -- report by exception


def test_inside_the_deadband_nothing_is_judged() -> None:
    board = Board(rule(below=20.0, deadband=1.0))
    assert board.levels(20.5, 19.6, 19.5, 20.4, 20.5) == [[], [], ["firing 20"], [], ["resolved 40"]]


def test_after_the_longest_silence_a_reading_counts_however_little_it_moved() -> None:
    board = Board(rule(below=20.0, deadband=5.0, longest_silence=30.0))
    assert board.levels(20.5, 19.6, 19.6, 19.6) == [[], [], [], ["firing 30"]]


def test_a_deadband_thins_out_messages() -> None:
    board = Board(rule(every=True, deadband=0.5, longest_silence=40.0))
    assert board.levels(1, 1.2, 1.5, 1.6, 1.4, 1.5, 1.6) == [
        ["message 0"],
        [],
        ["message 20"],
        [],
        [],
        [],
        ["message 60"],
    ]


# -- missingFor


def missing(**words: Any) -> Rule:
    return rule(**{"name": "silent", "missing_for": 60.0, "reading": ""} | words)


def test_a_silent_sensor_is_missed_and_greeted_when_it_is_back() -> None:
    board = Board(missing())
    board.sends(0, level=5)
    board.sends(30, level=5)
    assert board.tick(89) == []
    [match] = board.book.tick(NOON + 95 * SECOND, drained=True)
    assert match.id == f"tank-1/timer/{NOON + 90 * SECOND}/silent"
    assert match.message == "tank-1: nothing heard for 1m"
    assert board.tick(500) == []
    assert board.send(600, level=5) == ["resolved 600"]
    assert board.tick(659) == []
    assert board.tick(660) == ["firing 660"]


def test_nobody_is_missed_while_a_backlog_is_still_being_read() -> None:
    board = Board(missing())
    board.sends(0, level=5)
    assert board.tick(100, drained=False) == []
    assert board.book.next_due(drained=False) is None
    assert board.book.next_due() == NOON + 60 * SECOND
    board.sends(50, received=110, level=5)
    assert board.tick(120) == []
    assert board.tick(170) == ["firing 170"]


def test_one_reading_may_be_missed_while_others_come() -> None:
    board = Board(missing(reading="level"))
    board.sends(0, level=5)
    board.sends(59, door=True)
    [match] = board.book.tick(NOON + 60 * SECOND, drained=True)
    assert (match.value, match.message) == (5, "tank-1: no level for 1m")
    assert board.send(61, door=True) == []
    assert board.send(62, level="broken") == ["resolved 62"]


def test_silence_counts_from_what_was_heard_not_from_a_boards_wrong_clock() -> None:
    board = Board(missing())
    board.sends(-7200, received=0, level=5)
    assert board.tick(59) == []
    assert board.tick(60) == ["firing 60"]
    assert board.send(-7100, received=100, level=5) == ["resolved 100"]


def test_a_device_that_comes_and_goes_is_missed_once_per_cooldown() -> None:
    board = Board(missing(cooldown=500.0))
    board.sends(0, level=5)
    assert board.tick(60) == ["firing 60"]
    assert board.send(70, level=5) == ["resolved 70"]
    assert board.tick(559) == []
    assert board.tick(560) == ["firing 560"]


def test_a_device_never_heard_is_not_missed() -> None:
    board = Board(missing(devices="tank-1"))
    assert board.tick(10_000) == []


def test_a_device_known_from_the_last_life_is_missed() -> None:
    board = Board(missing())
    board.sends(0, level=5)
    board.restart()
    assert board.tick(61) == ["firing 60"]
    board.restart()
    assert board.tick(100) == []
    assert board.send(101, level=5) == ["resolved 101"]


def test_a_rule_that_is_new_counts_the_silence_of_known_devices_from_now() -> None:
    board = Board(rule(below=20.0))
    board.sends(0, level=25)
    board.restart(
        rule(below=20.0), missing(), missing(name="level-silent", reading="level"), missing(name="door", reading="door")
    )
    assert board.tick(100) == []
    assert board.tick(159) == []
    assert board.tick(160) == ["firing 160", "firing 160"]


def test_a_new_rule_does_not_miss_a_device_that_was_forgotten_meanwhile() -> None:
    board = Board(rule(below=20.0))
    board.sends(0, level=25)
    board.restart(rule(below=20.0), missing())
    board.book.forget("tank-1")
    assert board.tick(100) == []
    assert board.tick(200) == []


# -- late, future, out of order


def test_a_late_reading_makes_a_past_alert() -> None:
    board = Board(rule(below=20.0))
    assert board.send(0, received=300, level=19) == ["firing 0"]
    board = Board(rule(below=20.0))
    assert board.send(0, received=300.001, level=19) == ["(firing 0)"]


def test_a_backlog_makes_past_episodes_and_wakes_somebody_for_what_holds_now() -> None:
    board = Board(rule(below=20.0, cooldown=600.0))
    assert board.send(0, received=2000, level=19) == ["(firing 0)"]
    assert board.send(60, received=2000, level=25) == ["(resolved 60)"]
    assert board.send(1000, received=2000, level=19) == ["(firing 1000)"]
    assert board.send(1600, received=2000, level=18) == []
    ended, begun = board.sends(1995, received=2000, level=17)
    assert told([ended, begun]) == ["(resolved 1995)", "firing 1995"]
    assert ended.episode == "tank-1/b/3/low"
    assert (begun.id, begun.since, begun.previous) == ("tank-1/b/5/low", NOON + 1995 * SECOND, 18)
    assert board.send(2010, level=25) == ["resolved 2010"]


def test_a_past_alert_starts_no_cooldown_for_what_happens_now() -> None:
    board = Board(rule(below=20.0, cooldown=600.0))
    assert board.send(0, received=400, level=19) == ["(firing 0)"]
    assert board.send(50, received=400, level=25) == ["(resolved 50)"]
    assert board.send(60, received=400, level=19) == []
    assert board.send(390, received=400, level=19) == ["firing 390"]
    assert board.send(400, level=25) == ["resolved 400"]
    assert board.send(410, level=19) == []


def test_what_only_late_readings_held_is_a_past_alert_however_late_it_ends() -> None:
    board = Board(rule(below=20.0, for_=1000.0))
    assert board.send(0, received=400, level=19) == []
    assert board.send(1001, level=25) == ["(firing 1000)", "(resolved 1001)"]


def test_an_episode_that_was_told_is_ended_aloud_even_by_a_late_reading() -> None:
    board = Board(rule(below=20.0))
    assert board.send(0, level=19) == ["firing 0"]
    assert board.send(60, received=4000, level=25) == ["resolved 60"]


def test_the_timer_of_a_late_reading_waits_for_the_backlog() -> None:
    board = Board(rule(below=20.0, for_=30.0))
    board.sends(0, received=2000, level=19)
    assert board.tick(2000, drained=False) == []
    board.sends(10, received=2001, level=25)
    board.sends(100, received=2001, level=19)
    assert board.tick(2001, drained=False) == []
    assert board.tick(2002, drained=True) == ["(firing 130)"]


def test_a_hold_that_becomes_current_does_not_wait_for_the_backlog() -> None:
    board = Board(rule(below=20.0, for_=2000.0))
    board.sends(0, received=1000, level=19)
    board.sends(999, received=1000, level=19)
    assert board.tick(2000, drained=False) == ["firing 2000"]


def test_a_reading_from_the_future_counts_as_measured_when_it_was_received() -> None:
    board = Board(rule(below=20.0))
    assert board.send(120, received=0, level=19) == ["firing 120"]
    board = Board(rule(below=20.0))
    assert board.send(10**9, received=0, level=19) == ["firing 0"]
    assert board.send(10, level=25) == ["resolved 10"]


def test_a_reading_older_than_the_last_one_judged_is_not_judged() -> None:
    board = Board(rule(below=20.0))
    assert board.send(100, level=25) == []
    assert board.send(99, received=101, level=19) == []
    assert board.send(100, received=102, level=19) == ["firing 100"]


def test_an_old_message_is_not_what_the_next_one_is_compared_with() -> None:
    board = Board(rule(every=True, deadband=5.0))
    assert board.send(100, level=10) == ["message 100"]
    assert board.send(50, received=101, level=20) == ["message 50"]
    assert board.send(110, level=14) == []


def test_messages_count_in_any_order() -> None:
    board = Board(rule(every=True))
    assert [board.send(100, level=1), board.send(50, received=101, level=1)] == [["message 100"], ["message 50"]]


def test_a_clock_set_back_by_an_hour_stops_no_rule() -> None:
    board = Board(rule(below=20.0, for_=30.0, cooldown=60.0), missing())
    assert board.levels(19, 19, 19, 19) == [[], [], [], ["firing 30"]]
    assert board.send(-3600, level=25) == ["resolved 30"]
    assert board.send(-3590, level=19) == []
    assert board.send(-3540, level=19) == ["firing -3540"]
    assert board.tick(-3480) == ["firing -3480"]  # and silence is measured by the new clock


def test_a_clock_set_back_moves_timers_too() -> None:
    board = Board(rule(below=20.0, for_=30.0), missing())
    board.tick(0)
    board.sends(1, level=19)
    assert board.tick(-3600) == []
    assert board.tick(-3570) == ["firing -3570"]
    assert board.tick(-3540) == ["firing -3540"]


def test_a_clock_set_back_while_the_agent_was_off_moves_timers_too() -> None:
    board = Board(rule(below=20.0, for_=30.0), missing())
    board.sends(1, level=19)
    board.restart()
    assert board.tick(-3600) == []
    assert board.tick(-3540) == ["firing -3570", "firing -3540"]


def test_a_slope_is_not_measured_across_a_clock_that_was_set_back() -> None:
    board = Board(rule(rate_per_minute=1.0))
    board.sends(0, level=0)
    assert board.send(-3600, level=100) == []
    assert board.send(-3540, level=102) == ["firing -3540"]


# -- states


def test_timers_and_episodes_survive_a_restart() -> None:
    board = Board(rule(below=20.0, for_=30.0), rule(name="high", above=90.0))
    board.sends(0, level=19, door=True)
    board.restart()
    assert board.book.next_due() == NOON + 30 * SECOND
    [match] = board.book.tick(NOON + HOUR, drained=False)
    assert (match.late, match.readings) == (False, {"level": 19, "door": True})
    board.restart()
    assert [(f.rule, f.device, f.since, f.id) for f in board.book.firing()] == [
        ("low", "tank-1", match.since, match.id)
    ]
    assert board.send(HOUR / SECOND + 1, level=25) == ["resolved 3601"]


def test_only_what_moved_is_stored_with_a_commit_the_rest_now_and_then() -> None:
    board = Board(rule(below=20.0))
    board.sends(0, level=25)
    assert board.book.changed() == []
    assert [state.device for state in board.book.snapshot()] == ["tank-1"]
    assert board.book.snapshot() == []
    board.sends(1, level=19)
    assert [(state.rule, state.device) for state in board.book.changed()] == [("low", "tank-1")]
    assert board.book.changed() == []
    assert board.book.snapshot() == []


def test_a_state_is_small() -> None:
    board = Board(rule(below=20.0))
    board.sends(0, level=19.5)
    [state] = board.book.changed()
    assert len(state.body) <= 100


def test_states_of_other_versions_and_broken_ones_do_no_harm() -> None:
    board = Board(rule(below=20.0))
    board.sends(0, level=19)
    [state] = board.book.changed()
    later = msgspec.msgpack.encode(msgspec.msgpack.decode(state.body) | {"new": [1, 2]})
    board.book = RuleBook(board.rules)
    broken = [b"\xff\x00", b"", b"\x80", msgspec.msgpack.encode({"m": 1, "p": 7}), state.body[:-3]]
    board.book.restore([*(RuleState("low", "tank-2", body) for body in broken), RuleState("low", "tank-1", later)])
    assert [firing.device for firing in board.book.firing()] == ["tank-1"]


# -- what is said


def test_a_message_says_numbers_as_people_do() -> None:
    board = Board(
        rule(below=20.0, message="{rule}/{severity}: {device} {reading} {value} {unit} (was {previous}), {door} {{x}}")
    )
    board.book.learn(About("tank-1", NOON, readings={"level": {"unit": "%"}}))
    board.sends(0, level=20.0)
    [match] = board.sends(1, level=0.1 + 0.2, door=False)
    assert match.message == "low/warning: tank-1 level 0.3 % (was 20), false {x}"


def test_units_learnt_later_and_lost_in_a_restart_are_taken_again() -> None:
    board = Board(rule(below=20.0, message="{value} {unit}"))
    assert board.sends(0, level=19)[0].message == "19"
    board.book.learn(About("tank-1", NOON, readings={"level": {"unit": "%"}}))
    board.sends(1, level=25)
    assert board.sends(2, level=18)[0].message == "18 %"


def test_the_end_has_words_of_its_own_unless_the_message_names_the_state() -> None:
    for message in ("", "{device} is down to {value}"):
        board = Board(rule(below=20.0, message=message))
        board.sends(0, level=19)
        assert board.sends(1, level=25)[0].message == "tank-1: low is over, level is 25"
    board = Board(rule(below=20.0, message="{state}: {value}"))
    board.sends(0, level=19)
    assert board.sends(1, level=25)[0].message == "resolved: 25"


@pytest.mark.parametrize(
    ("words", "before", "said"),
    [
        ({"below": 20.0}, 50, "level is 19, below 20"),
        ({"above": 10.5}, 5, "level is 19, above 10.5"),
        ({"above": 10.0, "below": 20.0}, 50, "level is 19, between 10 and 20"),
        ({"outside": (20.0, 30.0)}, 25, "level is 19, outside 20 to 30"),
        ({"equals": 19}, 50, "level is 19"),
        ({"changed_by": 2.0}, 50, "level went from 50 to 19"),
        ({"rate_per_minute": -2.0}, 50, "level is falling by 2 a minute or more, now 19"),
        ({"every": True, "deadband": 1.0}, True, "level is 19"),
        ({"every": True, "reading": ""}, None, "a message came"),
    ],
)
def test_a_rule_without_a_message_says_what_it_found(words: Any, before: Value | None, said: str) -> None:
    board = Board(rule(**words))
    if before is not None:
        assert board.send(0, level=before) == []
    assert [match.message for match in board.sends(10, level=19)] == [f"tank-1: {said}"]


@pytest.mark.parametrize(
    "text",
    [
        "{device.__class__}", "{device[0]}", "{value!r}", "{}", "{value:>99999999}", "{value:{value}}", "{", "}", "{a",
        "{ value }", "{Value}", "{__class__}", "x" * 501,
    ],
)  # fmt: skip
def test_a_template_that_could_reach_for_more_or_fail_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".{10}"):
        Template.parse(text)


@pytest.mark.parametrize("value", [1, 1.5, True, "text", None, "{device}", 2**53, 1e300, 5e-324, -0.0])
def test_a_template_that_was_accepted_never_fails(value: Any) -> None:
    template = Template.parse("{value} {value:.1f} {previous:.0f} {other:.3f} {unit}")
    assert template.render({"value": value, "previous": None}, {"other": value})


def test_a_reading_cannot_smuggle_lines_into_a_message_nor_make_it_endless() -> None:
    assert Template.parse("{value}").render({"value": "a\r\nBcc: x\x00"}, {}) == "a  Bcc: x"
    assert len(Template.parse("{value}" * 60).render({"value": "y" * 256}, {})) == 1000


def test_digits_may_be_asked_for() -> None:
    assert Template.parse("{value:.1f} {temp:.2f}").render({"value": 18.26}, {"temp": 3}) == "18.3 3.00"


# -- durations


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30),
        ("5m", 300),
        ("6h", 21_600),
        ("2d", 172_800),
        ("1h30m", 5_400),
        ("250ms", 0.25),
        ("1.5h", 5_400),
        ("0s", 0),
    ],
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds
    assert parse_duration(format_duration(seconds)) == seconds


@pytest.mark.parametrize(
    "text", ["", "5", "5 m", "m", "-5m", "5M", "30m1h", "5m5m", "1e3s", "٣s", "99999d", "1" * 70 + "s"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"duration|once|longer"):
        parse_duration(text)
