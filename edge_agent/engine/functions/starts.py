"""Whose worker is started next: one in each turn of the loop, functions in turn.

A start costs the loop as much as two events, a few milliseconds on a small machine. So a pool that fills delays others'
events by one start, not by all of them, and another function's first worker by one of its own.
"""

from __future__ import annotations

from collections.abc import Callable

from edge_agent.engine.functions.loop import Loop


class Starts:
    """Lives on the loop's thread. `fill` is called for a function that was refused, when its turn has come."""

    def __init__(self, loop: Loop, fill: Callable[[str], None]) -> None:
        self._loop = loop
        self._fill = fill
        self._waiting: dict[str, None] = {}
        self._next_whose = ""
        self._last_turn = -1
        self._posted = False

    def may(self, function: str) -> bool:
        """May it start a worker now?"""
        if self._last_turn != self._loop.turns and (not self._waiting or function == self._next_whose):
            self._last_turn = self._loop.turns
            return True
        self._waiting.setdefault(function)
        self._post()
        return False

    def _post(self) -> None:
        if not self._posted:
            self._posted = True
            self._loop.post(self._next)

    def _next(self) -> None:
        """Ask those who wait, first come first served, until one has started a worker: others may need none any more."""
        self._posted = False
        while self._waiting and self._last_turn != self._loop.turns:
            self._next_whose = next(iter(self._waiting))
            del self._waiting[self._next_whose]
            self._fill(self._next_whose)
        self._next_whose = ""
        if self._waiting:
            self._post()
