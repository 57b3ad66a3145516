"""A board and an onlooker in one MQTT client: publishes single readings with their exact times, and sees alerts come."""

from __future__ import annotations

import json
import socket
import threading
import time
from queue import Queue
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion


class Probe:
    """`alerts` gets (moment in epoch s, topic, payload) of everything under the alert topics."""

    def __init__(self, port: int, boot: str = "probe") -> None:
        self._boot = boot
        self._seq: dict[str, int] = {}
        self.alerts: Queue[tuple[float, str, bytes]] = Queue()
        self._subscribed = threading.Event()
        client = self._client = paho.Client(CallbackAPIVersion.VERSION2, f"probe-{boot}")
        client.on_connect = lambda client, *_: client.subscribe("edge/v1/bench/alerts/#", 1)
        client.on_subscribe = lambda *_: self._subscribed.set()
        client.on_message = self._message
        client.on_socket_open = lambda client, _, sock: sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.connect("127.0.0.1", port)
        client.loop_start()
        if not self._subscribed.wait(10):
            raise RuntimeError("the broker gave no subscription")

    def _message(self, client: paho.Client, _: Any, message: paho.MQTTMessage) -> None:
        self.alerts.put((time.time(), message.topic, message.payload))

    def publish(self, device: str, reading: str, value: float) -> tuple[int, float]:
        """(seq, the moment it was handed to the socket in epoch s)."""
        seq = self._seq[device] = self._seq.get(device, 0) + 1
        now = time.time()
        body = {"boot": self._boot, "seq": seq, "t": int(now * 1000), "readings": {reading: value}}
        self._client.publish(f"edge/v1/bench/devices/{device}/readings", json.dumps(body, separators=(",", ":")), 1)
        return seq, now

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def percentile(values: list[float], share: float) -> float:
    """The value that `share` (0 to 1) of all do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
