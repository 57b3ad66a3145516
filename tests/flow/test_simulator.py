from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
import trustme

from edge_agent.adapters.board_paho import BoardLinks
from edge_agent.decode import Decode
from edge_agent.domain.message import Message
from edge_agent.domain.reading import About, Presence, Sample
from edge_agent.engine.watermarks import Watermarks
from edge_agent.errors import Invalid, NotFound
from edge_agent.simulator import profiles
from edge_agent.simulator.faults import Rates
from edge_agent.simulator.fleet import Fleet, send
from edge_agent.simulator.replay import Replay
from tests.broker import Broker
from tests.waiting import eventually

SITE = "home"


class Acker:
    """The agent's side in small: stores what comes, in memory, and promises only what has no gap below it.

    `deaf`: it takes readings and acknowledges nothing, as while its disk is full.
    """

    def __init__(self, broker: Broker, **login: Any) -> None:
        self.deaf = False
        self.samples: dict[tuple[str, str, int], Sample] = {}
        self.presence: dict[str, bool] = {}
        self.abouts: dict[str, About] = {}
        self.strangers: list[object] = []
        self.deliveries = 0
        self.subscribed = threading.Event()
        self._decode = Decode(SITE, boot="acker")
        self._marks = Watermarks()
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2, "acker", protocol=paho.MQTTv5)
        if login:
            self._client.username_pw_set(**login)
        self._client.on_connect = lambda client, *_: client.subscribe([(topic, 1) for topic in self._decode.filters()])
        self._client.on_subscribe = lambda *_: self.subscribed.set()
        self._client.on_message = lambda _client, _data, message: self._take(message)
        self._client.reconnect_delay_set(1, 1)
        self._client.connect("127.0.0.1", broker.port)
        self._client.loop_start()
        assert self.subscribed.wait(10)

    def _take(self, message: paho.MQTTMessage) -> None:
        for one in self._decode(Message(message.topic, message.payload, 1_763_888_888_000, message.retain)):
            match one:
                case Sample(device, boot, seq):
                    self.deliveries += 1
                    if self._marks.admit(one):
                        self.samples[device, boot, seq] = one
                    if not self.deaf:
                        ack = {"boot": boot, "seq": self._marks.low(device, boot)}
                        self._client.publish(f"edge/v1/{SITE}/devices/{device}/ack", json.dumps(ack), qos=1)
                case Presence(device, online):
                    self.presence[device] = online
                case About(device):
                    self.abouts[device] = one
                case _:
                    self.strangers.append(one)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def broker() -> Iterator[Broker]:
    with Broker() as running:
        yield running


@pytest.fixture
def acker(broker: Broker) -> Iterator[Acker]:
    made = Acker(broker)
    yield made
    made.close()


@pytest.fixture
def links(broker: Broker) -> Iterator[BoardLinks]:
    made = BoardLinks("127.0.0.1", broker.port)
    yield made
    made.close()


def test_every_profile_sends_what_its_about_topic_announces(broker: Broker, acker: Acker, links: BoardLinks) -> None:
    fleet = Fleet(links, SITE, devices=len(profiles.known()), rate=20, seed=1, rates=Rates.none())
    assert fleet.devices == ["tank-1", "room-1", "door-1", "light-1", "thermostat-1", "vending-1"]
    fleet.start()
    eventually(lambda: {device for device, _, _ in acker.samples} == set(fleet.devices))
    eventually(lambda: set(acker.abouts) == set(fleet.devices) and all(acker.presence.values()))
    assert fleet.stop()
    for sample in acker.samples.values():
        assert set(sample.values) == set(acker.abouts[sample.device].readings)
        assert sample.dated
    stats = fleet.stats()
    assert stats["acked"] == stats["sent"] == len(acker.samples)
    assert stats["pending"] == stats["dropped"] == 0
    assert not acker.strangers
    eventually(lambda: not any(acker.presence[device] for device in fleet.devices))


