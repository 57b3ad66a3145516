"""Lanes: as many at once as there are threads, never more, and what does not fit is said at once."""

from __future__ import annotations

import threading

from edge_agent.web.lanes import Lane
from tests.waiting import eventually


def test_whoever_is_put_is_served_at_once_while_there_are_threads_however_quickly_they_come():
    for _ in range(50):
        meeting = threading.Barrier(7)
        lane: Lane[int] = Lane("test", lambda _, meeting=meeting: meeting.wait(10) and None, threads=6, waiting=6)
        assert all(lane.put(number) for number in range(6))
        meeting.wait(10)  # BrokenBarrierError if one of them was left waiting behind another
        lane.stop(lambda _: None, 2.0)


def test_a_full_lane_says_so_and_a_bad_request_costs_no_thread():
    gate = threading.Event()
    served: list[int] = []

    def serve(number: int) -> None:
        gate.wait(10)
        if number == 0:
            raise RuntimeError("bad")
        served.append(number)

    lane: Lane[int] = Lane("test", serve, threads=1, waiting=2)
    assert lane.put(0)
    assert eventually(lambda: lane.put(1))
    taken = [lane.put(number) for number in range(2, 6)]
    assert taken.count(False) >= 2
    gate.set()
    assert eventually(lambda: len(served) == 1 + taken.count(True))
    lane.stop(lambda _: None, 2.0)
    assert not lane.put(9)
