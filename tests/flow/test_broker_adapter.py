"""The agent's side of the broker, against a real Mosquitto: order, redelivery, lost sessions, TLS, and stock paho too."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
import trustme
from paho.mqtt.enums import CallbackAPIVersion

from edge_agent.adapters.mqtt_paho import BrokerOptions, PahoBroker, receive
from edge_agent.ports import Batch
from tests.broker import Broker
from tests.clock import now_ms
from tests.waiting import eventually

PATHS = [(True, True), (True, False), (False, True), (False, False)]
NAMES = ["v5-fast", "v5-stock", "v3-fast", "v3-stock"]


class Listener:
    """Keeps what came, and acknowledges only when asked."""

    def __init__(self, options: BrokerOptions, will: tuple[str, bytes] | None = None, *, eager: bool = False) -> None:
        self.batches: list[Batch] = []
        self.sessions: list[bool] = []
        self.eager = eager
        self.broker = PahoBroker(options, ["a/#"], now_ms, take=self.take, on_session=self.sessions.append, will=will)

    def take(self, batch: Batch) -> None:
        self.batches.append(batch)
        if self.eager:
            batch.acknowledge({})

    @property
    def payloads(self) -> list[bytes]:
        return [message.payload for batch in list(self.batches) for message in batch.messages]


@contextmanager
def listening(options: BrokerOptions, **more: Any) -> Iterator[Listener]:
    listener = Listener(options, **more)
    listener.broker.start()
    try:
        eventually(lambda: listener.broker.connected)
        yield listener
    finally:
        listener.broker.stop()


@contextmanager
def board(port: int) -> Iterator[paho.Client]:
    """A client of paho's own, as the other side."""
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    client.connect("127.0.0.1", port)
    client.loop_start()
    try:
        eventually(client.is_connected)
        yield client
    finally:
        client.disconnect()
        client.loop_stop()


def subscribe(client: paho.Client, name: str) -> list[tuple[str, bytes]]:
    """(topic, payload) of everything from now on; the broker has confirmed the subscription."""
    heard: list[tuple[str, bytes]] = []
    confirmed: list[int] = []
    client.on_subscribe = lambda client, userdata, mid, reasons, properties: confirmed.append(mid)
    client.on_message = lambda client, userdata, message: heard.append((message.topic, message.payload))
    client.subscribe(name, qos=1)
    eventually(lambda: confirmed)
    return heard


def publish(client: paho.Client, count: int, first: int = 0, topic: str = "a/b", **more: Any) -> None:
    for number in range(first, first + count):
        client.publish(topic, str(number), qos=1, **more).wait_for_publish(10)


def options(broker: Broker, v5: bool, fast: bool, **more: Any) -> BrokerOptions:
    return BrokerOptions(port=broker.port, client_id="edge-agent-test", v5=v5, fast=fast, **more)


def test_paho_still_has_the_private_names_the_fast_path_leans_on() -> None:
    assert receive.supported() == ""


def test_without_those_names_stock_paho_takes_over_with_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    queue: Any = paho.Client._packet_queue
    monkeypatch.setattr(paho.Client, "_packet_queue", lambda self, *args: queue(self, *args))  # noqa: PLW0108
    with (
        Broker() as broker,
        listening(options(broker, True, True), eager=True) as listener,
        board(broker.port) as client,
    ):
        assert "several times slower" in caplog.text
        publish(client, 3)
        eventually(lambda: listener.payloads == [b"0", b"1", b"2"])


@pytest.mark.parametrize(("v5", "fast"), PATHS, ids=NAMES)
def test_messages_come_in_order_and_those_not_acknowledged_come_again(v5: bool, fast: bool) -> None:
    with Broker() as broker:
        with listening(options(broker, v5, fast)) as first, board(broker.port) as client:
            publish(client, 10)
            eventually(lambda: len(first.payloads) == 10)
            assert first.payloads == [str(n).encode() for n in range(10)]
            upto = 0
            for batch in first.batches:
                upto += len(batch.messages)
                batch.acknowledge({})
                if upto >= 4:
                    break
            eventually(lambda: first.broker.acknowledged == upto)
            publish(client, 2, first=10)
            time.sleep(0.2)
        with listening(options(broker, v5, fast)) as second:
            eventually(lambda: len(second.payloads) == 12 - upto)
            assert second.payloads == [str(n).encode() for n in range(upto, 12)]
            assert second.sessions == [True]


@pytest.mark.parametrize(("v5", "fast"), PATHS, ids=NAMES)
def test_what_is_acknowledged_does_not_come_again_and_carries_the_promises(v5: bool, fast: bool) -> None:
    with Broker() as broker, board(broker.port) as client:
        heard = subscribe(client, "promise/#")
        with listening(options(broker, v5, fast)) as first:
            publish(client, 3)
            eventually(lambda: len(first.payloads) == 3)
            for batch in first.batches:
                batch.acknowledge({("promise/x", "b1"): b"b1 kept", ("promise/x", "b2"): b"b2 kept"})
            eventually(lambda: {("promise/x", b"b1 kept"), ("promise/x", b"b2 kept")} <= set(heard))
        with listening(options(broker, v5, fast)) as second:
            publish(client, 1, first=99)
            eventually(lambda: second.payloads == [b"99"])


