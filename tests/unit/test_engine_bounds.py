"""Every queue has an end: pages that read slowly, callers that wait, devices that are invented, batches that are remembered."""

from __future__ import annotations

import threading

import pytest

from edge_agent.domain.reading import About, Presence, Sample
from edge_agent.engine import devices, news, timeline, waiters
from edge_agent.engine.devices import Devices
from edge_agent.engine.jobs import Jobs
from edge_agent.engine.news import News
from edge_agent.engine.timeline import Timeline
from edge_agent.engine.waiters import Waiters
from edge_agent.errors import Unavailable
from tests.waiting import eventually


def sample(seq: int, t: int = 0, device: str = "tank-1", **values: float) -> Sample:
    return Sample(device, "b1", seq, t or seq, 1000 + seq, dict(values) or {"level": float(seq)})


def test_a_slow_page_loses_its_oldest_news_and_the_pipeline_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(news, "QUEUED_MOST", 3)
    hub = News()
    assert not hub
    slow, gone = hub.subscribe(), hub.subscribe()
    hub.unsubscribe(gone)
    for number in range(5):
        hub.publish("reading", {"n": number})
    assert [slow.get_nowait()[1]["n"] for _ in range(3)] == [2, 3, 4]
    assert hub.missed == 2
    assert gone.empty()


def test_a_caller_is_woken_by_its_own_samples_only() -> None:
    waiting = Waiters()
    with waiting.expect([("tank-1", "b1", 1), ("tank-1", "b1", 2)]) as expected:
        waiting.stored([sample(1), sample(3)])
        assert not expected.wait(0.01)
        waiting.stored([sample(1), sample(2)])
        assert expected.wait(1)
    assert waiting._waiting == {}


def test_callers_beyond_the_bound_are_sent_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiters, "WAITING_MOST", 0)
    with pytest.raises(Unavailable), Waiters().expect([("tank-1", "b1", 1)]):
        raise AssertionError("not reached")


def test_invented_devices_end_at_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "DEVICES_MOST", 2)
    known = Devices()
    known.saw(sample(1, device="a"))
    known.saw(sample(1, device="b"))
    assert known.knows("a")
    assert not known.knows("c")


def test_old_values_from_a_backlog_do_not_cover_newer_ones() -> None:
    known = Devices()
    known.saw(sample(1, t=100, level=1.0))
    known.saw(sample(2, t=50, level=2.0, temp=3.0))
    device = known.get("tank-1")
    assert device is not None
    assert device.values == {"level": 1.0, "temp": 3.0}
    known.saw(sample(3, t=101, level=4.0))
    assert device.values["level"] == 4.0


def test_a_device_shows_what_it_said_of_itself() -> None:
    known = Devices()
    assert known.told(About("tank-1", 1, "m", "1.0", {"level": {"unit": "%"}}))
    assert not known.told(About("tank-1", 2, "m", "1.0", {"level": {"unit": "%"}})), "nothing new: nothing to write"
    known.heard(Presence("tank-1", True, 3))
    known.saw(sample(1, level=5.0))
    (shown,) = [device.show() for device in known.changed()]
    assert shown["online"] is True
    assert shown["readings"] == {"level": {"value": 5.0, "t": 1, "unit": "%", "class": ""}}
    assert known.changed() == []
    assert known.unit("tank-1", "level") == "%"
    assert known.unit("nobody", "level") == ""
    known.forget("tank-1")
    assert "tank-1" not in known


def test_only_the_newest_batches_are_remembered_for_traces(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Timeline()
    for number in range(timeline.KEPT + 10):
        line.open([sample(number)])
    assert len(line.batches) == timeline.KEPT
    assert line.find("tank-1", "b1", 3) is None
    found = line.find("tank-1", "b1", timeline.KEPT + 5)
    assert found is not None
    assert found[1].seq == timeline.KEPT + 5


def test_a_job_that_fails_is_tried_again_and_stops_no_other() -> None:
    seen: list[int] = []
    ran = threading.Event()

    def fails() -> None:
        seen.append(1)
        raise ValueError

    jobs = Jobs()
    jobs.every(0.01, fails)
    jobs.every(0.01, ran.set)
    jobs.start()
    try:
        assert ran.wait(5)
        eventually(lambda: len(seen) > 2)
    finally:
        jobs.stop()