def test_a_broker_killed_in_the_middle_costs_no_reading(
    broker: Broker, acker: Acker, links: BoardLinks, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The agent's side comes back after the boards, to a broker that forgot its session: what they send meanwhile is gone.
    monkeypatch.setattr("edge_agent.simulator.board.RESEND_AFTER", 1_000)
    measured: dict[tuple[str, str, int], dict[str, Any]] = {}
    fleet = Fleet(
        links, SITE, devices=6, rate=50, seed=2, rates=Rates.none(),
        on_reading=lambda device, boot, seq, values: measured.__setitem__((device, boot, seq), values),
    )  # fmt: skip
    fleet.start()
    for _ in range(2):
        before = len(acker.samples)
        eventually(lambda before=before: len(acker.samples) > before + 100)
        broker.kill()
        eventually(lambda: len(fleet.problems()) == 6)
        held = fleet.stats()["pending"]
        eventually(lambda held=held: fleet.stats()["pending"] > held + 20)
        broker.start()
        eventually(lambda: not fleet.problems())
    assert fleet.stop(timeout=30)
    assert {key: sample.values for key, sample in acker.samples.items()} == measured
    assert fleet.stats()["resent"] > 0


def test_what_an_agent_did_not_acknowledge_is_sent_again_after_its_silence(
    broker: Broker, acker: Acker, links: BoardLinks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_agent.simulator.board.RESEND_AFTER", 300)
    acker.deaf = True
    fleet = Fleet(links, SITE, devices=1, rate=20, seed=3, rates=Rates.none(), duration=1.0)
    fleet.start()
    assert fleet.wait(10)
    eventually(lambda: acker.samples)
    assert fleet.stats()["acked"] == 0
    assert not fleet.stop(timeout=0.1)
    pending = fleet.stats()["pending"]
    assert pending == fleet.stats()["sent"] == len(acker.samples)


def test_a_deaf_agent_that_hears_again_gets_everything(
    broker: Broker, acker: Acker, links: BoardLinks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_agent.simulator.board.RESEND_AFTER", 300)
    acker.deaf = True
    fleet = Fleet(links, SITE, devices=3, rate=20, seed=3, rates=Rates.none())
    fleet.start()
    eventually(lambda: fleet.stats()["resent"] > 10)
    acker.deaf = False
    assert fleet.stop()
    assert fleet.stats()["acked"] == len(acker.samples) == fleet.stats()["sent"]
    assert acker.deliveries > len(acker.samples)


def test_faults_change_what_is_said_but_lose_nothing(broker: Broker, acker: Acker, links: BoardLinks) -> None:
    rates = Rates(stuck=0.05, dropout=0.1, spike=0.05, reboot=0.02, swap=0.2, no_clock=1.0)
    measured = []
    fleet = Fleet(
        links, SITE, devices=6, rate=50, seed=4, rates=rates, on_reading=lambda *reading: measured.append(reading)
    )
    fleet.start()
    eventually(lambda: len(measured) > 600)
    assert fleet.stop()
    boots = {(device, boot) for device, boot, _, _ in measured}
    assert len(boots) > 6
    assert any(not sample.dated for sample in acker.samples.values())
    last = {device: boot for device, boot, _, _ in measured}
    lost = [(device, boot) for device, boot, seq, _ in measured if (device, boot, seq) not in acker.samples]
    assert len(lost) <= fleet.stats()["dropped"]
    assert all(last[device] != boot for device, boot in lost), "only a reboot may cost what was in memory"
    assert not acker.strangers


def test_the_broker_tells_that_a_board_has_died(broker: Broker, acker: Acker) -> None:
    run = (
        "import sys, time\n"
        "from edge_agent.adapters.board_paho import BoardLinks\n"
        "from edge_agent.simulator.fleet import Fleet\n"
        f"Fleet(BoardLinks('127.0.0.1', {broker.port}), {SITE!r}, devices=1, rate=5).start()\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", run]) as process:
        try:
            eventually(lambda: acker.presence.get("tank-1"))
        finally:
            process.kill()
    eventually(lambda: acker.presence["tank-1"] is False)


def test_one_message_is_acked_or_it_is_not(broker: Broker, acker: Acker, links: BoardLinks) -> None:
    assert send(links, SITE, "tank-9", {"level": 18.2}, t=1_763_888_000_000)
    [sample] = acker.samples.values()
    assert (sample.device, sample.values, sample.t) == ("tank-9", {"level": 18.2}, 1_763_888_000_000)
    assert "tank-9" not in acker.presence
    acker.deaf = True
    assert not send(links, SITE, "tank-9", {"level": 18.2}, timeout=0.3)


def test_boards_sign_in_over_tls_and_are_told_when_refused(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    files = [tmp_path / name for name in ("cert.pem", "key.pem", "ca.pem")]
    certificate.cert_chain_pems[0].write_to_path(files[0])
    certificate.private_key_pem.write_to_path(files[1])
    authority.cert_pem.write_to_path(files[2])
    with Broker(users={"board": "secret"}, tls=(files[0], files[1])) as broker:
        ca = str(files[2])
        for v5 in (True, False):
            good = BoardLinks("127.0.0.1", broker.port, username="board", password="secret", tls_ca=ca, v5=v5)
            fleet = Fleet(good, SITE, devices=2, rate=5)
            fleet.start()
            eventually(lambda fleet=fleet: fleet.stats()["sent"] > 5 and not fleet.problems())
            fleet.stop(drain=False)
            good.close()
        bad = BoardLinks("127.0.0.1", broker.port, username="board", password="wrong", tls_ca=ca)
        fleet = Fleet(bad, SITE, devices=1)
        fleet.start()
        assert "authori" in eventually(lambda: fleet.problems().get("tank-1", "")).lower()
        fleet.stop(drain=False)
        bad.close()


def test_two_fleets_with_the_same_seed_measure_the_same() -> None:
    def values(seed: int) -> list[list[dict[str, Any]]]:
        made = [profiles.find(name).Profile(random.Random(seed)) for name in profiles.known()]
        return [[profile.measure(1_763_888_000_000 + 1000 * step) for step in range(50)] for profile in made]

    assert values(7) == values(7)
    assert values(7) != values(8)


def test_the_demo_tank_is_soon_low_and_is_filled_again() -> None:
    for seed in range(5):
        tank = profiles.find("water-level").Profile(random.Random(seed))
        levels = [tank.measure(1_763_888_000_000 + 1000 * second)["level"] for second in range(600)]
        assert min(levels[:90]) < 20
        assert max(levels) > 80


def test_an_unknown_profile_is_refused_with_those_there_are() -> None:
    with pytest.raises(NotFound, match="water-level"):
        profiles.find("nuclear-plant")


def test_a_recorded_series_arrives_whole_with_its_own_times(
    broker: Broker, acker: Acker, links: BoardLinks, tmp_path: Path
) -> None:
    file = tmp_path / "Seattle temps.csv"
    hours = [f"2010/01/{1 + hour // 24:02}/ {hour % 24:02}:00".replace("/ ", " ") for hour in range(24 * 28)]
    file.write_text("date,temp\n" + "".join(f"{hour},{30 + number / 10}\n" for number, hour in enumerate(hours)))
    series = Replay(file, speed=0)
    fleet = Fleet(links, SITE, devices=0)
    fleet.start()
    assert series.device == "seattle-temps"
    assert fleet.replay(series.device, series)
    samples = sorted(acker.samples.values(), key=lambda sample: sample.seq)
    assert [sample.values["temp"] for sample in samples] == [30 + number / 10 for number in range(24 * 28)]
    assert [sample.t for sample in samples[:3]] == [1_262_304_000_000 + 3_600_000 * hour for hour in range(3)]
    assert fleet.stop()


def test_a_series_played_faster_and_shifted_runs_along_with_the_clock(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text("time,level,pump\n0,20,true\n60,,false\n120,18.5,\n")
    shifted = list(Replay(file, speed=60, shift=True).samples(now=5_000))
    assert shifted == [
        (0, (5_000, {"level": 20, "pump": True})),
        (1_000, (6_000, {"pump": False})),
        (2_000, (7_000, {"level": 18.5})),
    ]


def test_everything_wrong_with_a_recorded_series_is_said_at_once(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text("time,level\n0,20\nyesterday,20\n60\n120,nan\n180,\n")
    with pytest.raises(Invalid) as caught:
        Replay(file)
    assert [fault.line for fault in caught.value.faults] == [3, 4, 5, 6]
    for text in ("", "time\n1\n", "time,a,a\n1,2,3\n", "time,level\n"):
        file.write_text(text)
        with pytest.raises(Invalid):
            Replay(file)
    with pytest.raises(Invalid):
        Replay(tmp_path / "none.csv")
