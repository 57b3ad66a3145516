"""What the broker's session may hold for us: remembered across restarts, for a broker tells nobody what it has subscribed.

A filter that a function asked for in an earlier life would else bring its messages for as long as the session lives.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Sequence
from pathlib import Path

import msgspec

from edge_agent.adapters.mqtt_paho import PahoBroker
from edge_agent.engine.alarms import Alarms

log = logging.getLogger(__name__)

_read = msgspec.json.Decoder(list[str]).decode


class Subscriptions:
    """Any thread. The file is written only when the filters change, before the broker hears of it."""

    def __init__(self, file: Path, broker: PahoBroker, alarms: Alarms) -> None:
        self._file = file
        self._broker = broker
        self._alarms = alarms
        self._lock = threading.Lock()
        self._held = self._load()
        broker.standing.on_gone = self._gone
        broker.standing.on_refused = self._refused

    def change(self, filters: Sequence[str]) -> None:
        """From now on these Topic Filters."""
        with self._lock:
            self._keep(self._held | set(filters))
            self._broker.subscribe(filters, gone=sorted(self._held - set(filters)))

    def _gone(self, filters: Sequence[str]) -> None:
        with self._lock:
            self._keep(self._held - set(filters))

    def _refused(self, filters: Sequence[str]) -> None:
        summary = ""
        if filters:
            summary = (
                f"the broker refuses the subscription of {', '.join(filters)}, so nothing comes from there; allow the "
                "agent's user to read these topics (acl_file), or take the trigger out of the function"
            )
        self._alarms.set("subscriptions", summary)

    def _load(self) -> set[str]:
        try:
            return set(_read(self._file.read_bytes()))
        except FileNotFoundError:
            return set()
        except (msgspec.DecodeError, OSError) as error:
            log.warning(
                "%s cannot be read, so filters of an earlier start may still be subscribed: %s", self._file, error
            )
            return set()

    def _keep(self, held: set[str]) -> None:
        if held == self._held:
            return
        fresh = self._file.with_suffix(".new")
        with fresh.open("wb") as file:
            file.write(msgspec.json.encode(sorted(held)))
            file.flush()
            os.fsync(file.fileno())
        fresh.rename(self._file)
        self._held = held
