"""One visit to the MQTT broker, for one event: look at what is retained, publish, wait for an answer.

Enters: topics. Leaves: JSON documents. Guarantee: `watch` returns after every retained message of its topics has come;
`publish` after the broker's PUBACK; nothing takes longer than the visit's time. Errors: `ConnectionError`, `TimeoutError`.
Functions are deployed alone, so each that speaks MQTT has a copy of this file; a test holds the copies together.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

Document = dict[str, Any]
NOBODY = 0x10
NEW_ONLY = 2
"""Retain Handling (MQTT 5, 3.8.3.1): send no retained messages."""


@dataclass(frozen=True)
class Address:
    """Where the broker is and how to sign in, from MQTT_* variables."""

    host: str
    port: int
    user: str
    password_file: Path
    ca_file: str
    site: str = ""

    def device(self, event: Mapping[str, Any], name: str) -> str:
        """The beginning of a device's topics; the site is MQTT_SITE, else that of the event's source."""
        parts = str(event.get("source", "")).split("/")
        site = self.site or (parts[2] if len(parts) > 3 and parts[1] == "edge" else "home")
        return f"edge/v1/{site}/devices/{name}"

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> tuple[Address, list[str]]:
        """The address, and what is wrong with it."""
        port, user = environment.get("MQTT_PORT", "1883"), environment.get("MQTT_USER", "")
        password_file = Path(environment.get("EDGE_SECRETS", "/run/secrets")) / "mqtt" / "password"
        ca_file = environment.get("MQTT_CA_FILE", "")
        faults = []
        if not (port.isdecimal() and 0 < int(port) < 65536):
            faults.append(f"MQTT_PORT is {port}: write a number from 1 to 65535, as in 1883")
            port = "1883"
        if user and not password_file.is_file():
            faults.append(
                f"MQTT_USER is set and there is no {password_file}: add secrets: [mqtt] and put the password there"
            )
        if ca_file and not Path(ca_file).is_file():
            faults.append(f"MQTT_CA_FILE is {ca_file}, which is no file: write the path of the broker's CA certificate")
        host, site = environment.get("MQTT_HOST", "127.0.0.1"), environment.get("MQTT_SITE", "")
        return cls(host, int(port), user, password_file, ca_file, site), faults


class Broker:
    """`with Broker(address, seconds) as broker: broker.watch(topic)`."""

    def __init__(self, address: Address, seconds: float) -> None:
        self._name = f"the broker {address.host}:{address.port}"
        self._until = time.monotonic() + seconds
        self._seen: dict[str, Document] = {}
        self._done: set[int] = set()
        self._unheard: set[int] = set()
        self._refusal = ""
        self._welcome = False
        self._client = client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        client.connect_timeout = max(0.1, min(5.0, seconds))
        client.on_connect, client.on_message = self._connected, self._heard
        client.on_subscribe = client.on_publish = self._acknowledged
        if address.user:
            client.username_pw_set(address.user, address.password_file.read_text().rstrip("\r\n"))
        if address.ca_file:
            client.tls_set(address.ca_file)
        try:
            client.connect(address.host, address.port)
        except OSError as error:
            raise ConnectionError(f"{self._name} cannot be reached: {error}") from error

    def __enter__(self) -> Broker:
        self._wait(lambda: self._welcome, "does not answer")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._client.disconnect()
        self._client.loop(0.1)

    def watch(self, *topics: str) -> dict[str, Document]:
        """Subscribe; what is retained on them: {topic: document}, without those that hold no JSON object."""
        for retain in (0, NEW_ONLY):  # the second answer comes after what the first one caused
            options = SubscribeOptions(qos=1, retainHandling=retain)
            self._confirmed(self._client.subscribe([(topic, options) for topic in topics])[1])
        return dict(self._seen)

    def publish(self, topic: str, document: Mapping[str, Any], *, retain: bool = False, expires: int = 0) -> bool:
        """QoS 1; whether somebody is subscribed, where the broker tells (0x10, MQTT 5, 3.4.2.1). `expires`: seconds after
        which it is no longer delivered (3.3.2.3.3); 0 is never."""
        properties = Properties(PacketTypes.PUBLISH)
        if expires:
            properties.MessageExpiryInterval = expires
        payload = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
        number = self._client.publish(topic, payload, 1, retain, properties).mid
        self._confirmed(number)
        return number not in self._unheard

    def answer(self, topic: str, fits: Callable[[Document], bool], seconds: float) -> Document | None:
        """The first document on a watched topic that fits; None when there is none in time."""
        until = time.monotonic() + seconds
        try:
            self._wait(lambda: fits(self._seen.get(topic, {})) or time.monotonic() > until, "")
        except TimeoutError:
            return None
        found = self._seen.get(topic, {})
        return found if fits(found) else None

    def _confirmed(self, number: int | None) -> None:
        self._wait(lambda: number in self._done, "confirms nothing")

    def _wait(self, done: Callable[[], bool], failing: str) -> None:
        while not done():
            left = self._until - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"{self._name} {failing}")
            code = self._client.loop(min(left, 0.1))
            if self._refusal:
                raise ConnectionError(f"{self._name} refuses: {self._refusal}")
            if code:
                raise ConnectionError(f"{self._name} hung up: {mqtt.error_string(code)}")

    def _connected(self, _client: Any, _data: Any, _flags: Any, code: Any, _properties: Any) -> None:
        self._welcome, self._refusal = not code.is_failure, str(code) if code.is_failure else ""

    def _acknowledged(self, _client: Any, _data: Any, number: int, codes: Any, _properties: Any) -> None:
        codes = codes if isinstance(codes, list) else [codes]
        self._refusal = next((str(code) for code in codes if code.is_failure), "")
        self._done.add(number)
        if any(code.value == NOBODY for code in codes):
            self._unheard.add(number)

    def _heard(self, _client: Any, _data: Any, message: mqtt.MQTTMessage) -> None:
        try:
            document = json.loads(message.payload)
        except ValueError:
            document = None
        self._seen[message.topic] = document if isinstance(document, dict) else {}
