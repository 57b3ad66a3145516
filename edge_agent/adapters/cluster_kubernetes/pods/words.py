"""What a pod's container printed: read through the API now and then, never followed.

A stream for each of 150 pods would be 150 connections through API server and kubelet. So a worker that lives long is looked
at a moment after it was heard of, one that had its one event before it is deleted; each time only what is new.
"""

from __future__ import annotations

from edge_agent.adapters.cluster_kubernetes.api import Connection
from edge_agent.errors import EdgeError

TAIL = 4096
"""Bytes that are kept of each worker."""
MOST = 1024 * 1024
"""Bytes read at once; the rest the next time."""
LAST_READS = 4
"""So many times that much of a pod that is deleted."""
LEFT_OUT = b"[the rest is left out: more than 4 MiB at its end; print less]\n"


class Words:
    """What is kept of one worker's, and how far it was read."""

    __slots__ = ("_kept", "left_out", "since")

    def __init__(self) -> None:
        self.since = b""
        """The time of the last line, as Kubernetes wrote it (RFC 3339, nine digits): fixed width, so it sorts as text."""
        self._kept = b""
        self.left_out = 0
        """Bytes not passed on, as far as they are known."""

    @property
    def tail(self) -> str:
        return self._kept.decode("utf-8", "replace").strip()

    def keep(self, text: bytes) -> None:
        self._kept = (self._kept + text)[-TAIL:]


def read(cluster: Connection, pod: str, since: bytes, *, last: bool = False) -> tuple[bytes, bytes]:
    """(what is new, until when) of the pod at this path; nothing when it cannot be read. `last`: it is not asked again."""
    text = b""
    for _ in range(LAST_READS if last else 1):
        query: dict[str, str | int] = {"timestamps": "true", "limitBytes": MOST}
        if since:
            query["sinceTime"] = since.decode()
        try:
            body = cluster.read(f"{pod}/log", query)
        except EdgeError:  # it has not begun yet, is gone, or nobody is there to ask: no log is no reason to stop
            return text, since
        new, since = parse(body, since, whole=len(body) < MOST)
        text += new
        if len(body) < MOST:
            return text, since
    return text + (LEFT_OUT if last else b""), since


def parse(body: bytes, since: bytes, *, whole: bool = True) -> tuple[bytes, bytes]:
    """Lines later than `since` without their times, and the last one's time. Not `whole`: the last line may be a piece."""
    lines = body.splitlines(keepends=True)
    if not whole and len(lines) > 1:
        lines.pop()
    text = bytearray()
    for line in lines:
        stamp, _, words = line.partition(b" ")
        if stamp > since:
            text += words
            since = stamp
    return bytes(text), since
