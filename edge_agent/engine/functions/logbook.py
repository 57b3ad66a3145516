"""What workers print, the newest of it, by function: for `edgectl functions logs`.

Enters: pieces of output (`Engine.printing`), any length, cut anywhere. Leaves: whole lines with their time and worker, for
whoever asks or follows. Guarantee: bounded, by bytes for each function and by lines for each follower; what was let go is
counted. Nothing is written to disk: a card would die of it, and the end of a failed attempt's log is kept with its invocation.
Not chosen: a file per function, as cloud services have; the agent's own log at level debug has every line for who wants a file.
"""

from __future__ import annotations

import codecs
import contextlib
import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterable
from queue import Empty, Full, Queue
from typing import Any, NamedTuple

BYTES = 64 * 1024
"""Text kept of one function: a few hundred lines."""
LONGEST_LINE = 4096
"""Characters; a longer line is cut into several."""
OVERHEAD = 128
"""Bytes a kept line costs beside its text."""
MOST_BEGUN = 64
"""Workers of one function whose unfinished lines are kept apart."""
UTF8 = codecs.getincrementaldecoder("utf-8")
BEHIND = 1000
"""Lines a follower may be behind before it loses the oldest."""


class Line(NamedTuple):
    """`at` is epoch ms; `number` rises over all functions and restarts with the agent; 0: it has not ended yet."""

    number: int
    at: int
    worker: str
    text: str

    def show(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"n": self.number, "at": self.at, "worker": self.worker, "text": self.text}


Feed = Queue[tuple[str, dict[str, Any]]]
"""As `engine.news` has them: ("line", what `Line.show` says)."""


class _Pages:
    """The lines of one function, and what its workers began to print and have not ended."""

    __slots__ = ("begun", "lines", "lost", "size")

    def __init__(self) -> None:
        self.lines: deque[Line] = deque()
        self.size = 0
        self.lost = 0
        self.begun: dict[str, tuple[codecs.IncrementalDecoder, str, int]] = {}


class Logbook:
    """Thread-safe. `clock` gives epoch ms."""

    def __init__(self, clock: Callable[[], int], most: int = BYTES) -> None:
        self._clock = clock
        self._most = most
        self._numbers = itertools.count(1)
        self._pages: dict[str, _Pages] = {}
        self._followers: dict[str, list[Feed]] = {}
        self._lock = threading.Lock()

    def heard(self, function: str, worker: str, text: bytes) -> None:
        """A worker printed; nothing (b"") means that it has ended. What does not end its line waits for the rest."""
        with self._lock:
            pages = self._pages.setdefault(function, _Pages())
            known = pages.begun.pop(worker) if worker in pages.begun else None
            decoder, begun, at = known or (UTF8("replace"), "", 0)
            *whole, rest = (begun + decoder.decode(text, final=not text)).split("\n")
            if len(rest) > LONGEST_LINE or not text:
                whole, rest = [*whole, *([rest] if rest else [])], ""
            if rest or decoder.getstate()[0]:
                pages.begun[worker] = (decoder, rest, at or self._clock())
            if len(pages.begun) > MOST_BEGUN:
                self._write(function, pages, (gone := next(iter(pages.begun))), [pages.begun.pop(gone)[1]])
            self._write(function, pages, worker, whole)

    def keep(self, functions: Iterable[str]) -> None:
        """Only of these; who was deleted is forgotten."""
        with self._lock:
            for gone in self._pages.keys() - set(functions):
                del self._pages[gone]

    def read(self, function: str, *, since: int = 0, tail: int = 0) -> tuple[list[Line], int]:
        """(the lines printed at `since` (epoch ms) or later, the last `tail` of them when it is not 0; how many older
        ones were let go). What was begun and not ended is the last line."""
        with self._lock:
            pages = self._pages.get(function)
            if pages is None:
                return [], 0
            begun = [Line(0, at, worker, _plain(text)) for worker, (_, text, at) in pages.begun.items() if text]
            lines = [line for line in [*pages.lines, *begun] if line.at >= since]
            return (lines[-tail:] if tail else lines), pages.lost

    def follow(self, function: str) -> Feed:
        """A queue of every line from now on; `unfollow` it."""
        queue: Feed = Queue(BEHIND)
        with self._lock:
            self._followers.setdefault(function, []).append(queue)
        return queue

    def unfollow(self, function: str, queue: Feed) -> None:
        with self._lock:
            left = [known for known in self._followers.get(function, ()) if known is not queue]
            self._followers[function] = left
            if not left:
                del self._followers[function]

    def _write(self, function: str, pages: _Pages, worker: str, texts: Iterable[str]) -> None:
        at = self._clock()
        for text in texts:
            for start in range(0, max(1, len(text)), LONGEST_LINE):
                line = Line(next(self._numbers), at, worker, _plain(text[start : start + LONGEST_LINE]))
                pages.lines.append(line)
                pages.size += len(line.text) + OVERHEAD
                for follower in self._followers.get(function, ()):
                    _offer(follower, line)
        while pages.size > self._most and len(pages.lines) > 1:
            pages.size -= len(pages.lines.popleft().text) + OVERHEAD
            pages.lost += 1


def _plain(text: str) -> str:
    return text.removesuffix("\r")


def _offer(follower: Feed, line: Line) -> None:
    """Who is slow misses the oldest, and sees it by the gap in the numbers."""
    while True:
        try:
            follower.put_nowait(("line", line.show()))
        except Full:
            with contextlib.suppress(Empty):
                follower.get_nowait()
        else:
            return
