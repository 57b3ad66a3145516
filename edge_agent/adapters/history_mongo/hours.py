"""Hourly averages: what stays of samples that the server has removed for their age, in the collection `hours`.

    {_id: "tank-1/level/1763888400000", device, reading, t, at: Date(t), total, low, high, n, late: ["7f3a9c01d2e4b586/42"]}

`total`, `low`, `high` and `n` are the sum, minimum, maximum and count of one reading's numbers and booleans (1 and 0) in the
hour that begins at `t`. The note `averaged` says up to when there are averages: plots take the averages before it and the
samples from it on, so that nothing counts twice. An hour is written before the note moves over it; a crash between writes
the same again. What comes late for an hour that was averaged is added to its document, whose `late` tells a repeat.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from bson.datetime_ms import DatetimeMS
from pymongo import ASCENDING, ReplaceOne, UpdateOne
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError

from edge_agent.adapters.history_mongo.documents import Document, sample_of
from edge_agent.adapters.history_mongo.trouble import only_duplicates
from edge_agent.domain.reading import Sample, Value
from edge_agent.ports import Step

HOUR = 3_600_000
"""Milliseconds."""

PIECE = 1000
"""Documents in one message."""

REPEATS = 200
"""Late samples that an hour's document knows again, and that are added before they are stored. Few, because each rewrites
the document, and a board with a wrong clock may send for ever."""


class Hours:
    """The averages, beside the samples they are made from. The caller keeps `add_late` and `average_next` apart.

    Errors of every call: pymongo's.
    """

    def __init__(self, samples: Collection[Document], hours: Collection[Document], notes: Collection[Document]) -> None:
        self._samples = samples
        self._hours = hours
        self._notes = notes

    def prepare(self) -> None:
        """Have the index that plots need."""
        self._hours.create_index([("device", ASCENDING), ("reading", ASCENDING), ("t", ASCENDING)])

    def averaged_until(self) -> int:
        """Up to when there are averages, epoch ms."""
        note = self._notes.find_one({"_id": "averaged"})
        return int(note["until"]) if note else 0

    def average_next(self, since: int, before: int) -> int:
        """Write the averages of the first hour at or after `since` that has samples; where it ends, 0 when it is not
        over by `before`."""
        bounds = {"$gte": DatetimeMS(since), "$lt": DatetimeMS(before)}
        first = self._samples.find_one({"at": bounds}, {"t": 1}, sort=[("at", ASCENDING)])
        if first is None:
            return 0
        start = int(first["t"]) // HOUR * HOUR
        bounds = {"$gte": DatetimeMS(start), "$lt": DatetimeMS(start + HOUR)}
        with self._samples.find({"at": bounds}, batch_size=PIECE) as found:
            averages = list(_averages(start, map(sample_of, found)))
        for piece in range(0, len(averages), PIECE):
            writes = [ReplaceOne({"_id": one["_id"]}, one, upsert=True) for one in averages[piece : piece + PIECE]]
            self._hours.bulk_write(writes, ordered=False)
        self._notes.update_one({"_id": "averaged"}, {"$max": {"until": start + HOUR}}, upsert=True)
        return start + HOUR

    def add_late(self, samples: Sequence[Sample]) -> None:
        """Add at most `REPEATS` samples to the averages of their hours; one that is stored already counts there.

        The caller stores them next: a crash between leaves the last ones to be known from `late`.
        """
        stored = self._samples.find({"_id": {"$in": [sample.id for sample in samples]}}, {"_id": 1})
        known = {one["_id"] for one in stored}
        if updates := [update for sample in samples if sample.id not in known for update in _late(sample)]:
            try:
                self._hours.bulk_write(updates, ordered=False)
            except BulkWriteError as error:
                if not only_duplicates(error):
                    raise

    def steps(self, device: str, reading: str, since: int, until: int, step: int) -> list[Step]:
        """Of the hours that begin at since <= t < until."""
        found = self._hours.aggregate(
            [
                {"$match": {"device": device, "reading": reading, "t": {"$gte": since, "$lt": until}}},
                {"$group": {
                    "_id": {"$subtract": ["$t", {"$mod": ["$t", step]}]}, "total": {"$sum": "$total"},
                    "low": {"$min": "$low"}, "high": {"$max": "$high"}, "n": {"$sum": "$n"},
                }},
                {"$sort": {"_id": 1}},
            ],
            allowDiskUse=True,
        )  # fmt: skip
        return [
            Step(int(one["_id"]), one["total"] / one["n"], float(one["low"]), float(one["high"]), int(one["n"]))
            for one in found
        ]

    def forget(self, device: str) -> None:
        self._hours.delete_many({"device": device})


def joined(older: list[Step], newer: list[Step]) -> list[Step]:
    """Both, oldest first, where the last of `older` may be another part of the first step of `newer`."""
    if not older or not newer or older[-1].t != newer[0].t:
        return older + newer
    a, b = older[-1], newer[0]
    n = a.count + b.count
    mean = (a.mean * a.count + b.mean * b.count) / n
    return [*older[:-1], Step(a.t, mean, min(a.low, b.low), max(a.high, b.high), n), *newer[1:]]


def _averages(start: int, samples: Iterable[Sample]) -> Iterator[Document]:
    found: dict[tuple[str, str], list[float]] = {}
    for sample in samples:
        for name, value in _numbers(sample.values):
            known = found.get((sample.device, name))
            if known is None:
                found[sample.device, name] = [value, value, value, 1]
            else:
                known[:] = known[0] + value, min(known[1], value), max(known[2], value), known[3] + 1
    for (device, name), (total, low, high, n) in found.items():
        yield _identity(device, name, start) | {"total": total, "low": low, "high": high, "n": n}


def _late(sample: Sample) -> Iterator[UpdateOne]:
    key = f"{sample.boot}/{sample.seq}"
    for name, value in _numbers(sample.values):
        identity = _identity(sample.device, name, sample.t // HOUR * HOUR)
        yield UpdateOne(  # where it was added already, this tries to insert, and is refused as a duplicate
            {"_id": identity.pop("_id"), "late": {"$ne": key}},
            {
                "$setOnInsert": identity,
                "$inc": {"total": value, "n": 1},
                "$min": {"low": value},
                "$max": {"high": value},
                "$push": {"late": {"$each": [key], "$slice": -REPEATS}},
            },
            upsert=True,
        )


def _identity(device: str, reading: str, start: int) -> Document:
    return {
        "_id": f"{device}/{reading}/{start}",
        "device": device,
        "reading": reading,
        "t": start,
        "at": DatetimeMS(start),
    }


def _numbers(values: Mapping[str, Value]) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if not isinstance(value, str):
            yield name, float(value)
