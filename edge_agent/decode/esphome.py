"""ESPHome without Home Assistant: `<node>/sensor/<name>/state`, `<node>/binary_sensor/<name>/state`, `<node>/status`.

(ESPHome documentation: MQTT Client Component.) One value per message, as text, so one sample per message. `nan` is how
ESPHome says that a sensor has no value: nothing is broken and nothing was measured, so nothing is stored. States are
retained by default; the broker's copies would be stored again at every reconnect and are left out.
A topic prefix with slashes needs `topic_prefix` set to one level. Best effort: ESPHome neither counts nor resends.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from edge_agent.decode.poison import MAX_STRING, Poison
from edge_agent.decode.register import Decoded, Reader, Register
from edge_agent.decode.values import name_of
from edge_agent.domain.message import Message
from edge_agent.domain.reading import Presence, Value

COMPONENTS = ("sensor", "binary_sensor", "text_sensor", "switch")
NO_VALUE = {"nan", "unavailable", "unknown"}
NOT_NODES = {"edge", "tele", "stat", "cmnd", "zigbee2mqtt", "homeassistant"}
"""First levels that belong to others, whose topics can look like ours (`homeassistant/status` is one)."""
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?", re.ASCII)


def filters(site: str) -> Sequence[str]:
    return (*(f"+/{component}/+/state" for component in COMPONENTS), "+/status")


def reader(topic: str, register: Register) -> Reader | None:
    match topic.split("/"):
        case [node, *_] if node in NOT_NODES:
            return None
        case [node, component, name, "state"] if component in COMPONENTS:
            device, reading = name_of(node), name_of(name)
            return lambda message: state(device, reading, component, message, register)
        case [node, "status"]:
            device = name_of(node)
            return lambda message: status(device, message)
    return None


def state(device: str, reading: str, component: str, message: Message, register: Register) -> Sequence[Decoded]:
    try:
        text = message.payload.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Poison("bad-utf8", f"byte {error.start}: {error.reason}") from None
    if text.lower() in NO_VALUE:
        return ()
    return register.take(device, message, {reading: _value(component, text)})


def status(device: str, message: Message) -> Sequence[Presence]:
    """Anybody may use `<something>/status` for something else: what is neither online nor offline is not for us."""
    online = {b"online": True, b"offline": False}.get(message.payload)
    return () if online is None else (Presence(device, online, message.received),)


def _value(component: str, text: str) -> Value:
    if component == "text_sensor":
        if len(text) > MAX_STRING:
            raise Poison("too-long", f"a string of {len(text)} characters, {MAX_STRING} at most")
        return text
    if component == "sensor":
        if text.lower().lstrip("+-") in ("inf", "infinity"):
            raise Poison("bad-number", f"{text} is no number")
        if not NUMBER.fullmatch(text):
            raise Poison("wrong-type", f"a sensor's state is a number, not {text[:32]!r}")
        value = float(text)
        if not math.isfinite(value):
            raise Poison("bad-number", f"{text[:32]} is too large")
        return value
    if text not in ("ON", "OFF"):
        raise Poison("wrong-type", f"a {component} is ON or OFF, not {text[:32]!r}")
    return text == "ON"
