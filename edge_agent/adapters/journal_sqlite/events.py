"""How invocations and what became of them are written: many rows in one statement.

Each statement is one wait for the interpreter, which the threads of the agent share; with a statement for each row, the
settlements of a flood held up the record of another function's event (`tests/bench/fairness.py`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

import msgspec

from edge_agent.domain.invocation import Failed, Invocation, Settlement, Succeeded
from edge_agent.ports import Entries

AT_ONCE = (1, 6, 32)
"""Rows in a statement: few sizes, so that SQLite knows each statement already. What is missing is filled with rows of
NULLs, which are no event's and change nothing: cheaper than one more statement."""

_SETTLED = (
    "WITH s(id, function, state, due, ended, kind, reason, log, response, content_type, number, phase) AS (VALUES {rows}) "
    "UPDATE invocation SET state=s.state, due=s.due, ended=s.ended, kind=s.kind, reason=s.reason, log=s.log, "
    "response=s.response, content_type=s.content_type, attempts=max(attempts, s.number), "
    "phases=json_insert(coalesce(phases, '[]'), '$[#]', json(s.phase)) "
    "FROM s WHERE invocation.id=s.id AND invocation.function=s.function AND invocation.ended IS NULL"
)
_LEASED = (
    "WITH s(id, function, number) AS (VALUES {rows}) UPDATE invocation SET state='leased', attempts=s.number "
    "FROM s WHERE invocation.id=s.id AND invocation.function=s.function AND invocation.ended IS NULL"
)
_RECORDED = (
    "INSERT OR IGNORE INTO invocation (rowid, id, function, cause, created, state, attempts, due, event) VALUES {rows}"
)


class Events:
    """Gathers what a group of commits says, and writes it within the caller's transaction at each `flush`.

    A commit's invocations are there before any settlement that follows, and settlements of one event keep their order.
    """

    def __init__(self, db: sqlite3.Connection, next_place: Callable[[], int]) -> None:
        self._db = db
        self._next_place = next_place
        self._invocations: list[Invocation] = []
        self._settlements: list[Settlement] = []

    def add(self, entries: Entries) -> None:
        self._invocations += entries.invocations
        self._settlements += entries.settlements

    def flush(self) -> None:
        if self._invocations:
            self._write(_RECORDED, [_recorded(each, self._next_place()) for each in self._invocations])
            self._invocations = []
        for run in _runs(self._settlements):
            if run[0].state == "leased":
                self._write(_LEASED, [(each.id, each.function, each.attempt.number) for each in run])
            else:
                self._write(_SETTLED, [_settled(each) for each in run])
        self._settlements = []

    def _write(self, statement: str, rows: list[tuple[Any, ...]]) -> None:
        columns, most = len(rows[0]), AT_ONCE[-1]
        for begin in range(0, len(rows), most):
            some = rows[begin : begin + most]
            size = next(size for size in AT_ONCE if size >= len(some))
            values = [value for row in some for value in row]
            values += [None] * (columns * (size - len(some)))
            self._db.execute(_of_size(statement, size, columns), values)


@cache
def _of_size(statement: str, rows: int, columns: int) -> str:
    row = f"({','.join('?' * columns)})"
    return statement.format(rows=",".join([row] * rows))


def _runs(settlements: Sequence[Settlement]) -> Iterator[list[Settlement]]:
    """In order, such that one statement can write each: of one kind, and no event twice."""
    run: list[Settlement] = []
    keys: set[tuple[str, str]] = set()
    for each in settlements:
        key = (each.id, each.function)
        if run and (key in keys or (each.state == "leased") != (run[0].state == "leased")):
            yield run
            run, keys = [], set()
        run.append(each)
        keys.add(key)
    if run:
        yield run


def _recorded(event: Invocation, place: int) -> tuple[Any, ...]:
    return (
        place, event.id, event.function, event.cause, event.created, "leased", event.attempts, event.due, event.event,
    )  # fmt: skip


def _settled(settled: Settlement) -> tuple[Any, ...]:
    kind = reason = log = response = content_type = None
    match settled.outcome:
        case Succeeded() as succeeded:
            response, content_type = succeeded.response, succeeded.content_type
        case Failed() as failed:
            kind, reason, log, response = failed.kind, failed.reason, failed.log, failed.error or None
    return (
        settled.id, settled.function, settled.state, settled.due, settled.at if settled.state in ("answered", "dead") else None,
        kind, reason, log, response, content_type, settled.attempt.number, _phase(settled),
    )  # fmt: skip


def _phase(settled: Settlement) -> str:
    """One attempt as `phases` keeps it: its times, when it was over, and how it failed."""
    if not isinstance(settled.outcome, Failed):
        return msgspec.json.encode(settled.attempt).decode()
    told = {"ended": settled.at, "kind": settled.outcome.kind}
    return msgspec.json.encode(msgspec.to_builtins(settled.attempt) | told).decode()
