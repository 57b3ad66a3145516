"""A function that seems to start itself raises an alarm; one that is merely busy for a moment does not."""

from __future__ import annotations

from collections import Counter

from edge_agent.engine.rates import WINDOW, Rates


def looks(most: int, *rates: int) -> list[bool]:
    """Whether each look of ten seconds raises the alarm, when so many invocations came in it."""
    started: Counter[tuple[str, str]] = Counter({("loop", "rule"): 5000})
    judge = Rates(started, most)
    found = []
    for rate in rates:
        started["loop", "topic"] += rate
        found.append(bool(judge.look()))
    return found


def test_the_alarm_comes_when_a_minute_had_too_many_and_goes_when_it_is_over() -> None:
    assert looks(600, 600, 0) == [False, False]
    assert looks(600, 601) == [True], "at once, not after the minute"
    assert looks(600, *[100] * 20) == [False] * 20
    assert looks(600, *[101] * WINDOW) == [False] * (WINDOW - 1) + [True]
    assert looks(600, 700, *[0] * WINDOW) == [True] * WINDOW + [False]


def test_nought_is_no_alarm_and_only_messages_count() -> None:
    assert looks(0, 100_000) == [False]
    assert looks(600, 0) == [False], "rules may run as often as they like"


def test_it_says_who_how_often_and_what_to_do() -> None:
    judge = Rates({("a", "topic"): 11, ("b", "topic"): 5, ("c", "topic"): 12}, 10)
    said = judge.look()
    assert "a 11 times, c 12 times" in said
    assert "functions.messages_per_minute" in said
