"""All objects of one kind, and every change to them, for as long as the agent lives: list, watch, and again.

Enters: what the API server sends, if it sends. Leaves: `changed` and `removed`, in order, each change of an object at least
once, and `synced` when everything there is has been said.
Guarantee: an object that vanished while nobody could look is `removed` after the next list. A version too old (410) is
answered with a list; a server that ends, restarts or falls silent with another try from where it was, later each time.
Silence is noticed: a server says at least every minute how far it is (bookmarks), and ends each watch after some minutes.
Not chosen: the client's own `Watch` and informer, which retry without a pause or keep every object in memory.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from random import Random
from typing import Protocol

import msgspec

from edge_agent.adapters.cluster_kubernetes.api.connection import Connection, Json, Lines
from edge_agent.adapters.cluster_kubernetes.api.refusals import Gone, refused
from edge_agent.engine.functions.retry import pause
from edge_agent.errors import EdgeError, Unavailable

log = logging.getLogger(__name__)

SILENCE = 100.0
"""Seconds without a byte after which a connection is given up. Bookmarks come every minute or so."""
LASTS = (240, 360)
"""Seconds after which the server ends a watch; drawn anew each time, so that they do not all end together."""
PAGE = 500
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
"""Seconds before another try. A handful of watches asking this often is nothing to an API server, and a person waits for it to
be noticed that it is back."""
FAIR = 1.0
"""Seconds a watch lasts at least; one that ends sooner is not opened again without a pause."""

Key = tuple[str, str]
"""(namespace, name)."""


class Sink(Protocol):
    """Called on the watch's own thread, one call at a time. What it raises is logged, and the watch goes on."""

    def changed(self, item: Json) -> None:
        """It is new or another than before."""

    def removed(self, item: Json) -> None:
        """It is gone: as it was last, or after an outage no more than its metadata's name and namespace."""

    def synced(self) -> None:
        """Everything there is has been said: after each list, and when the connection is there again after `away`."""

    def away(self, reason: str) -> None:
        """What happens cannot be seen now; said once for each outage."""


class Watch:
    """Of `path` (`/api/v1/namespaces/NS/pods`), narrowed down by a label `selector` and a field selector `fields`."""

    def __init__(
        self,
        connection: Connection,
        path: str,
        sink: Sink,
        *,
        selector: str = "",
        fields: str = "",
        silence: float = SILENCE,
        chance: Random | None = None,
    ) -> None:
        self._connection = connection
        self._path = path
        self._sink = sink
        self._query = {"labelSelector": selector} if selector else {}
        self._query |= {"fieldSelector": fields} if fields else {}
        self._silence = silence
        self._chance = chance or Random()
        self._known: dict[Key, str] = {}
        """resourceVersion of each object."""
        self._version = ""
        """From where to go on; empty: list first."""
        self._lines: Lines | None = None
        self._stopping = threading.Event()
        self._telling = threading.RLock()
        self.is_synced = False
        self.away_since: float | None = time.time()
        """Epoch seconds since when nothing can be seen; None: all is well."""
        self.reason = "not connected yet"
        self._said_away = False
        self._thread = threading.Thread(target=self._run, name=f"watch {path.rpartition('/')[2]}", daemon=True)

    def start(self) -> Watch:
        self._thread.start()
        return self

    def stop(self) -> None:
        """At once; nothing is said any more once this has returned."""
        self._stopping.set()
        if (lines := self._lines) is not None:
            lines.stop()
        with self._telling:
            pass

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            try:
                if not self._version:
                    self._list()
                began = time.monotonic()
                self._follow()
                if time.monotonic() - began > FAIR:
                    failures = 0
                    continue
                failures += 1
            except Gone:
                self._version = ""
                failures += 1  # a server that finds its own list too old is not asked without a pause
            except EdgeError as error:
                failures += 1
                self._lose(str(error))
            except Exception as error:
                failures += 1
                log.exception("the watch of %s failed; it begins anew", self._path)
                self._version = ""
                self._lose(f"{type(error).__name__}: {error}")
            self._stopping.wait(pause(failures, self._chance, first=FIRST_PAUSE, longest=LONGEST_PAUSE))

    def _list(self) -> None:
        found: dict[Key, str] = {}
        query: dict[str, str | int] = {**self._query, "limit": PAGE}
        while True:
            page = self._connection.get(self._path, query)
            kind = str(page.get("kind", "")).removesuffix("List")
            for item in page.get("items") or ():
                key, version = _key(item), item["metadata"]["resourceVersion"]
                found[key] = version
                if self._known.get(key) != version:
                    item.setdefault("kind", kind)  # items of a list come without
                    item.setdefault("apiVersion", page.get("apiVersion", ""))
                    self._tell(self._sink.changed, item)
            if not (more := page["metadata"].get("continue")):
                break
            query["continue"] = more
        for namespace, name in self._known.keys() - found.keys():
            self._tell(self._sink.removed, {"metadata": {"namespace": namespace, "name": name}})
        self._known = found
        self._version = page["metadata"]["resourceVersion"]
        self._found()

    def _follow(self) -> None:
        query: dict[str, str | int] = {
            **self._query, "watch": "true", "allowWatchBookmarks": "true", "resourceVersion": self._version,
            "timeoutSeconds": self._chance.randint(*LASTS),
        }  # fmt: skip
        lines = self._lines = self._connection.lines(self._path, query, silence=self._silence)
        if self._stopping.is_set():
            lines.stop()
            return
        if self.away_since is not None:
            self._found()
        try:
            for line in lines:
                self._take(line)
        except Unavailable as error:
            if isinstance(error, Gone):
                raise
            log.debug("the watch of %s broke off: %s", self._path, error)  # the next try says whether anybody is there
        finally:
            self._lines = None

    def _take(self, line: bytes) -> None:
        try:
            event = msgspec.json.decode(line)
            kind, item = event["type"], event["object"]
        except (msgspec.DecodeError, KeyError, TypeError) as error:
            raise Unavailable(f"the Kubernetes API sent what is no event: {error}") from error
        if kind == "ERROR":
            raise refused(int(item.get("code") or 500), str(item.get("message", "")))
        self._version = item["metadata"]["resourceVersion"]
        if kind == "DELETED":
            self._known.pop(_key(item), None)
            self._tell(self._sink.removed, item)
        elif kind != "BOOKMARK":
            self._known[_key(item)] = self._version
            self._tell(self._sink.changed, item)

    def _found(self) -> None:
        self.is_synced, self.away_since, self.reason = True, None, ""
        self._said_away = False
        self._tell(self._sink.synced)

    def _lose(self, reason: str) -> None:
        self.reason = reason
        self.away_since = self.away_since or time.time()
        if not self._said_away:
            self._said_away = True
            self._tell(self._sink.away, reason)

    def _tell(self, call: Callable[..., None], *args: Json | str) -> None:
        with self._telling:
            if self._stopping.is_set():
                return
            try:
                call(*args)
            except Exception:
                log.exception("what was seen of %s could not be used", self._path)


def _key(item: Json) -> Key:
    metadata = item["metadata"]
    return metadata.get("namespace", ""), metadata["name"]
