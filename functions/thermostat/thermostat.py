"""Keep a room at its set point. An AWS Lambda handler: `thermostat.handler`.

Enters: a reading of the room's thermometer or of one of its windows, as the event of a rule with `every: true`. Leaves: a
command to the heater or cooler; what it remembers, retained on `.../devices/<thermometer>/state/thermostat`; and, when that
changes, a reading of the device `thermostat-<thermometer>` (on, target, open).
Guarantee: climate.py's. Each command ends by itself (`for`), so a heater nobody answers for goes off.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import climate
from broker import Address, Broker
from climate import Entry, Memory, Plan

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
WORD = re.compile(r"[a-z0-9-]{1,52}/[a-z0-9-]{1,63}")
NUMBERS = {
    "THERMOSTAT_HYSTERESIS": "0.3",
    "THERMOSTAT_LEAST_ON": "5m",
    "THERMOSTAT_LEAST_OFF": "5m",
    "THERMOSTAT_LEASE": "15m",
    "THERMOSTAT_FROST": "6",
}
COMMAND_EXPIRES = 30
"""Seconds after which the broker no longer delivers a command."""


class Misconfigured(ValueError):
    """The manifest's `env` or `secrets` are wrong; the message says what to write."""


class Permanent(Exception):
    """Another attempt cannot help (functions/CONTRACT.md)."""


@dataclass(frozen=True)
class Settings:
    """From the environment. Sensor, windows and actuator are device/name."""

    address: Address
    plan: Plan
    schedule: list[Entry]
    zone: ZoneInfo | None
    sensor: str
    windows: frozenset[str]
    actuator: str

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Settings:
        """Raises `Misconfigured` with every fault by name."""
        address, faults = Address.read(environment)
        places = {
            "THERMOSTAT_SENSOR": ("the thermometer", "hall/temperature"),
            "THERMOSTAT_ACTUATOR": ("what heats or cools", "boiler/heater"),
        }
        for name, (what, example) in places.items():
            if not WORD.fullmatch(environment.get(name, "")):
                faults.append(f"{name} does not say {what}: write device/name, as in {example}")
        windows = frozenset(
            word.strip() for word in environment.get("THERMOSTAT_WINDOWS", "").split(",") if word.strip()
        )
        for window in sorted(windows):
            if not WORD.fullmatch(window):
                faults.append(f"THERMOSTAT_WINDOWS has {window}: write device/reading, as in hall-door/open")
        mode = environment.get("THERMOSTAT_MODE", "heat")
        if mode not in ("heat", "cool"):
            faults.append(f"THERMOSTAT_MODE is {mode}: write heat or cool")
        numbers = [_number(name, environment.get(name, default), default, faults) for name, default in NUMBERS.items()]
        if numbers[0] <= 0:
            faults.append("THERMOSTAT_HYSTERESIS is not above 0: write for example 0.3")
        entries, zone = [], None
        try:
            entries = climate.schedule(environment.get("THERMOSTAT_SCHEDULE", ""))
        except ValueError as error:
            faults.append(f"THERMOSTAT_SCHEDULE: {error}")
        if named := environment.get("THERMOSTAT_TIME_ZONE", ""):
            try:
                zone = ZoneInfo(named)
            except (OSError, ValueError, KeyError):
                faults.append(f"THERMOSTAT_TIME_ZONE is {named}: write a name as in Europe/Dublin")
        if faults:
            raise Misconfigured("; ".join(faults))
        sensor, actuator = environment["THERMOSTAT_SENSOR"], environment["THERMOSTAT_ACTUATOR"]
        return cls(address, Plan(mode == "cool", *numbers), entries, zone, sensor, windows, actuator)


def _number(name: str, text: str, like: str, faults: list[str]) -> float:
    """A temperature, or seconds where the default has a unit."""
    found = re.fullmatch(r"(-?\d+(?:\.\d+)?)(ms|s|m|h)?", text)
    if not found or bool(found[2]) != like[-1].isalpha():
        faults.append(f"{name} is {text}: write for example {like}")
        return 1.0
    return float(found[1]) * UNITS.get(found[2], 1.0)


def learn(event: Mapping[str, Any], memory: Memory, settings: Settings) -> Memory:
    """What the event says, put into the memory: a temperature, windows, or both in one message. Raises `Permanent`."""
    data = event.get("data")
    data = data if isinstance(data, Mapping) else {}
    readings = dict(data["readings"]) if isinstance(data.get("readings"), Mapping) else {}
    readings[str(data.get("reading"))] = data.get("value")
    told = {f"{data.get('device')}/{name}": value for name, value in readings.items()}
    if not told.keys() & {settings.sensor, *settings.windows}:
        raise Permanent(f"{', '.join(sorted(told))} is neither THERMOSTAT_SENSOR nor one of THERMOSTAT_WINDOWS")
    value = told.get(settings.sensor)
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        memory = replace(memory, temperature=float(value))
    shut = {name for name in settings.windows & told.keys() if not told[name]}
    opened = {name for name in settings.windows & told.keys() if told[name]}
    return replace(memory, open=tuple(sorted((set(memory.open) | opened) - shut)))


settings = Settings.read(os.environ)


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Learn, decide, remember, tell the heater."""
    room = settings.sensor.partition("/")[0]
    device, actuator = settings.actuator.split("/")
    own = settings.address.device(event, room) + "/state/thermostat"
    with Broker(settings.address, context.get_remaining_time_in_millis() / 1000 - 1) as broker:
        before, now = Memory.read(broker.watch(own).get(own, {})), time.time()
        cold = Memory(on=False, since=math.inf, until=0.0, temperature=None)  # from the future: as good as none
        known = learn(event, before or cold, settings)
        set_point = climate.target(settings.schedule, datetime.fromtimestamp(now, settings.zone))
        decision = climate.decide(settings.plan, set_point, known, now)
        after = decision.memory
        if after != before:
            broker.publish(own, after.document(), retain=True)
        if decision.run is not None:
            lasts = {"for": round(decision.run * 1000)} if decision.run else {}
            order = {"id": str(event["id"]), "t": round(now * 1000), "value": bool(decision.run), **lasts}
            topic = settings.address.device(event, device) + f"/cmd/{actuator}"
            broker.publish(topic, order, expires=COMMAND_EXPIRES)
        if before is None or (before.on, before.target, before.open) != (after.on, after.target, after.open):
            topic = settings.address.device(event, f"thermostat-{room}") + "/readings"
            broker.publish(topic, reading(event, after, now))
    answer = {"on": after.on, "target": after.target, "temperature": after.temperature, "open": list(after.open)}
    print(json.dumps({"event": event["id"], "room": room, "run": decision.run, **answer}))
    return answer | {"run": decision.run}


def reading(event: Mapping[str, Any], memory: Memory, now: float) -> dict[str, Any]:
    """As a board sends it; boot and seq follow from the event, so a repeat counts once."""
    boot = hashlib.blake2b(str(event["id"]).encode(), digest_size=8).hexdigest()
    readings = {"on": memory.on, "target": memory.target, "open": bool(memory.open)}
    return {"boot": boot, "seq": 1, "t": round(now * 1000), "readings": readings}
