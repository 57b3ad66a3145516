"""Readings move from journal to history in bulk, and wait when the history is away."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from edge_agent.domain.reading import Sample
from edge_agent.domain.rules.spec import RuleState
from edge_agent.engine import drain
from edge_agent.engine.drain import Drain, Limits
from edge_agent.errors import Unavailable


def sample(seq: int) -> Sample:
    return Sample("tank-1", "b1", seq, seq, seq, {"level": 1.0})


class Journal:
    """Batches in memory, one sample each."""

    def __init__(self, count: int) -> None:
        self.kept = {number: (number, 0, [sample(number)]) for number in range(1, count + 1)}
        self.size = 0
        self.drains: list[int] = []

    def batches(self, after: int = 0, limit: int = 200) -> list[tuple[int, int, list[Sample]]]:
        return [batch for number, batch in sorted(self.kept.items()) if number > after][:limit]

    def backlog(self) -> tuple[int, int, int]:
        return len(self.kept), 1 if self.kept else 0, self.size

    def let_go(self, count: int) -> int:
        for number in sorted(self.kept)[:count]:
            del self.kept[number]
        self.size = 0
        return count

    def drained(
        self,
        upto: int,
        marks: Sequence[tuple[str, str, bytes]],
        states: Sequence[RuleState],
        then: Callable[[], None] | None = None,
    ) -> None:
        self.drains.append(upto)
        self.kept = {number: batch for number, batch in self.kept.items() if number > upto}
        if then:
            then()


class History:
    def __init__(self) -> None:
        self.stored: list[list[int]] = []
        self.away = False

    def store(self, samples: Sequence[Sample]) -> None:
        if self.away:
            raise Unavailable("the store is away")
        self.stored.append([one.seq for one in samples])


def made(journal: Journal, history: History, alarms: list[tuple[str, str]], now: int = 1000) -> Drain:
    return Drain(
        journal,
        history,  # type: ignore[arg-type]
        lambda: now,
        limits=Limits(max_bytes=1000, max_age=3600),
        memory=lambda commit: commit([], []),
        on_alarm=lambda name, why: alarms.append((name, why)),
    )


def test_everything_moves_in_few_large_pieces_and_then_leaves_the_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drain, "AT_ONCE", 40)
    journal, history = Journal(100), History()
    assert made(journal, history, []).run()
    assert [len(piece) for piece in history.stored] == [40, 40, 20]
    assert [seq for piece in history.stored for seq in piece] == list(range(1, 101))
    assert journal.kept == {}


def test_a_history_that_is_away_loses_nothing_and_gets_everything_later() -> None:
    journal, history, alarms = Journal(10), History(), list[tuple[str, str]]()
    moving = made(journal, history, alarms)
    history.away = True
    assert not moving.run()
    assert len(journal.kept) == 10
    assert moving.last_error == "the store is away"
    assert alarms == []
    history.away = False
    assert moving.run()
    assert history.stored == [list(range(1, 11))]


def test_the_alarm_comes_before_anything_is_let_go_and_what_goes_is_counted() -> None:
    journal, history, alarms = Journal(100), History(), list[tuple[str, str]]()
    moving = made(journal, history, alarms)
    history.away = True
    journal.size = 850
    moving.run()
    assert [name for name, why in alarms if why] == ["journal-full"]
    assert "85%" in alarms[-1][1].replace(" ", "")
    assert moving.lost == 0
    journal.size = 1000
    moving.run()
    assert moving.lost == 50
    assert len(journal.kept) == 50
    history.away = False
    moving.run()
    assert alarms[-1] == ("journal-full", "")


def test_age_is_a_limit_too() -> None:
    journal, history, alarms = Journal(100), History(), list[tuple[str, str]]()
    history.away = True
    moving = made(journal, history, alarms, now=3_700_000)
    moving.run()
    assert moving.lost == 100
