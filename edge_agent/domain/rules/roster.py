"""The devices that were met, each with its watch; bounded, for anybody can invent the name of a device.

A device without rules costs one entry. When there are too many, first those go, then devices about which the rules
remember nothing that matters (no episode, no timer); a device is refused only when every other one matters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from edge_agent.domain.reading import About
from edge_agent.domain.rules.machine import Machine
from edge_agent.domain.rules.spec import Rule
from edge_agent.domain.rules.terms import Terms
from edge_agent.domain.rules.watch import Watch

NOBODY = Watch("", ())
"""The watch of a device for which there is no room."""


class Roster:
    """`watches` is for the hot path to look into; `evicted` counts devices let go for others, `refused` samples of devices
    for which there was no room. `retire` is told of every machine that goes."""

    def __init__(self, max_devices: int, retire: Callable[[Machine], None]) -> None:
        self.watches: dict[str, Watch] = {}
        self.terms: dict[str, Terms] = {}
        self.evicted = self.refused = 0
        self._max_devices = max_devices
        self._retire = retire
        self._units: dict[str, dict[str, str]] = {}

    def load(self, rules: Sequence[Rule], late_after_s: float) -> None:
        """Take other rules: every device is met anew, with new machines. Raises `ValueError` as `Terms.of` does."""
        self.terms = {rule.name: Terms.of(rule, late_after_s) for rule in rules}
        devices = list(self.watches)
        self.watches.clear()
        for device in devices:
            self.meet(device)

    def meet(self, device: str) -> Watch:
        """The watch of `device`; made when it is new."""
        watch = self.watches.get(device)
        if watch is not None:
            return watch
        if len(self.watches) >= self._max_devices and not self._make_room():
            self.refused += 1
            return NOBODY
        concerned = tuple(terms for terms in self.terms.values() if terms.concerns(device))
        watch = self.watches[device] = Watch(device, concerned, self._units.get(device, {}))
        return watch

    def leave(self, device: str) -> list[Machine]:
        """Forget a device; its machines, for the last time."""
        watch = self.watches.pop(device, None)
        self._units.pop(device, None)
        machines = [] if watch is None else list(watch.machines())
        for machine in machines:
            self._retire(machine)
        return machines

    def machines(self) -> Iterator[Machine]:
        for watch in self.watches.values():
            yield from watch.machines()

    def learn(self, about: About) -> None:
        """Take the units a board told of its readings."""
        if about.device in self._units or len(self._units) < self._max_devices:
            units = {reading: str(facts.get("unit", "")) for reading, facts in about.readings.items()}
            self._units[about.device] = units
            if about.device in self.watches:
                self.watches[about.device].learn(units)

    def _make_room(self) -> bool:
        wanted = max(1, self._max_devices // 10)
        unruled = (device for device, watch in self.watches.items() if not watch.terms)
        quiet = (device for device, watch in self.watches.items() if watch.terms and watch.quiet())
        leaving = [device for _, device in zip(range(wanted), unruled, strict=False)]
        leaving += [device for _, device in zip(range(wanted - len(leaving)), quiet, strict=False)]
        for device in leaving:
            self.leave(device)
        self.evicted += len(leaving)
        return bool(leaving)
