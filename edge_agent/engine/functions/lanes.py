"""Whose turn is it where the events of one device must not overtake each other (`ordered: true`).

Enters: tasks in the order recorded, each with its key: the device, or what stands for one. Leaves: the one task of each key
that may go. Guarantee: a task goes when every earlier one of its key has ended and its end is on disk, so that after a crash
nothing is repeated behind a later event's back. Keys do not wait for each other: their tasks become ready in turn.
Not chosen: one queue for each worker, with keys spread over them (Kafka's way): a slow device would hold up its neighbours.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import msgspec

from edge_agent.domain.invocation import Invocation
from edge_agent.engine.functions.work import Task


class _Data(msgspec.Struct):
    device: str = ""


class _Source(msgspec.Struct):
    source: str = ""
    partitionkey: str = ""


class _Event(_Source):
    data: _Data | None = None


_decode = msgspec.json.Decoder(_Event).decode
_decode_source = msgspec.json.Decoder(_Source).decode


def key_of(invocation: Invocation) -> str:
    """What its event must keep its place among: `data.device`, or `partitionkey`; without them, all of its `source`."""
    try:
        event: _Source = _decode(invocation.event)
        if isinstance(event, _Event) and event.data is not None and event.data.device:
            return f"device {event.data.device}"
    except (msgspec.DecodeError, UnicodeDecodeError):
        try:  # its data is no object, or the device no text
            event = _decode_source(invocation.event)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return ""
    return f"device {event.partitionkey}" if event.partitionkey else f"source {event.source}"


class _Lane:
    __slots__ = ("closing", "going", "waiting")

    def __init__(self) -> None:
        self.going: set[Task] = set()
        """Those that may go, or have gone and whose end is not on disk: one, unless order was asked for only later."""
        self.closing = 0
        """How many of these have ended."""
        self.waiting: deque[Task] = deque()


class Lanes:
    """The tasks of one function by key. Bounded by its line."""

    def __init__(self) -> None:
        self._lanes: dict[str, _Lane] = {}
        self.waiting = 0
        """Tasks that wait for an earlier one."""

    def enter(self, task: Task) -> bool:
        """A task arrives; may it go? If not, `over` of an earlier one returns it when it may."""
        lane = self._lane(task)
        if lane.going:
            lane.waiting.append(task)
            self.waiting += 1
            return False
        lane.going.add(task)
        return True

    def hold(self, task: Task) -> None:
        """It is on its way already."""
        self._lane(task).going.add(task)

    def closes(self, task: Task) -> bool:
        """It has ended, and that is about to be written; does another wait for that?"""
        lane = self._lanes.get(task.key)
        if lane is None or task not in lane.going:
            return False
        lane.closing += 1
        return bool(lane.waiting)

    def closing(self, task: Task) -> bool:
        """Does it wait only for the disk?"""
        lane = self._lanes.get(task.key)
        return lane is not None and task not in lane.going and lane.closing == len(lane.going)

    def over(self, task: Task) -> Task | None:
        """Its end is on disk; the one that may go now."""
        lane = self._lanes.get(task.key)
        if lane is None or task not in lane.going:
            return None
        lane.going.remove(task)
        lane.closing -= 1
        if lane.going:
            return None
        if lane.waiting:
            following = lane.waiting.popleft()
            self.waiting -= 1
            lane.going.add(following)
            return following
        del self._lanes[task.key]
        return None

    def drop(self, task: Task) -> None:
        """It will not go at all."""
        lane = self._lanes.get(task.key)
        if lane is not None:
            lane.going.discard(task)
            if not lane.going and not lane.waiting:
                del self._lanes[task.key]

    def drain(self) -> Iterator[Task]:
        """Those that wait for an earlier one, key by key; they are gone from here."""
        self.waiting = 0
        for key, lane in list(self._lanes.items()):
            yield from lane.waiting
            lane.waiting.clear()
            if not lane.going:
                del self._lanes[key]

    def _lane(self, task: Task) -> _Lane:
        lane = self._lanes.get(task.key)
        if lane is None:
            lane = self._lanes[task.key] = _Lane()
        return lane
