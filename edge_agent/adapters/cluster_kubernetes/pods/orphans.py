"""Pods of an earlier life of the agent: taken over where a new worker would be just like them, else removed.

A `shared` worker may go on; one that has a fresh process or pod for each event only if it surely had none (`marks`).
Belongs to the loop's thread.
"""

from __future__ import annotations

from typing import NamedTuple

from edge_agent.adapters.cluster_kubernetes.pods.document import FINGERPRINT, Json, token_of
from edge_agent.adapters.cluster_kubernetes.pods.judge import View, view
from edge_agent.adapters.cluster_kubernetes.pods.marks import Marks

PATIENCE = 60.0
"""Seconds the function engine has to want them, once they are known."""


class Orphan(NamedTuple):
    name: str
    uid: str
    token: str
    fingerprint: str
    view: View


class Orphans:
    """Those that may be taken over."""

    def __init__(self, marks: Marks) -> None:
        self._marks = marks
        self._found: dict[str, Orphan] = {}
        self._tokens: set[str] = set()
        self.open = True
        """They are still waited for; afterwards an unknown pod is a stray."""

    def consider(self, item: Json) -> bool:
        """A pod nobody knows, or one considered before that has changed; False when it is of no use."""
        name, seen = item["metadata"]["name"], view(item)
        token = token_of(item)
        serves_many = item["spec"].get("restartPolicy") == "Always"
        fit = self.open and seen.running and seen.end is None and token and (serves_many or not self._marks.has(name))
        self.forget(name)
        if not fit:
            return False
        made = (item["metadata"].get("annotations") or {}).get(FINGERPRINT, "")
        self._found[name] = Orphan(name, item["metadata"]["uid"], token, made, seen)
        self._tokens.add(token)
        return True

    def has_token(self, token: str) -> bool:
        """Is it of one that may be taken over yet?"""
        return token in self._tokens

    def claim(self, fingerprint: str) -> Orphan | None:
        """One that was made like this."""
        for orphan in self._found.values():
            if orphan.fingerprint == fingerprint:
                self.forget(orphan.name)
                return orphan
        return None

    def forget(self, name: str) -> None:
        if orphan := self._found.pop(name, None):
            self._tokens.discard(orphan.token)

    def dismiss(self) -> list[str]:
        """No more are waited for; those nobody wanted."""
        self.open = False
        left = list(self._found)
        self._found.clear()
        self._tokens.clear()
        return left
