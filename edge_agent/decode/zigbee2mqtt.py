"""zigbee2mqtt: `zigbee2mqtt/<friendly name>` and `zigbee2mqtt/<friendly name>/availability`.

(zigbee2mqtt documentation: MQTT Topics and Messages.) A friendly name may hold slashes: `kitchen/floor_light` becomes
the device `kitchen-floor-light`. The payload is one flat object; nested ones (`update`, `color`, `device`) and null
are left out, ON and OFF become booleans. `last_seen`, when it is switched on, dates the reading: it is the clock of
the machine zigbee2mqtt runs on, and a state it publishes again from its cache must not look like a fresh one.
`bridge/#`, commands (`set`, `get`) and the one-topic-per-attribute output are not readings. Best effort: zigbee2mqtt
neither counts nor resends.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from edge_agent.decode import strict_json
from edge_agent.decode.poison import MAX_TIME, Poison
from edge_agent.decode.register import Decoded, Reader, Register, ignore
from edge_agent.decode.values import json_type, name_of, translated
from edge_agent.domain.message import Message
from edge_agent.domain.reading import Presence

BASE = "zigbee2mqtt/"
UNITS = {
    "temperature": "°C",
    "device_temperature": "°C",
    "local_temperature": "°C",
    "soil_moisture": "%",
    "humidity": "%",
    "battery": "%",
    "linkquality": "lqi",
    "pressure": "hPa",
    "illuminance": "lx",
    "power": "W",
    "current": "A",
    "energy": "kWh",
    "co2": "ppm",
}
"""Where the device pages ("Exposes") agree; voltage is V of a plug and mV of a battery, so it has none."""


def filters(site: str) -> Sequence[str]:
    return (BASE + "#",)


def reader(topic: str, register: Register) -> Reader | None:
    if not topic.startswith(BASE):
        return None
    levels = topic.removeprefix(BASE).split("/")
    if levels[0] == "bridge" or levels[-1] in ("set", "get") or "set" in levels[1:-1]:
        return ignore
    if levels[-1] == "availability" and len(levels) > 1:
        device = name_of("/".join(levels[:-1]))
        return lambda message: availability(device, message)
    device, nested = name_of("/".join(levels)), len(levels) > 1
    return lambda message: state(device, message, register, nested)


def state(device: str, message: Message, register: Register, nested: bool) -> Sequence[Decoded]:
    if nested and not message.payload.lstrip().startswith((b"{", b"[")):
        return ()  # `output: attribute` publishes plain values under <friendly name>/<attribute>
    tree = strict_json.loads(message.payload)
    if not isinstance(tree, dict):
        raise Poison("wrong-type", f"a state is an object, not {json_type(tree)}")
    seen = _epoch_ms(tree.pop("last_seen", None))
    units = {name_of(name): UNITS[name] for name in tree if name in UNITS}
    return register.take(device, message, translated(tree), units=units, t=seen)


def availability(device: str, message: Message) -> Sequence[Presence]:
    payload: Any = message.payload
    if payload not in (b"online", b"offline"):  # the older of two documented forms
        tree = strict_json.loads(payload)
        payload = str(tree.get("state")).encode("utf-8", "replace") if isinstance(tree, dict) else b""
    match payload:
        case b"online":
            return (Presence(device, True, message.received),)
        case b"offline":
            return (Presence(device, False, message.received),)
    raise Poison("wrong-type", "availability is online or offline")


def _epoch_ms(seen: Any) -> int | None:
    """`last_seen` as `ISO_8601`, `ISO_8601_local` (both with their zone) or `epoch`; None when it is none of them."""
    if isinstance(seen, str):
        try:
            moment = datetime.fromisoformat(seen)
        except ValueError:
            return None
        seen = moment.timestamp() * 1000 if moment.tzinfo else None
    if isinstance(seen, bool) or not isinstance(seen, int | float) or not 0 < seen <= MAX_TIME:
        return None
    return round(seen)
