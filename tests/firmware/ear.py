"""Somebody at the broker: hears what a board says, in order, and tells it things."""

from __future__ import annotations

import json
from types import TracebackType
from typing import Any

import paho.mqtt.client as mqtt

from tests.waiting import eventually

BASE = "edge/v1/home/devices/tank-1/"


class Ear:
    """`with Ear(broker.port) as ear: ear.tell("config", "keep"); ear.of("state/config")`."""

    def __init__(self, port: int) -> None:
        self.heard: list[tuple[str, Any]] = []
        self._port = port
        self._told = 0
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        self._client.on_connect = lambda *_: self._client.subscribe(BASE + "#", 1)
        self._client.on_message = lambda _client, _data, message: self._hear(message)

    def __enter__(self) -> Ear:
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._client.disconnect()
        self._client.loop_stop()
        if kind is not None:
            print(*self.heard[-40:], sep="\n")

    def _hear(self, message: mqtt.MQTTMessage) -> None:
        topic, text = message.topic.removeprefix(BASE), message.payload.decode()
        self.heard.append((topic, json.loads(text) if text[:1] in ("{", "[") else text))

    def of(self, topic: str) -> list[Any]:
        """What was said there, the oldest first."""
        return [said for on, said in list(self.heard) if on == topic]

    def last(self, topic: str) -> Any:
        return (self.of(topic) or [{}])[-1]

    def readings(self) -> list[dict[str, Any]]:
        """Those of both topics, repeats included."""
        single = [[said] if on == "readings" else said for on, said in list(self.heard) if on.startswith("readings")]
        return [one for some in single for one in some]

    def tell(self, actuator: str, value: Any, *, answered: bool = True, **more: Any) -> Any:
        """A command; the state that answers it, if there is going to be one."""
        self._told += 1
        command = {"id": f"{id(self)}-{self._told}", "value": value, **more}
        self._client.publish(f"{BASE}cmd/{actuator}", json.dumps(command), 1)
        state = f"state/{actuator}"
        if not answered:
            return None
        return eventually(lambda: self.last(state).get("id") == command["id"] and self.last(state), timeout=15)

    def acknowledge(self, boot: str, seq: int) -> None:
        """In the agent's place."""
        self._client.publish(BASE + "ack", json.dumps({"boot": boot, "seq": seq}), 1)

    def attend(self) -> None:
        """Say that the agent is there."""
        self._client.publish("edge/v1/home/appliance/status", '{"state":"online"}', 1, retain=True)
