"""When the intake rests between reads: never when little comes, never when the socket's buffer is full."""

from __future__ import annotations

import pytest

from edge_agent.adapters.mqtt_paho import pace


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """[now, seconds rested]; resting passes the time."""
    state = [100.0, 0.0]

    def sleep(seconds: float) -> None:
        state[0] += seconds
        state[1] += seconds

    monkeypatch.setattr(pace.time, "monotonic", lambda: state[0])
    monkeypatch.setattr(pace.time, "sleep", sleep)
    return state


def reads(clock: list[float], count: int, every: float, times: int = 200) -> float:
    """Seconds rested after each read, in the end."""
    pacing = pace.Pace()
    for _ in range(times):
        clock[0] += every
        pacing.took(count)
        before = clock[1]
        pacing.rest()
    return clock[1] - before


def test_a_message_now_and_then_is_taken_at_once(clock: list[float]) -> None:
    assert reads(clock, 1, 0.01) == 0.0


def test_many_small_reads_are_gathered_the_longer_the_more_there_are(clock: list[float]) -> None:
    assert reads(clock, 3, 0.001) == pytest.approx(pace.SHORTEST)
    assert reads(clock, 350, 0.001) == pytest.approx(pace.LONGEST)


def test_a_full_read_is_followed_by_the_next_at_once(clock: list[float]) -> None:
    assert reads(clock, pace.MUCH, 0.01) == 0.0
