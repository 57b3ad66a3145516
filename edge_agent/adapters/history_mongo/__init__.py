"""MongoDB as the long-term history: samples, then the averages of their hours. The only package that imports pymongo.

Enters: samples in bulk, from the journal. Leaves: points, steps and samples, for plots and replays.
Guarantee: what `store` returned from is on the disks of a majority; a sample stored again changes nothing, because its id is
the document's. Portable from MongoDB 4.4 to 8: plain collections, a TTL index, no `$dateTrunc`, no time-series collections.

Errors: Unavailable (retry later), Refused (credentials, schema). No pymongo exception leaves this package.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from bson.datetime_ms import DatetimeMS
from pymongo import ASCENDING, DESCENDING, MongoClient, UpdateOne, WriteConcern
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError, OperationFailure

from edge_agent.adapters.history_mongo.documents import (
    Document,
    document_of,
    key_of,
    mean_steps,
    plain,
    sample_of,
)
from edge_agent.adapters.history_mongo.hours import HOUR, REPEATS, Hours, joined
from edge_agent.adapters.history_mongo.trouble import COMMAND_NOT_FOUND, only_duplicates, translated
from edge_agent.domain.reading import Sample, Value
from edge_agent.ports import Step

__all__ = ["MongoHistory"]

log = logging.getLogger(__name__)

PIECE = 1000
"""Documents in one insert: some hundred KiB, so that a slow server answers well within the timeout."""

RESERVE = 7 * 86_400
"""Seconds a sample stays beyond `keep`, so that an appliance that was off for days still finds what it has to average."""

LONGEST_KEPT = 2**31 - 1
"""Seconds; MongoDB's limit for expireAfterSeconds."""