@pytest.mark.parametrize(("v5", "fast"), PATHS, ids=NAMES)
def test_an_acknowledgement_from_before_a_reconnect_is_not_sent_on_the_new_connection(v5: bool, fast: bool) -> None:
    with Broker(persistence=False) as broker, listening(options(broker, v5, fast)) as listener:
        with board(broker.port) as client:
            publish(client, 2)
            eventually(lambda: len(listener.payloads) == 2)
        old = list(listener.batches)
        broker.kill()
        eventually(lambda: not listener.broker.connected)
        broker.start()
        eventually(lambda: listener.broker.connected, timeout=40)
        with board(broker.port) as client:
            publish(client, 1, first=7)
            eventually(lambda: listener.payloads[-1] == b"7")
            for batch in old:
                batch.acknowledge({})
            listener.batches[-1].acknowledge({})
            publish(client, 1, first=8)
            eventually(lambda: listener.payloads[-1] == b"8")


def test_a_broker_that_forgot_us_is_noticed_and_subscribed_to_anew() -> None:
    with Broker(persistence=False) as broker, listening(options(broker, True, True), eager=True) as listener:
        broker.kill()
        eventually(lambda: not listener.broker.connected)
        broker.start()
        eventually(lambda: len(listener.sessions) == 2, timeout=40)
        assert listener.sessions == [False, False]
        with board(broker.port) as client:
            publish(client, 1)
            eventually(lambda: listener.payloads == [b"0"])


def test_retained_messages_are_marked_and_come_once_not_with_every_reconnect() -> None:
    with Broker() as broker, board(broker.port) as client:
        publish(client, 1, topic="a/kept", retain=True)
        with listening(options(broker, True, True), eager=True) as first:
            eventually(lambda: first.payloads == [b"0"])
            assert first.batches[0].messages[0].retained
            publish(client, 1, first=1, topic="a/kept", retain=True)
            eventually(lambda: first.payloads == [b"0", b"1"])
            assert not first.batches[1].messages[0].retained, "a live message is not a retained one"
        with listening(options(broker, True, True), eager=True) as second:
            publish(client, 1, first=2)
            eventually(lambda: second.payloads == [b"2"])


def test_the_will_is_sent_when_the_agent_is_killed_and_not_when_it_says_goodbye() -> None:
    with Broker() as broker, board(broker.port) as client:
        heard = subscribe(client, "status")
        with listening(options(broker, True, True), will=("status", b"dead")) as listener:
            listener.broker._client.socket().shutdown(2)
            eventually(lambda: [body for _, body in heard] == [b"dead"])
            eventually(lambda: len(listener.sessions) == 2, timeout=40)
            listener.broker.stop(farewell=("status", b"goodbye"))
            eventually(lambda: [body for _, body in heard] == [b"dead", b"goodbye"])


def test_publishing_is_confirmed_only_by_the_broker() -> None:
    with Broker() as broker, listening(options(broker, True, True)) as listener:
        confirmed: list[int] = []
        listener.broker.publish("x", b"1", then=lambda: confirmed.append(1))
        eventually(lambda: confirmed == [1])
        broker.kill()
        eventually(lambda: not listener.broker.connected)
        listener.broker.publish("x", b"2", then=lambda: confirmed.append(2))
        assert confirmed == [1]
        broker.start()
        eventually(lambda: confirmed == [1, 2], timeout=40)


def test_tls_with_an_own_ca_and_a_user_is_required_to_be_right(tmp_path: Path) -> None:
    ca, stranger = trustme.CA(), trustme.CA()
    certificate = ca.issue_cert("localhost", "127.0.0.1")
    files = (tmp_path / "cert.pem", tmp_path / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(files[0])
    certificate.private_key_pem.write_to_path(files[1])
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    stranger.cert_pem.write_to_path(tmp_path / "stranger.pem")
    with Broker(tls=files, users={"agent": "right"}) as broker:
        good = options(broker, True, True, username="agent", password="right", tls_ca=str(tmp_path / "ca.pem"))
        with listening(good, eager=True) as listener:
            big = b"x" * 60_000
            listener.broker.publish("a/b", big)
            eventually(lambda: listener.payloads == [big])
        for wrong, word in (
            (
                options(broker, True, True, username="agent", password="right", tls_ca=str(tmp_path / "stranger.pem")),
                "certificate",
            ),
            (
                options(broker, True, True, username="agent", password="wrong", tls_ca=str(tmp_path / "ca.pem")),
                "refused",
            ),
        ):
            refused = Listener(wrong)
            refused.broker.start()
            eventually(lambda refused=refused, word=word: word in refused.broker.last_error.lower())
            assert not refused.broker.connected
            refused.broker.stop()
