"""Which samples have been seen, and up to where a board may forget.

Enters: samples in any order, repeats included. Leaves: whether a sample is new; per (device, boot) the sequence number up to
which nothing is missing, which is what an `ack` promises.
Guarantee: a number is never promised while one below it is missing, because a broker that was killed has forgotten messages
which it had acknowledged. A gap closes when the missing sample comes, or when the board says (`oldest`) that it has lost it.
Not chosen: an index over every stored sample. It would write ten times the bytes of the samples themselves.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from edge_agent.domain.reading import Sample

GAP_KEPT = 10_000
"""Missing numbers remembered per (device, boot): more than a board's ring holds; beyond it the oldest are given up."""
BOOTS_KEPT = 256
"""Boots remembered per device, the newest: a repeat from an older one would be stored again."""


class Mark(msgspec.Struct, array_like=True):
    """One boot of one board: the highest number seen, and those below it that are missing."""

    high: int = 0
    missing: set[int] = msgspec.field(default_factory=set)

    @property
    def low(self) -> int:
        """Everything up to this number is accounted for."""
        return min(self.missing) - 1 if self.missing else self.high


class Watermarks:
    """All boots of all boards. Not thread-safe: one thread admits."""

    def __init__(self) -> None:
        self.marks: dict[tuple[str, str], Mark] = {}
        self.lost = 0
        """Samples that boards said they have lost, or that were given up."""
        self.duplicates = 0
        self._boots: dict[str, dict[str, None]] = {}

    def admit(self, sample: Sample) -> bool:
        """Whether the sample is new; it is remembered from now on."""
        key = (sample.device, sample.boot)
        mark = self.marks.get(key)
        if mark is None:
            mark = self._new_boot(key)
        seq = sample.seq
        if sample.oldest:
            self._close_gap(mark, sample.oldest)
        if seq == mark.high + 1:
            mark.high = seq
            return True
        if seq > mark.high:
            self._open_gap(mark, seq)
            return True
        if seq in mark.missing:
            mark.missing.discard(seq)
            return True
        self.duplicates += 1
        return False

    def low(self, device: str, boot: str) -> int:
        """What may be promised to this boot of this board; 0 when nothing."""
        mark = self.marks.get((device, boot))
        return mark.low if mark else 0

    def _new_boot(self, key: tuple[str, str]) -> Mark:
        device, boot = key
        boots = self._boots.setdefault(device, {})
        boots[boot] = None
        if len(boots) > BOOTS_KEPT:
            oldest = next(iter(boots))
            del boots[oldest], self.marks[device, oldest]
        mark = self.marks[key] = Mark()
        return mark

    def _close_gap(self, mark: Mark, oldest: int) -> None:
        gone = {seq for seq in mark.missing if seq < oldest}
        self.lost += len(gone)
        mark.missing -= gone
        if oldest > mark.high + 1:
            self.lost += oldest - 1 - mark.high
            mark.high = oldest - 1

    def _open_gap(self, mark: Mark, seq: int) -> None:
        first = max(mark.high + 1, seq - GAP_KEPT)
        self.lost += first - mark.high - 1
        mark.missing.update(range(first, seq))
        mark.high = seq
        excess = len(mark.missing) - GAP_KEPT
        if excess > 0:
            mark.missing.difference_update(sorted(mark.missing)[:excess])
            self.lost += excess

    # -- across a restart

    def dump(self, touched: Iterable[tuple[str, str]]) -> list[tuple[str, str, bytes]]:
        """(device, boot, encoded mark) of the boots in `touched`."""
        encode = msgspec.msgpack.encode
        return [(*key, encode(self.marks[key])) for key in touched if key in self.marks]

    def load(self, rows: Iterable[tuple[str, str, bytes]]) -> None:
        for device, boot, body in rows:
            self._new_boot((device, boot))
            self.marks[device, boot] = msgspec.msgpack.decode(body, type=Mark)

    def forget(self, device: str) -> None:
        for boot in self._boots.pop(device, {}):
            self.marks.pop((device, boot), None)
