"""Tasmota: `tele/<topic>/SENSOR`, `tele/<topic>/STATE`, `tele/<topic>/LWT` (Tasmota documentation: MQTT).

A SENSOR message nests one object per sensor: `{"Time":"..","DS18B20":{"Id":"..","Temperature":20.6},"TempUnit":"C"}`
becomes the reading `ds18b20-temperature`; arrays (one value per phase) are numbered from 1, as Tasmota's own rules do.
`Time` is the board's local time without a zone, so readings are dated by their receipt. null (a sensor that did not
answer) is left out. Of STATE we keep relays, dimmer, supply voltage, uptime and the Wi-Fi signal. Best effort: Tasmota
neither counts nor resends.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from edge_agent.decode import strict_json
from edge_agent.decode.poison import Poison
from edge_agent.decode.register import Decoded, Reader, Register, ignore
from edge_agent.decode.values import json_type, name_of, translated
from edge_agent.domain.message import Message
from edge_agent.domain.reading import Presence

NO_READINGS = {"Time", "Id", "TotalStartTime", "TempUnit", "PressureUnit", "SpeedUnit"}
"""Fields that say how, when or where, not how much."""
STATES = {"Vcc", "Dimmer", "UptimeSec"}
UNITS = {
    "Power": "W",
    "ApparentPower": "VA",
    "ReactivePower": "var",
    "Voltage": "V",
    "Current": "A",
    "Frequency": "Hz",
    "Total": "kWh",
    "Today": "kWh",
    "Yesterday": "kWh",
    "Humidity": "%",
    "Illuminance": "lx",
    "Vcc": "V",
    "UptimeSec": "s",
    "RSSI": "%",
    "Signal": "dBm",
}
"""By the last part of a name; RSSI is Tasmota's quality in per cent, Signal the real thing."""


def filters(site: str) -> Sequence[str]:
    return ("tele/+/SENSOR", "tele/+/STATE", "tele/+/LWT")


def reader(topic: str, register: Register) -> Reader | None:
    match topic.split("/"):
        case ["tele", name, "SENSOR"]:
            device = name_of(name)
            return lambda message: sensor(device, message, register)
        case ["tele", name, "STATE"]:
            device = name_of(name)
            return lambda message: state(device, message, register)
        case ["tele", name, "LWT"]:
            device = name_of(name)
            return lambda message: presence(device, message)
        case ["tele", _, *_]:
            return ignore
    return None


def sensor(device: str, message: Message, register: Register) -> Sequence[Decoded]:
    tree = _object(message)
    return _taken(device, message, register, _flat(tree), UNITS | _units(tree))


def state(device: str, message: Message, register: Register) -> Sequence[Decoded]:
    tree = _object(message)
    wifi = tree.get("Wifi")
    kept = {name: value for name, value in tree.items() if name in STATES or name.startswith("POWER")}
    if isinstance(wifi, dict):
        kept["Wifi"] = {name: wifi[name] for name in ("RSSI", "Signal") if name in wifi}
    return _taken(device, message, register, _flat(kept), UNITS)


def presence(device: str, message: Message) -> Sequence[Presence]:
    match message.payload:
        case b"Online":
            return (Presence(device, True, message.received),)
        case b"Offline":
            return (Presence(device, False, message.received),)
    raise Poison("wrong-type", "an LWT is Online or Offline")


def _object(message: Message) -> dict[str, Any]:
    tree = strict_json.loads(message.payload)
    if not isinstance(tree, dict):
        raise Poison("wrong-type", f"a telemetry message is an object, not {json_type(tree)}")
    return tree


def _taken(
    device: str, message: Message, register: Register, leaves: Iterable[tuple[str, str, Any]], units: Mapping[str, str]
) -> Sequence[Decoded]:
    flat = {}
    measured = {}
    for name, kind, value in leaves:
        flat[name] = value
        if kind in units:
            measured[name_of(name)] = units[kind]
    return register.take(device, message, translated(flat), units=measured)


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str, Any]]:
    """(whole name, last part of it, value) of everything that is no object or array itself."""
    for key, value in tree.items():
        name = f"{prefix} {key}".strip()
        if key in NO_READINGS:
            continue
        if isinstance(value, dict):
            yield from _flat(value, name)
        elif isinstance(value, list):
            yield from ((f"{name} {number}", key, each) for number, each in enumerate(value, 1))
        else:
            yield name, key, value


def _units(tree: Mapping[str, Any]) -> dict[str, str]:
    """The units the message itself names: `TempUnit`, `PressureUnit` (Tasmota documentation: SetOption8, 24)."""
    units: dict[str, str] = {}
    if tree.get("TempUnit") in ("C", "F"):
        units |= dict.fromkeys(("Temperature", "DewPoint"), f"°{tree['TempUnit']}")
    if isinstance(tree.get("PressureUnit"), str):
        units |= dict.fromkeys(("Pressure", "SeaPressure"), tree["PressureUnit"])
    return units
