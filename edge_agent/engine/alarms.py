"""What is wrong with the appliance itself: told on the page and over MQTT like any alert, until it is over."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from edge_agent.domain.alert import Alert
from edge_agent.ports import Clock

log = logging.getLogger(__name__)

DEVICE = "appliance"


class Alarms:
    """Named conditions. `on_change` gets an `Alert` of the device `appliance` whenever one is raised, changed or over."""

    def __init__(self, clock: Clock, on_change: Callable[[Alert], None]) -> None:
        self._clock = clock
        self._on_change = on_change
        self._lock = threading.Lock()
        self._raised: dict[str, Alert] = {}

    def set(self, name: str, summary: str) -> None:
        """Raise `name`, or with "" end it; saying the same again changes nothing."""
        with self._lock:
            known = self._raised.get(name)
            if summary == (known.message if known else ""):
                return
            now = self._clock()
            if summary:
                since = known.since if known else now
                alert = Alert(
                    f"{DEVICE}/{name}/{since}", name, DEVICE, name, "firing", "critical", summary, None, since
                )
                self._raised[name] = alert
                log.error("alarm %s: %s", name, summary)
            else:
                assert known is not None
                del self._raised[name]
                alert = Alert(known.id, name, DEVICE, name, "resolved", "critical", "over", None, known.since, now)
                log.warning("alarm %s is over", name)
        self._on_change(alert)

    def raised(self) -> list[Alert]:
        with self._lock:
            return sorted(self._raised.values(), key=lambda alert: alert.since)
