"""What functions use is counted once, in the units people pay for elsewhere, and survives being put together anew."""

from __future__ import annotations

import math
import random
from collections import Counter

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.domain.function import FunctionSpec, MiB
from edge_agent.domain.invocation import Attempt, Failed, Invocation, Outcome, Settlement, Succeeded
from edge_agent.domain.usage import HOUR, Usage, total
from edge_agent.engine.functions.meter import MINUTE, MINUTES, Meter

NOON = 500_000 * HOUR
ASKED = Invocation("e1", "f", b"{}", 0)


def test_gb_seconds_are_lambda_s_memory_times_milliseconds_rounded_up() -> None:
    usage = Usage()
    usage.attempt(0.0001, 512 * MiB, "")
    assert usage.gb_seconds == 0.5 * 0.001
    usage.attempt(1.2341, 1024 * MiB, "")
    assert usage.gb_seconds == pytest.approx(0.5 * 0.001 + 1.235)


@given(st.lists(st.floats(0.00002, 40_000.0), min_size=1))
def test_a_percentile_is_within_five_percent_of_the_real_one(seconds: list[float]) -> None:
    usage = Usage()
    for one in seconds:
        usage.attempt(one, MiB, "")
    real = sorted(seconds)[math.ceil(0.95 * len(seconds)) - 1] * 1000
    assert usage.percentile(0.95) == pytest.approx(real, rel=0.05)
    assert usage.show()["mean_ms"] == pytest.approx(sum(seconds) / len(seconds) * 1000, rel=0.03, abs=0.002)


def test_an_attempt_that_never_ran_is_an_error_without_a_duration_and_costs_nothing() -> None:
    usage = Usage()
    usage.attempt(0.0, 512 * MiB, "expired")
    assert usage.show() == {
        "invocations": 1, "errors": 1, "errors_by_kind": {"expired": 1}, "cold_starts": 0, "gb_seconds": 0,
        "mean_ms": None, "p95_ms": None,
    }  # fmt: skip
    assert Usage().show()["errors_by_kind"] == {}, "no two spans share their counts"


def test_spans_add_up_to_the_whole_and_survive_the_disk() -> None:
    rng = random.Random(1)
    spans, whole = [Usage() for _ in range(7)], Usage()
    for number in range(500):
        seconds, error = rng.expovariate(20), "timeout" if number % 9 == 0 else ""
        for usage in (spans[number % 7], whole):
            usage.attempt(seconds, 64 * MiB, error)
    packed = [msgspec.msgpack.decode(msgspec.msgpack.encode(span), type=Usage, strict=False) for span in spans]
    assert total(packed) == whole


class Bench:
    """A meter whose clock is told."""

    def __init__(self) -> None:
        self.now = NOON
        self.cold_starts: Counter[str] = Counter()
        self.meter = Meter(lambda: self.now)
        self.meter.specs = {"f": FunctionSpec("f", memory=512 * MiB, timeout=2.0)}
        self.meter.cold_starts = self.cold_starts

    def ends(
        self, seconds: float = 0.01, outcome: Outcome | None = None, function: str = "f", answered: bool = True
    ) -> None:
        begun = self.now - seconds * 1000
        attempt = Attempt(1, "r", begun, begun, float(self.now) if answered else 0.0)
        self.meter.settled(Settlement("e1", function, "answered", self.now, attempt, outcome or Succeeded(b"")), ASKED)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_what_ends_is_in_its_minute_and_its_hour_and_is_written_once(bench: Bench) -> None:
    bench.ends()
    bench.ends(outcome=Failed("timeout", "too slow"), answered=False)
    bench.ends(function="deleted")
    (minute,) = bench.meter.minutes("f").items()
    assert minute == (NOON, bench.meter.hours("f")[NOON])
    assert minute[1].show()["errors_by_kind"] == {"timeout": 1}
    assert minute[1].gb_seconds == pytest.approx(2 * 0.5 * 0.01)
    assert [(name, hour, usage.invocations) for name, hour, usage in bench.meter.rows()] == [("f", NOON, 2)]
    assert bench.meter.rows() == []
    bench.ends()
    assert [usage.invocations for _, _, usage in bench.meter.rows()] == [3], "the whole hour, to be written over"


def test_minutes_are_kept_for_an_hour_and_hours_until_they_are_written(bench: Bench) -> None:
    for _ in range(3 * MINUTES):
        bench.ends()
        bench.now += MINUTE
    assert len(bench.meter.minutes("f")) == MINUTES - 1
    assert [hour for _, hour, _ in bench.meter.rows()] == [NOON, NOON + HOUR, NOON + 2 * HOUR]
    assert set(bench.meter.hours("f")) == {NOON + 2 * HOUR}
    bench.now += 5 * HOUR
    bench.meter.rows()
    assert bench.meter.minutes("f") == bench.meter.hours("f") == {}


def test_an_hour_that_had_begun_before_a_restart_goes_on(bench: Bench) -> None:
    bench.ends()
    again = Bench()
    again.meter.begin(bench.meter.rows())
    again.ends()
    assert [usage.invocations for _, _, usage in again.meter.rows()] == [2]


def test_cold_starts_are_those_the_engine_has_counted_since(bench: Bench) -> None:
    bench.cold_starts["f"] = 3
    assert bench.meter.hours("f")[NOON].cold_starts == 3
    assert bench.meter.hours("f")[NOON].cold_starts == 3
    bench.cold_starts["f"] = 4
    assert [usage.cold_starts for _, _, usage in bench.meter.rows()] == [4]


def test_a_clock_that_is_set_right_in_the_middle_is_no_year_of_work(bench: Bench) -> None:
    bench.ends(seconds=40 * 365 * 86_400)
    bench.ends(seconds=-5.0)
    usage = bench.meter.hours("f")[NOON]
    assert usage.gb_seconds <= 0.5 * 2.0
    assert usage.invocations == 2
