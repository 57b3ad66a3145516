"""Networks: which Wi-Fi, how often, where the broker is, and a connection that is only half there."""

from __future__ import annotations

import json
import socket
import struct
import threading
from itertools import pairwise
from pathlib import Path

from tests.agent import Agent
from tests.broker import Broker
from tests.firmware.test_outages import counting, values
from tests.firmware.unixboard import UnixBoard, run
from tests.waiting import eventually

TEN_MINUTES = """
import json, network, os
tried, now = [], 0
class WLAN(network.WLAN):
    def connect(self, ssid, password=""):
        tried.append((now, ssid))
        super().connect(ssid, password)
network.WLAN = WLAN
from edge.net import Net
net = Net([{"ssid": "house"}, {"ssid": "barn", "password": "secret"}], "tank-1")
while now < 600_000:
    assert not net.step(now)
    now += 500
print(json.dumps(tried))
open(network.FOLDER + "/wifi-barn", "w").close()
since = now
while not net.step(now):
    now += 500
print(now - since)
for _ in range(100):
    assert net.step(now)
    now += 500
os.remove(network.FOLDER + "/wifi-barn")
open(network.FOLDER + "/wifi-house", "w").close()
since = now
while not net.step(now):
    now += 500
print(now - since)
"""


def test_each_network_has_its_turn_and_the_pause_between_rounds_doubles_up_to_two_minutes(tmp_path: Path) -> None:
    lines = run(TEN_MINUTES, folder=tmp_path).splitlines()
    tried = json.loads(lines[0])
    assert [ssid for _, ssid in tried] == ["house", "barn"] * 8
    times = [at for at, _ in tried]
    gaps = [later - at for at, later in pairwise(times)]
    assert all(20_000 <= gap <= 20_500 for gap in gaps[::2]), "time for each network"
    pauses = [gap - 20_000 for gap in gaps[1::2]]
    assert [round(pause / 2000) for pause in pauses] == [1, 2, 4, 8, 16, 32, 60], pauses
    assert int(lines[1]) <= 160_000, "found within the longest pause and a round"
    assert int(lines[2]) <= 1_000, "a network that goes is looked for at once"


def test_a_name_of_mdns_is_asked_for_and_what_others_say_is_not_taken_for_an_answer() -> None:
    asked: list[bytes] = []

    def a(name: bytes, address: str, flags: int = 0x8400) -> bytes:
        head = struct.pack("!6H", 0, flags, 0, 1, 0, 0)
        return head + name + struct.pack("!HHIH", 1, 0x8001, 120, 4) + socket.inet_aton(address)

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as responder:
        responder.bind(("127.0.0.1", 0))

        def answer() -> None:
            question, who = responder.recvfrom(512)
            asked.append(question)
            name = question[12:-4]
            responder.sendto(a(b"\x04else\x05local\x00", "10.0.0.9"), who)
            responder.sendto(a(name, "10.0.0.8", flags=0), who)  # a question of somebody else
            # A pointer back to a name earlier in the packet (RFC 1035, 4.1.4), as responders write it.
            two = struct.pack("!6H", 0, 0x8400, 0, 2, 0, 0) + name + struct.pack("!HHIH", 16, 1, 120, 2) + b"\x01x"
            responder.sendto(two + b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 120, 4) + bytes((10, 0, 0, 7)), who)

        thread = threading.Thread(target=answer)
        thread.start()
        code = "from edge.finder import find\nprint(find('edge.local', 1500, '127.0.0.1', %d))\nprint(find('10.1.1.1'))"
        said = run(code % responder.getsockname()[1])
        thread.join(5)
    assert said.split() == ["10.0.0.7", "10.1.1.1"]
    assert asked[0][12:] == b"\x04edge\x05local\x00\x00\x01\x80\x01"


def test_a_connection_that_is_half_open_is_given_up_and_all_readings_arrive_once_the_broker_lives_again(
    tmp_path: Path, broker: Broker
) -> None:
    with Agent(tmp_path / "agent", broker.port) as agent:
        with UnixBoard(tmp_path / "board", broker.port, every=0.2, keepalive=5) as board:
            eventually(lambda: counting(agent, 10), timeout=40)
            broker.freeze()
            try:
                eventually(lambda: b'"count": 55}' in (board.folder / "flash").read_bytes(), timeout=40)
            finally:
                broker.thaw()
            eventually(lambda: counting(agent, 60), timeout=40)
        got = values(agent)
        assert sorted(got) == list(range(1, len(got) + 1))
    assert "tank-1" in broker.log.split("New client connected")[-1], "it has come back"
