"""What is known of each device right now: last values, whether it is there, what it says of itself.

In memory; begun from history and journal at start. Bounded: a flood of invented names is refused, not remembered.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from edge_agent.domain.reading import About, Presence, Sample, Value

DEVICES_MOST = 10_000


class Device:
    """One board. `times` has the epoch ms of each value; `seen` when anything last came."""

    __slots__ = ("about", "boot", "label", "name", "online", "seen", "t", "times", "values")

    def __init__(self, name: str) -> None:
        self.name = name
        self.label = ""
        self.boot = ""
        self.online: bool | None = None
        self.seen = 0
        self.t = 0
        self.values: dict[str, Value] = {}
        self.times: dict[str, int] = {}
        self.about: About | None = None

    def show(self) -> dict[str, Any]:
        """JSON-ready, as `GET /api/v1/devices/<d>` tells it."""
        told = self.about.readings if self.about else {}
        values, times = dict(self.values), dict(self.times)
        return {
            "name": self.name,
            "label": self.label,
            "online": self.online,
            "last_seen": self.seen or None,
            "model": self.about.model if self.about else "",
            "firmware": self.about.firmware if self.about else "",
            "boot": self.boot,
            "readings": {
                reading: {
                    "value": values[reading],
                    "t": times.get(reading),
                    "unit": told.get(reading, {}).get("unit", ""),
                    "class": told.get(reading, {}).get("class", ""),
                }
                for reading in sorted(values)
            },
        }


class Devices:
    """All of them. `saw` is called by the pipeline for every sample and must stay cheap."""

    def __init__(self) -> None:
        self._devices: dict[str, Device] = {}
        self._changed: set[str] = set()
        self._lock = threading.Lock()

    def __contains__(self, name: str) -> bool:
        return name in self._devices

    def __len__(self) -> int:
        return len(self._devices)

    def knows(self, name: str) -> bool:
        """Whether `name` is known, or there is room to get to know it."""
        return name in self._devices or len(self._devices) < DEVICES_MOST

    def saw(self, sample: Sample) -> None:
        """Take a sample's values as the last ones, unless newer are known (a batch after an outage)."""
        name = sample.device
        device = self._devices.get(name) or self._add(name)
        device.seen = sample.received
        device.boot = sample.boot
        self._changed.add(name)
        if sample.t >= device.t:
            device.t = sample.t
            device.values.update(sample.values)
            device.times.update(dict.fromkeys(sample.values, sample.t))
            return
        for reading, value in sample.values.items():
            if sample.t >= device.times.get(reading, 0):
                device.values[reading], device.times[reading] = value, sample.t

    def heard(self, presence: Presence) -> None:
        device = self._devices.get(presence.device) or self._add(presence.device)
        device.online = presence.online
        self._changed.add(presence.device)

    def told(self, about: About) -> bool:
        """Remember what a device says of itself; whether that is anything new."""
        device = self._devices.get(about.device) or self._add(about.device)
        known = device.about
        device.about = about
        self._changed.add(about.device)
        return known is None or (known.model, known.firmware, known.readings) != (
            about.model,
            about.firmware,
            about.readings,
        )

    def _add(self, name: str) -> Device:
        with self._lock:
            return self._devices.setdefault(name, Device(name))

    def begin(
        self, latest: Mapping[str, Mapping[str, tuple[int, Value]]], known: Mapping[str, tuple[str, About | None]]
    ) -> None:
        """Start from what history and journal know."""
        for name, readings in latest.items():
            device = self._add(name)
            for reading, (t, value) in readings.items():
                device.values[reading], device.times[reading] = value, t
            device.t = device.seen = max(device.times.values(), default=0)
        for name, (label, about) in known.items():
            device = self._add(name)
            device.label, device.about = label, about

    def unit(self, device: str, reading: str) -> str:
        found = self._devices.get(device)
        if found is None or found.about is None:
            return ""
        return str(found.about.readings.get(reading, {}).get("unit", ""))

    def get(self, name: str) -> Device | None:
        return self._devices.get(name)

    def all(self) -> list[Device]:
        with self._lock:
            return sorted(self._devices.values(), key=lambda device: device.name)

    def forget(self, name: str) -> None:
        with self._lock:
            self._devices.pop(name, None)

    def changed(self) -> list[Device]:
        """The devices something came from since last asked: what the page has to redraw."""
        names, self._changed = self._changed, set()
        return [self._devices[name] for name in sorted(names) if name in self._devices]
