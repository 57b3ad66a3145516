"""When a group is written: at once when it is full or urgent, after the linger when it is alone, soon when a burst ends."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import pytest

from edge_agent.adapters.journal_sqlite.writer import Waiting, Writer
from edge_agent.domain.reading import Sample
from edge_agent.ports import Entries
from tests.waiting import eventually


class Written(Writer):
    """Writes nowhere; `groups` has the numbers of the samples that were written together."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        super().__init__(self._note, linger=60.0, batch=10)
        self.start(0)

    def _note(self, group: list[Waiting]) -> None:
        self.groups.append([sample.seq for waiting in group for sample in waiting.entries.samples])

    def bring(self, first: int, last: int, *, urgent: bool = False) -> threading.Event:
        safe = threading.Event()
        samples = [Sample("tank-1", "b1", seq, seq, seq, {"level": 1.0}) for seq in range(first, last + 1)]
        self.put(Entries(samples=samples), urgent, safe.set)
        return safe


@pytest.fixture
def writer() -> Iterator[Written]:
    with contextlib.closing(Written()) as writer:
        yield writer


def test_an_entry_alone_waits_for_company_and_a_full_group_for_nobody(writer: Written) -> None:
    alone = writer.bring(1, 3)
    assert not alone.wait(0.3)
    assert writer.bring(4, 10).wait(10)
    assert writer.groups == [list(range(1, 11))]


def test_an_urgent_entry_takes_along_what_waits(writer: Written) -> None:
    writer.bring(1, 3)
    assert writer.bring(4, 4, urgent=True).wait(10)
    assert writer.groups == [[1, 2, 3, 4]]


def test_the_end_of_a_burst_does_not_linger_and_what_comes_alone_later_does(writer: Written) -> None:
    writer.bring(1, 10)
    eventually(lambda: writer.groups == [list(range(1, 11))])
    assert writer.bring(11, 13).wait(10)
    assert writer.groups[1:] == [[11, 12, 13]]
    assert not writer.bring(14, 14).wait(0.3)
