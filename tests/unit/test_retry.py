"""When a failed attempt is tried again, and when it is over."""

from __future__ import annotations

from random import Random

import pytest

from edge_agent.domain.function import RetrySpec
from edge_agent.domain.invocation import Attempt, Failed, Invocation, Settlement, Succeeded
from edge_agent.engine.functions.retry import again, pause
from edge_agent.engine.functions.settle import lease, settle

EVENT = Invocation("tank-1/1/1/low", "pump", b"{}", created=1_000)
THREE = RetrySpec(attempts=3, max_age=3600.0)


def settled(outcome: Succeeded | Failed, number: int = 1, left: float = 3600.0, retry: RetrySpec = THREE) -> Settlement:
    attempt = Attempt(number, "r", 1_000.0)
    return settle(EVENT, attempt, outcome, retry, now=10_000, left=left, chance=Random(1))


def test_pauses_double_and_stop_growing_at_a_minute() -> None:
    longest = [max(pause(failures, Random(seed)) for seed in range(200)) for failures in (1, 2, 3, 7, 500)]
    assert [round(seconds) for seconds in longest] == [1, 2, 4, 60, 60]


def test_at_least_half_of_a_pause_is_always_waited() -> None:
    assert min(pause(3, Random(seed)) for seed in range(200)) >= 2.0


def test_events_that_failed_together_do_not_come_back_together() -> None:
    chance = Random(7)
    assert len({round(pause(4, chance), 3) for _ in range(50)}) > 45


@pytest.mark.parametrize(("number", "tried_again"), [(1, True), (2, True), (3, False), (4, False)])
def test_no_more_attempts_than_allowed(number: int, tried_again: bool) -> None:
    assert (again(number, 3600.0, THREE, Random(1)) is not None) is tried_again


def test_no_attempt_that_would_begin_when_the_event_is_too_old() -> None:
    assert again(1, 0.4, THREE, Random(1)) is None


def test_an_answer_ends_it() -> None:
    assert settled(Succeeded(b"1")).state == "answered"


def test_a_failure_that_may_pass_waits_for_its_next_attempt() -> None:
    waiting = settled(Failed("function-error", "boom"))
    assert waiting.state == "waiting"
    assert 10_500 <= waiting.due <= 11_000


def test_a_failure_that_cannot_pass_is_dead_at_once() -> None:
    assert settled(Failed("oversize", "too large", temporary=False)).state == "dead"


def test_the_last_failure_is_dead_and_says_how_often_it_was_tried() -> None:
    dead = settled(Failed("timeout", "did not answer within 1 s"), number=3)
    assert dead.state == "dead"
    assert isinstance(dead.outcome, Failed)
    assert dead.outcome.reason == "did not answer within 1 s (attempt 3 of 3)"


def test_too_old_for_another_attempt_is_dead_and_says_so() -> None:
    dead = settled(Failed("timeout", "did not answer within 1 s"), left=0.1)
    assert dead.state == "dead"
    assert isinstance(dead.outcome, Failed)
    assert "longest age of 3600 s" in dead.outcome.reason


def test_a_lease_names_the_attempt_and_has_no_outcome() -> None:
    leased = lease(EVENT, Attempt(2, "", 1.0), 10_000)
    assert (leased.state, leased.attempt.number, leased.outcome) == ("leased", 2, None)


def test_reasons_and_logs_are_cut_to_what_is_kept() -> None:
    dead = settled(Failed("function-error", "x" * 5000, temporary=False, log="y" * 9000))
    assert isinstance(dead.outcome, Failed)
    assert (len(dead.outcome.reason), len(dead.outcome.log)) == (1000, 4096)
