"""Move one actuator, and wait until its board says that it moved. An AWS Lambda handler: `actuate.handler`.

Enters: the event of a rule (firing: the value; resolved: the resting value), or one whose data is itself a command
`{"device","actuator","value","for"}`. Leaves: `.../cmd/<actuator>`; and, when `.../state/<actuator>` has confirmed,
`{"device","actuator","value","id"}`. README.md has both documents.
Guarantee: the command's id is the event's, so a repeated attempt moves nothing twice; whatever is not at rest comes to rest
by itself after `for`; what the broker could not deliver in time it never delivers. Silence raises (tried again); a board's
refusal, and what ACTUATE_TARGETS does not allow, raise `Permanent`.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from math import ceil
from typing import Any

from broker import Address, Broker, Document

NAME = re.compile(r"[a-z0-9-]{1,63}")
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class Misconfigured(ValueError):
    """The manifest's `env` or `secrets` are wrong; the message says what to write."""


class Permanent(Exception):
    """Another attempt cannot help (functions/CONTRACT.md)."""


@dataclass(frozen=True)
class Settings:
    """From the environment. Times in seconds."""

    address: Address
    targets: list[tuple[str, str]]
    """(device glob, actuator glob) pairs."""
    device: str
    value: Any
    rest: Any
    longest: float
    wait: float

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Settings:
        """Raises `Misconfigured` with every fault by name."""
        address, faults = Address.read(environment)
        words = [word.strip() for word in environment.get("ACTUATE_TARGETS", "").split(",") if word.strip()]
        targets = [(device, actuator) for device, _, actuator in (word.partition("/") for word in words)]
        if not targets or not all(device and actuator for device, actuator in targets):
            faults.append("ACTUATE_TARGETS does not say what may be moved: write device/actuator, as in tank-*/pump")
        longest, wait = seconds(environment.get("ACTUATE_FOR", "10m")), seconds(environment.get("ACTUATE_WAIT", "5s"))
        for name, found, example in (("ACTUATE_FOR", longest, "10m"), ("ACTUATE_WAIT", wait, "5s")):
            if not found:
                faults.append(f"{name} is {environment[name]}: write a number and a unit, as in {example}")
        values = []
        for name, default in (("ACTUATE_VALUE", "true"), ("ACTUATE_REST", "false")):
            try:
                values.append(json.loads(environment.get(name, default)))
            except ValueError:
                faults.append(f"{name} is {environment[name]}: write true, false, a number, or a string in quotes")
        if faults:
            raise Misconfigured("; ".join(faults))
        return cls(address, targets, environment.get("ACTUATE_DEVICE", ""), values[0], values[1], longest, wait)


def seconds(text: object) -> float:
    """Of `30s`, `1.5m`, `500ms`; a bare number is milliseconds, as on the wire. 0 for what is none of these."""
    if isinstance(text, int | float) and not isinstance(text, bool):
        return max(0.0, text / 1000)
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h)", text) if isinstance(text, str) else None
    return float(found[1]) * UNITS[found[2]] if found else 0.0


@dataclass(frozen=True)
class Command:
    """What is to be done. `base` is the device's part of the topics."""

    id: str
    base: str
    device: str
    actuator: str
    value: Any
    lasts: float
    """Seconds until it rests again; 0 when `value` is the resting one."""

    def document(self, now: float) -> Document:
        """The command on the wire; `t` is epoch ms, `for` is ms."""
        lasts = {"for": round(self.lasts * 1000)} if self.lasts else {}
        return {"id": self.id, "t": round(now * 1000), "value": self.value, **lasts}


def command(event: Mapping[str, Any], settings: Settings) -> Command:
    """The command in an event. Raises `Permanent` when there is none, or none that is allowed."""
    data = event.get("data")
    data = data if isinstance(data, Mapping) else {}
    device = str(data.get("device") or "") if "actuator" in data else settings.device or str(data.get("device") or "")
    if not NAME.fullmatch(device):
        raise Permanent(f"which device? The event's data names {device or 'none'}: set ACTUATE_DEVICE")
    actuator = data.get("actuator") or _only_actuator(device, settings)
    allowed = any(fnmatchcase(device, one) and fnmatchcase(str(actuator), other) for one, other in settings.targets)
    if not (NAME.fullmatch(str(actuator)) and allowed):
        raise Permanent(f"{device}/{actuator} may not be moved: add it to ACTUATE_TARGETS")
    value = data["value"] if "actuator" in data and "value" in data else settings.value
    if data.get("state") == "resolved":
        value = settings.rest
    lasts = 0.0
    if value != settings.rest:
        lasts = seconds(data["for"]) if "for" in data else settings.longest
        if not 0 < lasts <= settings.longest:
            raise Permanent(f"for is {data.get('for')}: at most ACTUATE_FOR, as in 30s")
    return Command(str(event["id"]), settings.address.device(event, device), device, str(actuator), value, lasts)


def _only_actuator(device: str, settings: Settings) -> str:
    names = {actuator for glob, actuator in settings.targets if fnmatchcase(device, glob)}
    if len(names) != 1:
        raise Permanent(f"which actuator of {device}? ACTUATE_TARGETS allows {', '.join(sorted(names)) or 'none'}")
    return names.pop()


def obey(what: Command, broker: Broker, wait: float) -> Document:
    """Publish it unless the board has it already; the state in which the board confirmed."""
    topic = f"{what.base}/state/{what.actuator}"
    state = broker.watch(topic).get(topic, {})
    listening = True
    if state.get("id") != what.id:
        order = what.document(time.time())
        listening = broker.publish(f"{what.base}/cmd/{what.actuator}", order, expires=ceil(wait))
        found = broker.answer(topic, lambda document: document.get("id") == what.id, wait)
        if found is None:
            why = "is it on, and on the network?" if listening else "nobody listens for its commands"
            raise TimeoutError(f"{what.device} has not confirmed {what.actuator} within {wait:g} s: {why}")
        state = found
    if state.get("error"):
        raise Permanent(f"{what.device} refuses {what.actuator}: {state['error']}")
    if state.get("value") != what.value and not state.get("ended"):
        raise Permanent(f"{what.device} was told {what.actuator} = {what.value} and says {state.get('value')}")
    return state


settings = Settings.read(os.environ)


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Move it. The answer comes after the board's own word."""
    what = command(event, settings)
    left = context.get_remaining_time_in_millis() / 1000 - 1
    with Broker(settings.address, left) as broker:
        state = obey(what, broker, min(settings.wait, left))
    answer = {"device": what.device, "actuator": what.actuator, "value": what.value, "id": what.id}
    print(json.dumps({"event": what.id, **answer, "state": state}))
    return answer
