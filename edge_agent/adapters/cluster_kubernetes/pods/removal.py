"""Pods that are to go, and are not forgotten until they have: now, or when the cluster is back.

Enters: names of pods. Leaves: their last words, and their deletion. Belongs to the loop's thread; the calls are errands.
Grace is zero: a worker is ended while it waits or when its time is over, and there is nobody to say goodbye to.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from functools import partial

from edge_agent.adapters.cluster_kubernetes.api import Connection
from edge_agent.adapters.cluster_kubernetes.pods import words
from edge_agent.adapters.cluster_kubernetes.pods.document import Site
from edge_agent.adapters.cluster_kubernetes.pods.errands import Errands
from edge_agent.engine.functions.loop import Loop
from edge_agent.errors import EdgeError, NotFound

AGAIN = 5.0
"""Seconds before a deletion that failed is tried again."""


class Removal:
    def __init__(self, loop: Loop, errands: Errands, cluster: Connection, site: Site) -> None:
        self._errands = errands
        self._cluster = cluster
        self._site = site
        self._owed: dict[str, bool] = {}
        """Pods to be deleted, and whether that is being tried."""
        self._later = loop.alarm(self.pay)

    @property
    def owed(self) -> int:
        """How many pods could not be deleted yet."""
        return len(self._owed)

    @property
    def trying(self) -> bool:
        """Is one being deleted just now?"""
        return any(self._owed.values())

    def owes(self, name: str) -> bool:
        return name in self._owed

    def owe(self, name: str) -> None:
        """Have it deleted, as soon as that can be."""
        self._owed.setdefault(name, False)
        self.pay()

    def pay(self) -> None:
        """Try what is owed."""
        for name, trying in self._owed.items():
            if not trying:
                self._owed[name] = True
                self._errands.run(partial(self._delete, name), partial(self._paid, name))

    def remove(self, name: str, since: bytes | None, then: Callable[[bytes], None]) -> None:
        """Read what it printed after `since` (None: not), delete it, call `then` with that; at once, whatever comes of it."""
        self._owed[name] = True
        self._errands.run(partial(self._remove, name, since), partial(self._done, name, then))

    def _remove(self, name: str, since: bytes | None) -> tuple[bytes, bool]:
        """Errand: what it printed, and whether it is gone."""
        text = b"" if since is None else words.read(self._cluster, f"{self._site.pods}/{name}", since, last=True)[0]
        try:
            self._delete(name)
        except EdgeError:
            return text, False
        return text, True

    def _delete(self, name: str) -> None:
        """Errand."""
        with contextlib.suppress(NotFound):
            self._cluster.delete(f"{self._site.pods}/{name}", grace=0)

    def _done(
        self, name: str, then: Callable[[bytes], None], result: tuple[bytes, bool] | None, error: EdgeError | None
    ) -> None:
        text, gone = result or (b"", False)
        self._paid(name, None, error if gone else error or EdgeError("it is still there"))
        then(text)

    def _paid(self, name: str, _result: None, error: EdgeError | None) -> None:
        if error is None:
            self._owed.pop(name, None)
        else:
            self._owed[name] = False
            self._later.no_later_than(time.monotonic() + AGAIN)
