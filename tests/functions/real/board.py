"""A small real board with one actuator: commands in, its state out, as functions/actuate/README.md has it.

Faults to set at any time: `silent` (does as told, says nothing), `deaf` (does nothing), `late` (seconds until it says so),
`refuses` (a sentence). `moves` is what a person beside the pump would have noted: (monotonic seconds, value).
"""

from __future__ import annotations

import json
import threading
import time
from types import TracebackType
from typing import Any

import paho.mqtt.client as mqtt

from tests.waiting import eventually


class ActuatorBoard:
    """`with ActuatorBoard(port, "tank-1", "pump") as board: board.value`."""

    def __init__(self, port: int, device: str, actuator: str, *, site: str = "home") -> None:
        self.value: Any = False
        self.commands: list[dict[str, Any]] = []
        self.moves: list[tuple[float, Any]] = []
        self.silent = self.deaf = False
        self.late = 0.0
        self.refuses = ""
        self._port = port
        self._last = ""
        self._document: dict[str, Any] = {"id": "", "value": False}
        self._lock = threading.RLock()
        self._timers: list[threading.Timer] = []
        self._rest: threading.Timer | None = None
        base = f"edge/v1/{site}/devices/{device}"
        self._command, self.topic = f"{base}/cmd/{actuator}", f"{base}/state/{actuator}"
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)  # 3.1.1, as most boards speak
        self._client.on_connect = lambda *_: self._client.subscribe(self._command, 1)
        self._client.on_subscribe = lambda *_: self._say({"id": self._last, "value": self.value})
        self._client.on_message = lambda _client, _data, message: self._told(json.loads(message.payload))
        self._ready = threading.Event()
        self._client.on_publish = lambda *_: self._ready.set()

    def __enter__(self) -> ActuatorBoard:
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._lock:
            for timer in [*self._timers, *([self._rest] if self._rest else [])]:
                timer.cancel()
        self._client.disconnect()
        self._client.loop_stop()

    def eventually(self, value: Any) -> None:
        eventually(lambda: self.value == value)

    def _told(self, command: dict[str, Any]) -> None:
        with self._lock:
            self.commands.append(command)
            if self.deaf:
                return
            if command["id"] == self._last:  # a repeat: say it again, do nothing
                self._answer(self._document)
                return
            self._last = command["id"]
            if self.refuses:
                self._answer({"id": self._last, "value": self.value, "error": self.refuses})
                return
            self._move(command["value"])
            if self._rest:
                self._rest.cancel()
            if "for" in command:
                self._rest = threading.Timer(command["for"] / 1000, self._over, [self._last])
                self._rest.start()
            self._answer({"id": self._last, "value": self.value})

    def _over(self, id: str) -> None:
        with self._lock:
            if id == self._last:
                self._move(False)
                self._answer({"id": id, "value": False, "ended": "time"})

    def _move(self, value: Any) -> None:
        if value != self.value:
            self.moves.append((time.monotonic(), value))
        self.value = value

    def _answer(self, document: dict[str, Any]) -> None:
        self._document = document
        if self.silent:
            return
        if self.late:
            timer = threading.Timer(self.late, self._say, [document])
            self._timers.append(timer)
            timer.start()
        else:
            self._say(document)

    def _say(self, document: dict[str, Any]) -> None:
        self._client.publish(self.topic, json.dumps(document), 1, retain=True)
