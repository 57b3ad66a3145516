"""The `about` topic: `{"model":..,"firmware":..,"readings":{"level":{"unit":"%","class":"..","min":..,"max":..}}}`.

Every field may be absent; fields we do not know are ignored; of a reading all attributes that are plain values are
kept.
"""

from __future__ import annotations

from typing import Any

from edge_agent.decode import strict_json
from edge_agent.decode.poison import Poison
from edge_agent.decode.values import check_name, json_type, value_of
from edge_agent.domain.message import Message
from edge_agent.domain.reading import MAX_READINGS, About, Value

MAX_ATTRIBUTES = 16


def about_of(device: str, message: Message) -> About:
    """What the board says of itself. Raises `Poison`."""
    tree = strict_json.loads(message.payload)
    if not isinstance(tree, dict):
        raise Poison("wrong-type", f"about is an object, not {json_type(tree)}")
    readings = _object("readings", tree.get("readings", {}))
    if len(readings) > MAX_READINGS:
        raise Poison("too-many-readings", f"{len(readings)} readings, {MAX_READINGS} at most")
    return About(
        device=device,
        received=message.received,
        model=_text("model", tree.get("model", "")),
        firmware=_text("firmware", tree.get("firmware", "")),
        readings={name: _attributes(name, raw) for name, raw in readings.items()},
    )


def _attributes(name: str, raw: Any) -> dict[str, Value]:
    check_name(name)
    attributes = _object(name, raw)
    if len(attributes) > MAX_ATTRIBUTES:
        raise Poison("too-many-readings", f"{name} has {len(attributes)} attributes, {MAX_ATTRIBUTES} at most")
    for attribute in attributes:
        check_name(attribute)
    return {key: value_of(value) for key, value in attributes.items() if not isinstance(value, dict | list | None)}


def _object(field: str, raw: Any) -> dict[str, Any]:
    if not isinstance(raw, dict):
        raise Poison("wrong-type", f"{field} is an object, not {json_type(raw)}")
    return raw


def _text(field: str, raw: Any) -> str:
    if not isinstance(raw, str):
        raise Poison("wrong-type", f"{field} is a string, not {json_type(raw)}")
    return str(value_of(raw))
