"""Keep a tank between two levels with a pump. An AWS Lambda handler: `water_level.handler`.

Enters: a level reading, as the event of a rule with `every: true`; or `{"device", "reset": true}` from a person. Leaves: a
command to the pump; what it remembers, retained on `.../devices/<tank>/state/water-level`; and, when that changes its phase, a
reading of the device `water-<tank>` (filling, fault, reason), over which rules can give the alarm.
Guarantee: filling.py's. Memory is written before the command, so a crash between the two shortens a run and never extends it.
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

import filling
from broker import Address, Broker
from filling import Memory, Plan

NAME = re.compile(r"[a-z0-9-]{1,57}")
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
DEFAULTS = {
    "WATER_LOW": "20",
    "WATER_HIGH": "80",
    "WATER_RISE": "1",
    "WATER_LONGEST": "10m",
    "WATER_RISE_WITHIN": "1m",
    "WATER_REST": "5m",
    "WATER_LEASE": "30s",
    "WATER_DELAY": "5s",
}


class Misconfigured(ValueError):
    """The manifest's `env` or `secrets` are wrong; the message says what to write."""


class Permanent(Exception):
    """Another attempt cannot help (functions/CONTRACT.md)."""


@dataclass(frozen=True)
class Settings:
    """From the environment."""

    address: Address
    plan: Plan
    pump: str
    """device/actuator; `{device}` in it is the tank's."""

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Settings:
        """Raises `Misconfigured` with every fault by name."""
        address, faults = Address.read(environment)
        pump = environment.get("WATER_PUMP", "{device}/pump")
        if not re.fullmatch(r"(\{device\}|[a-z0-9-])+/[a-z0-9-]{1,63}", pump):
            faults.append(f"WATER_PUMP is {pump}: write device/actuator, as in {{device}}/pump or well/pump")
        values = {}
        for name, default in DEFAULTS.items():
            text = environment.get(name, default)
            values[name] = _number(text, default)
            if values[name] is None:
                faults.append(f"{name} is {text}: write for example {default}")
        if not faults:
            low, high, rise, longest, within, rest, lease, delay = (value or 0.0 for value in values.values())
            plan = Plan(low, high, longest, rise, within, rest, lease, delay)
            faults += plan.faults()
        if faults:
            raise Misconfigured("; ".join(faults))
        return cls(address, plan, pump)


def _number(text: str, like: str) -> float | None:
    """A level, or seconds where the default has a unit."""
    found = re.fullmatch(r"(-?\d+(?:\.\d+)?)(ms|s|m|h)?", text)
    if not found or bool(found[2]) != like[-1].isalpha():
        return None
    return float(found[1]) * UNITS.get(found[2], 1.0)


def too_old(event: Mapping[str, Any], now: float, longest: float) -> bool:
    """Whether the reading says too little about the tank as it is now."""
    try:
        return now - datetime.fromisoformat(str(event["time"])).timestamp() > longest
    except (KeyError, ValueError):
        return False  # without a time it is as new as its arrival


settings = Settings.read(os.environ)


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Look at what is known, decide, remember, tell the pump."""
    tank, level = reading(event)
    if too_old(event, time.time(), settings.plan.lease):
        return _told(event, tank, {"ignored": "the reading is old"})
    base = settings.address.device(event, tank)
    device, actuator = settings.pump.replace("{device}", tank).split("/")
    pump = settings.address.device(event, device)
    own, theirs = f"{base}/state/water-level", f"{pump}/state/{actuator}"
    with Broker(settings.address, context.get_remaining_time_in_millis() / 1000 - 1) as broker:
        seen = broker.watch(own, theirs)
        before, state, now = Memory.read(seen.get(own, {})), seen.get(theirs, {}), time.time()
        refusal = str(state.get("error") or "") if before and state.get("id") == before.command else ""
        if level is None:
            decision = filling.reset(before.level if before else 0.0, now)
        else:
            decision = filling.decide(settings.plan, before, level, now, refusal=refusal)
        after = decision.memory if decision.run is None else replace(decision.memory, command=str(event["id"]))
        if after != before:
            broker.publish(own, after.document(), retain=True)
        if decision.run is not None:
            broker.publish(
                f"{pump}/cmd/{actuator}", order(event, now + decision.run), expires=max(1, int(settings.plan.delay))
            )
        if before is None or before.phase != after.phase:
            broker.publish(settings.address.device(event, f"water-{tank}") + "/readings", phase(event, after))
    return _told(event, tank, {"phase": after.phase, "reason": after.reason, "run": decision.run})


def reading(event: Mapping[str, Any]) -> tuple[str, float | None]:
    """(tank, level) of an event; no level when it asks for a reset. Raises `Permanent`."""
    data = event.get("data")
    data = data if isinstance(data, Mapping) else {}
    tank, level = str(data.get("device") or ""), data.get("value")
    if not NAME.fullmatch(tank):
        raise Permanent("the event's data names no device: run this from a rule over the tank's level")
    if data.get("reset") is True:
        return tank, None
    if not isinstance(level, int | float) or isinstance(level, bool) or not math.isfinite(level):
        raise Permanent(f"{tank} says its level is {level!r}, which is no number: run this over a reading that is one")
    return tank, float(level)


def order(event: Mapping[str, Any], until: float) -> dict[str, Any]:
    """The command that lets the pump run until then, however long it took to get here; or stops it."""
    now = time.time()
    lasts = round((until - now) * 1000)
    running = {"value": True, "for": lasts} if lasts > 0 else {"value": False}
    return {"id": str(event["id"]), "t": round(now * 1000), **running}


def phase(event: Mapping[str, Any], memory: Memory) -> dict[str, Any]:
    """A reading as a board sends it; boot and seq follow from the event, so a repeat counts once."""
    readings = {"filling": memory.phase == "filling", "fault": memory.phase == "fault", "reason": memory.reason[:256]}
    boot = hashlib.blake2b(str(event["id"]).encode(), digest_size=8).hexdigest()
    return {"boot": boot, "seq": 1, "t": round(time.time() * 1000), "readings": readings}


def _told(event: Mapping[str, Any], tank: str, answer: dict[str, Any]) -> dict[str, Any]:
    print(json.dumps({"event": event["id"], "device": tank, **answer}))
    return answer
