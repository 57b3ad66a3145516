"""The one thread of the function engine."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator

import pytest

from edge_agent.engine.functions.loop import NEVER, Loop
from tests.waiting import eventually


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    loop.start()
    yield loop
    loop.close()


def test_what_is_posted_is_done_in_order_on_its_own_thread(loop: Loop) -> None:
    done: list[tuple[int, int | None]] = []
    for number in range(1000):
        loop.post(lambda number=number: done.append((number, threading.get_ident())))
    loop.ask(lambda: None)
    assert [number for number, _ in done] == list(range(1000))
    assert {thread for _, thread in done} != {threading.get_ident()}


def test_posts_of_many_threads_all_arrive(loop: Loop) -> None:
    done: list[int] = []
    threads = [threading.Thread(target=lambda: [loop.post(done.append, 1) for _ in range(2000)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    eventually(lambda: len(done) == 8000)


def test_a_step_that_fails_is_counted_and_harms_no_other(loop: Loop) -> None:
    done: list[int] = []
    loop.post(lambda: 1 / 0)
    loop.post(done.append, 1)
    loop.ask(lambda: None)
    assert (done, loop.faults) == ([1], 1)


def test_alarms_ring_in_their_order_and_can_be_moved(loop: Loop) -> None:
    rung: list[str] = []

    def plan() -> None:
        now = time.monotonic()
        late, early, moved, never = (loop.alarm(lambda name=name: rung.append(name)) for name in "LEMN")
        late.set(now + 0.06)
        early.set(now + 0.02)
        moved.set(now + 1000)
        moved.no_later_than(now + 0.04)
        moved.no_later_than(now + 500)
        never.set(now + 0.01)
        never.set(NEVER)

    loop.post(plan)
    eventually(lambda: len(rung) == 3)
    assert rung == ["E", "M", "L"]


def test_an_alarm_may_set_itself_again(loop: Loop) -> None:
    rung: list[float] = []

    def ring() -> None:
        rung.append(time.monotonic())
        if len(rung) < 3:
            alarm.set(time.monotonic() + 0.01)

    alarm = loop.alarm(ring)
    loop.post(lambda: alarm.set(time.monotonic()))
    eventually(lambda: len(rung) == 3)


def test_what_is_watched_is_told_of_until_it_is_unwatched(loop: Loop) -> None:
    read, write = os.pipe()
    seen: list[bytes] = []
    loop.ask(lambda: loop.watch(read, lambda _mask: seen.append(os.read(read, 100))))
    os.write(write, b"a")
    eventually(lambda: seen == [b"a"])
    loop.ask(lambda: loop.unwatch(read))
    loop.ask(lambda: loop.unwatch(read))
    os.write(write, b"b")
    loop.ask(lambda: None)
    assert seen == [b"a"]
    os.close(read)
    os.close(write)


def test_a_question_that_raises_raises_where_it_was_asked(loop: Loop) -> None:
    with pytest.raises(ZeroDivisionError):
        loop.ask(lambda: 1 / 0)
    assert loop.faults == 0


def test_after_each_turn_what_was_gathered_is_handed_on(loop: Loop) -> None:
    gathered: list[int] = []
    handed: list[list[int]] = []
    loop.after.append(lambda: handed.append(list(gathered)) or gathered.clear() if gathered else None)
    held = threading.Event()
    loop.post(held.wait)
    for number in range(5):
        loop.post(gathered.append, number)
    held.set()
    eventually(lambda: [number for some in handed for number in some] == [0, 1, 2, 3, 4])
    assert len(handed) <= 2


def test_posting_after_the_end_does_nothing() -> None:
    loop = Loop()
    loop.start()
    loop.close()
    loop.post(lambda: 1 / 0)
    assert loop.ask(lambda: "asked directly") == "asked directly"