class MongoHistory:
    """`ports.History` in the database that `uri` names (`edge` when it names none); any thread may call.

    `password` is for a URI that names a user without one. `keep` is how long readings stay, `keep_hourly` the averages that
    `trim` makes of them, seconds: the server itself lets both go, readings `RESERVE` later. `search` bounds the wait for a
    server to be found, `timeout` the wait for one answer; seconds. Nothing is connected before the first call.
    Errors: `Refused` for a URI that is none.
    """

    def __init__(
        self,
        uri: str,
        *,
        password: str = "",
        keep: float = 30 * 86_400,
        keep_hourly: float = 5 * 365 * 86_400,
        search: float = 3.0,
        timeout: float = 20.0,
    ) -> None:
        options: dict[str, Any] = {"password": password} if password else {}
        with translated():
            self._client: MongoClient[Document] = MongoClient(
                uri,
                connect=False,
                appname="edge-agent",
                serverSelectionTimeoutMS=int(search * 1000),
                connectTimeoutMS=int(search * 1000),
                socketTimeoutMS=int(timeout * 1000),
                **options,
            )
            database = self._client.get_default_database("edge")
        safely = WriteConcern("majority", j=True, wtimeout=int(timeout * 500))
        self._samples = database.get_collection("samples", write_concern=safely)
        self._latest = database.get_collection("latest", write_concern=safely)
        hourly = database.get_collection("hours", write_concern=safely)
        self._hours = Hours(self._samples, hourly, database.get_collection("notes", write_concern=safely))
        self._kept = [(self._samples, keep + RESERVE), (self._latest, keep), (hourly, keep_hourly)]
        self._averaged = 0
        self._writing = threading.Lock()
        self._preparing = threading.Lock()
        self._prepared = False

    def _prepare(self) -> None:
        """Have the indexes as they must be; once, when the server is first there."""
        if self._prepared:
            return
        with self._preparing:
            self._samples.create_index([("device", ASCENDING), ("t", ASCENDING)])
            self._hours.prepare()
            for collection, seconds in self._kept:
                self._ensure_kept(collection, int(min(seconds, LONGEST_KEPT)))
            self._averaged = self._hours.averaged_until()
            self._prepared = True

    def _ensure_kept(self, collection: Collection[Document], seconds: int) -> None:
        known = collection.index_information().get("kept", {}) if collection.name in self._names() else {}
        found = known.get("expireAfterSeconds")
        if found is not None and int(found) != seconds:
            change = {"name": "kept", "expireAfterSeconds": seconds}
            try:
                collection.database.command({"collMod": collection.name, "index": change})
            except OperationFailure as error:
                if error.code != COMMAND_NOT_FOUND:
                    raise
                collection.drop_index("kept")  # compatible servers that cannot change an index
            else:
                return
        collection.create_index("at", name="kept", expireAfterSeconds=seconds)

    def _names(self) -> list[str]:
        return self._samples.database.list_collection_names()

    # -- writing

    def store(self, samples: Sequence[Sample]) -> None:
        """See `ports.History.store`."""
        with translated(), self._writing:
            self._prepare()
            late = [sample for sample in samples if sample.t < self._averaged]
            for start in range(0, len(late), REPEATS):
                self._hours.add_late(late[start : start + REPEATS])
                self._insert(late[start : start + REPEATS])
            self._insert([sample for sample in samples if sample.t >= self._averaged])
            self._update_latest(samples)

    def _insert(self, samples: Sequence[Sample]) -> None:
        documents = [document_of(sample) for sample in samples if sample.values]
        for start in range(0, len(documents), PIECE):
            try:
                self._samples.insert_many(documents[start : start + PIECE], ordered=False)
            except BulkWriteError as error:
                if not only_duplicates(error):
                    raise

    def _update_latest(self, samples: Sequence[Sample]) -> None:
        newest: dict[tuple[str, str], tuple[int, Value]] = {}
        for sample in samples:
            for name, value in sample.values.items():
                known = newest.get((sample.device, name))
                if known is None or known[0] <= sample.t:
                    newest[sample.device, name] = (sample.t, value)
        updates = [
            UpdateOne(  # where a newer one is there already, this tries to insert, and is refused as a duplicate
                {"_id": f"{device}/{name}", "t": {"$lte": t}},
                {"$set": {"device": device, "reading": name, "t": t, "at": DatetimeMS(t), "value": value}},
                upsert=True,
            )
            for (device, name), (t, value) in newest.items()
        ]
        for start in range(0, len(updates), PIECE):
            try:
                self._latest.bulk_write(updates[start : start + PIECE], ordered=False)
            except BulkWriteError as error:
                if not only_duplicates(error):
                    raise

    def forget(self, device: str) -> int:
        with translated():
            total = {"$group": {"_id": None, "n": {"$sum": "$n"}}}
            found = list(self._samples.aggregate([{"$match": {"device": device}}, total]))
            self._samples.delete_many({"device": device})
            self._latest.delete_many({"device": device})
            self._hours.forget(device)
            return int(found[0]["n"]) if found else 0

    def trim(self, older_than: int) -> int:
        """Always 0: the TTL index removes what is old. This writes the averages of whole hours before `older_than`, which
        stay: call it daily, so that the index never comes first."""
        before = older_than - older_than % HOUR
        with translated():
            self._prepare()
            while self._average_next(before):
                pass
        return 0

    def _average_next(self, before: int) -> bool:
        """One hour at a time, letting batches from the journal in between."""
        with self._writing:
            end = self._hours.average_next(self._averaged, before)
            self._averaged = max(self._averaged, end)
            return end > 0

    # -- reading

    def raw(self, device: str, reading: str, since: int, until: int, limit: int = 10_000) -> list[tuple[int, Value]]:
        field = f"values.{key_of(reading)}"
        wanted = {"device": device, "t": {"$gte": since, "$lt": until}, field: {"$exists": True}}
        if limit <= 0:
            return []
        with translated():
            found = list(self._samples.find(wanted, {"t": 1, field: 1}).sort("t", DESCENDING).limit(limit))
        return [(int(one["t"]), plain(one["values"][key_of(reading)])) for one in reversed(found)]

    def steps(self, device: str, reading: str, since: int, until: int, step: int) -> list[Step]:
        """See `ports.History.steps`; where there are averages, an hour counts as a whole, at its beginning."""
        with translated():
            averaged = self._hours.averaged_until()
            older = self._hours.steps(device, reading, since, min(until, averaged), step) if since < averaged else []
            pipeline = mean_steps(device, reading, max(since, averaged), until, step)
            found = list(self._samples.aggregate(pipeline, allowDiskUse=True)) if averaged < until else []
        newer = [
            Step(int(one["_id"]), float(one["mean"]), float(one["low"]), float(one["high"]), int(one["count"]))
            for one in found
        ]
        return joined(older, newer)

    def samples(self, device: str, since: int, until: int, limit: int = 100_000) -> Iterator[Sample]:
        """See `ports.History.samples`: the oldest `limit` of them, so that one can go on from the last."""
        if limit <= 0:
            return
        with translated():
            found = self._samples.find({"device": device, "t": {"$gte": since, "$lt": until}}, batch_size=PIECE)
            with found.sort("t", ASCENDING).limit(limit) as cursor:
                for _, same_time in groupby(map(sample_of, cursor), key=lambda sample: sample.t):
                    yield from sorted(same_time, key=lambda sample: (sample.boot, sample.seq))

    def latest(self) -> dict[str, dict[str, tuple[int, Value]]]:
        latest: dict[str, dict[str, tuple[int, Value]]] = {}
        with translated():
            for one in self._latest.find():
                latest.setdefault(one["device"], {})[one["reading"]] = (int(one["t"]), plain(one["value"]))
        return latest

    def count(self) -> int:
        """An estimate: the collection's own count of samples, times the values of the newest hundred."""
        with translated():
            samples = self._samples.estimated_document_count()
            newest = [one["n"] for one in self._samples.find({}, {"n": 1}).sort("$natural", DESCENDING).limit(100)]
        return round(samples * sum(newest) / len(newest)) if newest else 0

    def close(self) -> None:
        self._client.close()
