"""Something a person should know."""

from __future__ import annotations

import msgspec

from edge_agent.domain.reading import Value

SEVERITIES = ("info", "warning", "critical")


class Alert(msgspec.Struct, frozen=True):
    """One episode of one rule on one device: it fires, and later it is resolved. `id` is the firing event's id.

    `message` and `value` are those it fired with, `ended` is how it ended. Times are epoch milliseconds. `late` marks an
    episode found in readings that came long after they were measured: kept for the record, told to nobody. `notify` names
    the channels beside page and MQTT.
    """

    id: str
    rule: str
    device: str
    reading: str
    state: str
    severity: str
    message: str
    value: Value | None
    since: int
    until: int | None = None
    ended: str = ""
    late: bool = False
    acked_by: str = ""
    acked_at: int | None = None
    notify: tuple[str, ...] = ()
