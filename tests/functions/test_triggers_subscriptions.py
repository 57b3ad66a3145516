"""What the broker is asked for, and what comes of it: the adapter alone, against a real Mosquitto, in both versions of MQTT."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge_agent.adapters.mqtt_paho import BrokerOptions, PahoBroker
from edge_agent.ports import Batch
from tests.broker import Broker
from tests.clock import now_ms
from tests.functions.house import Board
from tests.waiting import eventually

DYNAMIC_SECURITY = "mosquitto_dynamic_security.so"
PATHS = [(True, True), (True, False), (False, True), (False, False)]
NAMES = ["v5-fast", "v5-stock", "v3-fast", "v3-stock"]


class Ear:
    """Keeps what comes, and acknowledges it on a thread of its own, as the journal does."""

    def __init__(self, port: int, v5: bool, fast: bool, *filters: str, username: str = "", password: str = "") -> None:
        options = BrokerOptions(port=port, client_id="ear", v5=v5, fast=fast, username=username, password=password)
        self.batches: list[Batch] = []
        self.refused: list[list[str]] = []
        self.gone: list[str] = []
        self.broker = PahoBroker(options, filters, now_ms, take=self._take)
        self._journal = ThreadPoolExecutor(1)
        self.broker.standing.on_refused = lambda names: self.refused.append(list(names))
        self.broker.standing.on_gone = self.gone.extend

    def _take(self, batch: Batch) -> None:
        self.batches.append(batch)
        self._journal.submit(batch.acknowledge, [])

    def stop(self) -> None:
        self.broker.stop()
        self._journal.shutdown()

    @property
    def heard(self) -> list[tuple[str, bytes, bool]]:
        each = [message for batch in list(self.batches) for message in batch.messages]
        return [(message.topic, message.payload, message.retained) for message in each]

    def said(self, topic: str) -> list[bytes]:
        return [payload for heard, payload, _ in self.heard if heard == topic]


@contextmanager
def listening(broker: Broker, v5: bool, fast: bool, *filters: str) -> Iterator[tuple[Ear, Board]]:
    ear, board = Ear(broker.port, v5, fast, *filters), Board(broker.port)
    ear.broker.start()
    try:
        eventually(lambda: ear.refused)  # the subscription stands
        yield ear, board
    finally:
        ear.stop()
        board.close()


@pytest.mark.parametrize(("v5", "fast"), PATHS, ids=NAMES)
def test_a_message_that_crossing_filters_ask_for_is_taken_once_and_each_repetition_of_it(v5: bool, fast: bool) -> None:
    with Broker() as broker, listening(broker, v5, fast, "house/+", "+/door", "plain/#") as (ear, board):
        for payload in ("1", "1", "1", "2", "1"):
            board.say("house/door", payload)
            board.say("house/bell", payload)
            board.say("plain/x", payload)
        for topic in ("house/door", "house/bell", "plain/x"):
            eventually(lambda topic=topic: ear.said(topic) == [b"1", b"1", b"1", b"2", b"1"])  # type: ignore[misc]
        assert ear.broker.taken == (20 if v5 else 15), "copies were acknowledged and not taken"
        eventually(lambda: ear.broker.acknowledged == ear.broker.taken)


@pytest.mark.parametrize(("v5", "fast"), PATHS, ids=NAMES)
def test_filters_change_while_messages_come_and_none_that_both_ask_for_is_lost(v5: bool, fast: bool) -> None:
    with Broker() as broker, listening(broker, v5, fast, "house/+") as (ear, board):
        for number, filters in enumerate([["house/#"], ["house/+"], ["house/+", "+/door"], ["#"], ["house/door"]]):
            before = ["house/#", "house/+", "+/door", "#", "house/door"]
            ear.broker.subscribe(filters, gone=[name for name in before if name not in filters])
            for part in range(10):
                board.say("house/door", f"{number}-{part}")
        eventually(lambda: b"4-9" in ear.said("house/door"))
        said = ear.said("house/door")
        assert set(said) == {f"{number}-{part}".encode() for number in range(5) for part in range(10)}
        eventually(lambda: set(ear.gone) >= {"#", "+/door", "house/+"})
        board.say("garden/door", "x")
        board.say("house/door", "last")
        eventually(lambda: ear.said("house/door")[-1] == b"last")
        assert ear.said("garden/door") == [], "taken back"


@pytest.mark.parametrize("v5", [True, False], ids=["v5", "v3"])
def test_what_is_asked_for_while_the_broker_is_away_stands_when_it_is_back(v5: bool) -> None:
    with Broker() as broker, listening(broker, v5, True, "a") as (ear, board):
        broker.kill()
        eventually(lambda: not ear.broker.connected)
        ear.broker.subscribe(["b", "c/+", "+/d"], gone=["a"])
        ear.refused.clear()
        broker.start()
        eventually(lambda: ear.refused)
        eventually(board.connected)
        eventually(lambda: ear.gone == ["a"])
        for topic in ("a", "b", "c/d"):
            board.say(topic, topic)
        eventually(lambda: [topic for topic, _, _ in ear.heard] == ["b", "c/d"])


def test_retain_says_that_the_broker_had_kept_it_and_nothing_else() -> None:
    with Broker() as broker, listening(broker, True, True, "a") as (ear, board):
        board.say("mode", "before", retain=True)
        ear.broker.subscribe(["a", "mode"])
        eventually(lambda: ear.heard == [("mode", b"before", True)])
        board.say("mode", "after", retain=True)
        eventually(lambda: ear.heard[1:] == [("mode", b"after", False)])


def test_filters_the_broker_refuses_are_named_until_they_are_taken_back(tmp_path: Path) -> None:
    plugin = next(Path("/usr/lib").rglob(DYNAMIC_SECURITY))
    config = tmp_path / "security.json"
    config.write_text(json.dumps(SECURITY))
    shutil.chown(config, "root") if config.owner() != "root" else None
    extra = ["allow_anonymous true", f"plugin {plugin}", f"plugin_opt_config_file {config}"]
    with Broker(extra=extra) as broker, listening(broker, True, True, "open/#", "closed/#") as (ear, _):
        eventually(lambda: ear.refused[-1] == ["closed/#"])
        ear.broker.subscribe(["open/#", "open/x"], gone=["closed/#"])
        eventually(lambda: ear.refused[-1] == [])


SECURITY = {
    "defaultACLAccess": {
        "publishClientSend": True,
        "publishClientReceive": True,
        "subscribe": False,
        "unsubscribe": True,
    },
    "clients": [],
    "groups": [{"groupname": "anybody", "roles": [{"rolename": "listener"}]}],
    "anonymousGroup": "anybody",
    "roles": [
        {
            "rolename": "listener",
            "acls": [{"acltype": "subscribePattern", "topic": "open/#", "priority": 0, "allow": True}],
        }
    ],
}
