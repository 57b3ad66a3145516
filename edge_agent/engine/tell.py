"""Alerts reach the LAN: one retained MQTT topic for each, cleared when it is over.

Enters: alerts that are on disk. Leaves: `edge/v1/<site>/alerts/<rule>/<device>`; the journal learns what was told.
Guarantee: what fires is on its topic and what is over is not, after any crash of agent or broker: whenever the broker has
forgotten us, and at every start, all that fires or was not told yet is published again. Needs neither functions nor MongoDB.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import msgspec

from edge_agent.domain.alert import Alert
from edge_agent.domain.topics import Topics
from edge_agent.errors import Unavailable

OUT_KEPT = 4096

log = logging.getLogger(__name__)


class Publisher(Protocol):
    def publish(
        self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False, then: Callable[[], None] | None = None
    ) -> None: ...


class Ledger(Protocol):
    """The part of the journal that knows what was told."""

    def untold(self) -> list[Alert]: ...
    def told(self, id: str, state: str) -> None: ...


class Teller:
    """Publishes alerts. `silenced(alert)` marks those somebody has silenced; they stay on their topic, marked."""

    def __init__(
        self,
        topics: Topics,
        publisher: Publisher,
        ledger: Ledger,
        *,
        silenced: Callable[[Alert], bool] = lambda alert: False,
        on_told: Callable[[Alert], None] = lambda alert: None,
    ) -> None:
        self._topics = topics
        self._publisher = publisher
        self._ledger = ledger
        self._silenced = silenced
        self._on_told = on_told
        self._order = threading.Lock()
        self.out: dict[str, float] = {}
        """When the newest alerts were confirmed by the broker, epoch ms: for traces."""

    def tell(self, alerts: Sequence[Alert]) -> None:
        """Publish what has just been committed, in that order."""
        with self._order:
            self._publish(alert for alert in alerts if not alert.late or alert.state == "resolved")

    def tell_again(self, more: Sequence[Alert] = ()) -> None:
        """Publish everything that fires or was never told, and `more` (alarms, which are not in the journal)."""
        with self._order:
            self._publish([*self._ledger.untold(), *more])

    def _publish(self, alerts: Iterable[Alert]) -> None:
        for alert in alerts:
            payload = b"" if alert.state == "resolved" else msgspec.json.encode(self._body(alert))
            try:
                self._publisher.publish(
                    self._topics.alert(alert.rule, alert.device),
                    payload,
                    retain=True,
                    then=lambda alert=alert: self._confirm(alert),  # type: ignore[misc]
                )
            except Unavailable as error:
                log.warning("alert %s will be told when the broker is back: %s", alert.id, error)
                return

    def _confirm(self, alert: Alert) -> None:
        if alert.state == "firing":
            self.out[alert.id] = time.time() * 1000
            if len(self.out) > OUT_KEPT:
                del self.out[next(iter(self.out))]
        self._ledger.told(alert.id, alert.state)
        self._on_told(alert)

    def _body(self, alert: Alert) -> dict[str, Any]:
        body: dict[str, Any] = {
            "id": alert.id,
            "state": alert.state,
            "severity": alert.severity,
            "message": alert.message,
            "value": alert.value,
            "since": alert.since,
        }
        if self._silenced(alert):
            body["silenced"] = True
        return body
