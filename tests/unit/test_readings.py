"""Journal and history read as one: nothing is written for a question, and each reading counts once."""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent.adapters.history_sqlite import SqliteHistory
from edge_agent.adapters.journal_sqlite import SqliteJournal
from edge_agent.domain.reading import Sample
from edge_agent.engine import readings as module
from edge_agent.engine.drain import Drain, Limits
from edge_agent.engine.readings import Readings
from edge_agent.ports import Entries, History

T0 = 1_763_888_880_000
END = T0 + 10**7


class House:
    """A journal, a history, and what carries readings over; `all` is a history that has everything already."""

    def __init__(self, folder: Path) -> None:
        for name in ("one", "all"):
            (folder / name).mkdir()
        self.journal = SqliteJournal(folder / "one", lambda: T0, linger=0.01)
        self.history: History = SqliteHistory(folder / "one", lambda: T0)
        self.all: History = SqliteHistory(folder / "all", lambda: T0)
        self.drain = Drain(
            self.journal,
            self.history,
            lambda: T0,
            limits=Limits(max_bytes=10**9, max_age=10**9),
            memory=lambda commit: commit([], []),
            on_alarm=lambda name, why: None,
        )
        self.readings = Readings(self.journal, self.history, self.drain, inherited=self.journal.writer.number)

    def take(self, *samples: Sample) -> None:
        self.journal.commit(Entries(samples=list(samples)))
        self.journal.flush()
        self.all.store(samples)

    def close(self) -> None:
        self.journal.close()
        self.history.close()
        self.all.close()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with contextlib.closing(House(tmp_path)) as house:
        yield house


def sample(seq: int, **values: float | bool | str) -> Sample:
    return Sample("tank-1", "b1", seq, T0 + seq * 1000, T0, dict(values))


def test_what_is_still_in_the_journal_is_answered_and_stays_there(house: House) -> None:
    house.take(sample(1, level=1.0))
    house.drain.run()
    house.take(sample(2, level=3.0, door=True, note="dry"))
    waiting = house.journal.backlog()[0]
    assert house.readings.raw("tank-1", "level", T0, END) == [(T0 + 1000, 1.0), (T0 + 2000, 3.0)]
    assert [(s.mean, s.low, s.high, s.count) for s in house.readings.steps("tank-1", "level", T0, END, 60_000)] == [
        (2.0, 1.0, 3.0, 2)
    ]
    assert house.readings.steps("tank-1", "note", T0, END, 60_000) == []
    assert [s.seq for s in house.readings.samples("tank-1", T0, END)] == [1, 2]
    assert house.journal.backlog()[0] == waiting == 1
    assert house.history.count() == 1


def test_a_random_life_reads_as_a_history_that_has_everything_would(house: House) -> None:
    rng = random.Random(7)

    def values() -> dict[str, float | bool | str]:
        numbers: list[dict[str, float | bool | str]] = [{"level": rng.random()}, {"level": rng.randrange(9)}]
        return rng.choice([*numbers, {"level": 2, "door": rng.random() < 0.5}, {"note": "x"}])

    for start in range(0, 400, 20):
        house.take(
            *(
                Sample(
                    f"tank-{rng.randrange(2)}", f"b{rng.randrange(2)}", seq, T0 + rng.randrange(100) * 1000, T0, values()
                )
                for seq in range(start + 1, start + 21)
            )
        )  # fmt: skip
        if rng.random() < 0.3:
            house.drain.run()
        since, until = T0 + rng.randrange(50) * 1000, T0 + rng.randrange(50, 101) * 1000
        for device in ("tank-0", "tank-1"):
            assert house.readings.samples(device, since, until) == list(house.all.samples(device, since, until))
            for reading in ("level", "door", "note"):
                mine, whole = (each.raw(device, reading, since, until) for each in (house.readings, house.all))
                assert sorted(mine, key=repr) == sorted(whole, key=repr)
                assert [t for t, _ in mine] == [t for t, _ in whole]
                mine_steps, steps = (
                    each.steps(device, reading, since, until, 7000) for each in (house.readings, house.all)
                )
                assert [(s.t, s.low, s.high, s.count) for s in mine_steps] == [
                    (s.t, s.low, s.high, s.count) for s in steps
                ]
                assert [s.mean for s in mine_steps] == pytest.approx([s.mean for s in steps])


def test_the_newest_points_are_given_when_there_are_too_many(house: House) -> None:
    house.take(*(sample(seq, level=seq) for seq in range(1, 11)))
    house.drain.run()
    house.take(*(sample(seq, level=seq) for seq in range(11, 16)))
    assert [value for _, value in house.readings.raw("tank-1", "level", T0, END, limit=8)] == list(range(8, 16))


def test_every_reading_counts_once_while_they_move(house: House) -> None:
    stop = threading.Event()

    def move() -> None:
        while not stop.is_set():
            house.drain.run()

    mover = threading.Thread(target=move)
    mover.start()
    try:
        for seq in range(1, 60):
            house.take(sample(seq, level=seq))
            assert [s.seq for s in house.readings.samples("tank-1", T0, END)] == list(range(1, seq + 1))
    finally:
        stop.set()
        mover.join()


def test_what_a_kill_left_in_both_counts_once(house: House) -> None:
    for seq in (1, 2, 3):
        house.take(sample(seq, level=seq))
    house.history.store([sample(1, level=1), sample(2, level=2)])
    again = Readings(house.journal, house.history, house.drain, inherited=house.journal.writer.number)
    house.take(sample(4, level=4))
    assert [value for _, value in again.raw("tank-1", "level", T0, END)] == [1, 2, 3, 4]
    assert [(s.count, s.mean) for s in again.steps("tank-1", "level", T0, END, 60_000)] == [(4, 2.5)]
    assert [s.seq for s in again.samples("tank-1", T0, END)] == [1, 2, 3, 4]


def test_a_journal_that_holds_very_many_is_moved_on_first(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 3)
    house.take(*(sample(seq, level=seq) for seq in range(1, 6)))
    assert len(house.readings.raw("tank-1", "level", T0, END)) == 5
    assert house.journal.backlog()[0] == 0
