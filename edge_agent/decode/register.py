"""Gives an identity to readings whose dialect has none.

Tasmota, ESPHome and zigbee2mqtt say neither boot nor sequence number, so the agent counts for them, per device, under
a boot of its own that is new at every start. Nothing has to be remembered across restarts, and what the broker
delivers again after a crash is stored once more: that is the best effort such boards get.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from edge_agent.domain.message import Message, Rejected
from edge_agent.domain.reading import MAX_READINGS, About, Presence, Sample, Value

Decoded: TypeAlias = Sample | Presence | About | Rejected
Reader: TypeAlias = Callable[[Message], Sequence[Decoded]]
"""Decodes the messages of one topic. Raises `Poison`."""

MAX_DEVICES = 10_000
"""Devices counted for. One more, and all begin anew under the next boot: never the same (boot, seq) twice."""


def ignore(message: Message) -> Sequence[Decoded]:
    """The reader of topics that are known and say nothing we keep."""
    return ()


class Register:
    """One per `Decode`; used by one thread."""

    def __init__(self, site: str, boot: str) -> None:
        self.site = site
        self._boot = boot
        self._epoch = 0
        self._seqs: dict[str, int] = {}
        self._units: dict[str, dict[str, str]] = {}

    def take(
        self,
        device: str,
        message: Message,
        values: dict[str, Value],
        *,
        units: Mapping[str, str] | None = None,
        t: int | None = None,
    ) -> Sequence[About | Sample]:
        """One sample, dated by its receipt unless `t` is known; before it, when something about the `units` of its readings
        is new, what is known of them all. Nothing without values, and nothing of a retained message: it would be stored
        again at every reconnect."""
        if message.retained or not values:
            return ()
        if device not in self._seqs and len(self._seqs) >= MAX_DEVICES:
            self._seqs.clear()
            self._units.clear()
            self._epoch += 1
        seq = self._seqs[device] = self._seqs.get(device, 0) + 1
        boot = f"{self._boot}-{self._epoch}" if self._epoch else self._boot
        received = message.received
        sample = Sample(device, boot, seq, received if t is None else t, received, values, dated=t is not None)
        told = {name: unit for name, unit in units.items() if name in values} if units else {}
        known = self._units.get(device, {})
        if told.items() <= known.items():
            return (sample,)
        known = self._units[device] = dict(list({**known, **told}.items())[-MAX_READINGS:])
        readings = {name: {"unit": unit} for name, unit in known.items()}
        return (About(device, received, readings=readings), sample)
