"""Papers for boards, made by `edgectl` against a real agent and a real Mosquitto that asks for passwords."""

from __future__ import annotations

import json
from pathlib import Path

from tests.flashing.client import client
from tests.flashing.conftest import Shelf
from tests.flashing.papers import edgectl, provisioned
from tests.waiting import eventually

BASE = "edge/v1/home/devices/"


def test_a_board_reads_and_writes_its_own_topics_and_nothing_else(shelf: Shelf) -> None:
    tank = provisioned(shelf, "tank-1")
    provisioned(shelf, "door-1")
    login = (tank["user"], tank["password"])
    others = ("edge/v1/home/alerts/#", BASE + "door-1/#", "#")
    mine = (BASE + "tank-1/ack", BASE + "tank-1/cmd/+", "edge/v1/home/appliance/status")
    port = shelf.broker.port
    with (
        client(port, "watch", shelf.agent_login, BASE + "#") as agent,
        client(port, "tank-1", login, *mine, *others) as board,
    ):
        for device in ("tank-1", "door-1"):
            for kind in ("readings", "readings/batch", "status", "about", "state/pump", "ack", "cmd/pump"):
                board.publish(f"{BASE}{device}/{kind}", b"from the board", 1).wait_for_publish(10)
        for topic in (BASE + "tank-1/ack", BASE + "tank-1/cmd/pump", BASE + "door-1/cmd/pump"):
            agent.publish(topic, b"from the agent", 1).wait_for_publish(10)
        agent.publish("edge/v1/home/alerts/r/tank-1", b"from the agent", 1).wait_for_publish(10)
        eventually(lambda: len(board.seen) >= 3)
        written = {topic.removeprefix(BASE) for topic, said in agent.seen if said == b"from the board"}
        heard = {topic for topic, said in board.seen if said == b"from the agent"}
        alive = {topic for topic, _ in board.seen if topic.startswith("edge/v1/home/appliance")}
    assert written == {"tank-1/" + kind for kind in ("readings", "readings/batch", "status", "about", "state/pump")}
    assert heard == {BASE + "tank-1/ack", BASE + "tank-1/cmd/pump"}
    assert alive, "the appliance's heartbeat, so that a board can tell that it is dead"


def test_a_successor_has_name_and_history_and_the_dead_board_is_thrown_out(shelf: Shelf) -> None:
    sensors = shelf.agent.folder / "sensors.json"
    sensors.write_text('{"sensors": {"level": {"kind": "hcsr04", "trigger": 5, "echo": 18}}}')
    first = provisioned(shelf, "tank-1", "--config", str(sensors))
    port = shelf.broker.port
    with client(port, "tank-1", ("tank-1", first["password"])) as old:
        old.publish(BASE + "tank-1/readings", b'{"boot":"a1","seq":1,"readings":{"level":17.5}}', 1)
        eventually(lambda: shelf.agent.get("/devices")["items"])
        looked = edgectl(shelf, "replace", "tank-1", "--dry-run")
        assert "would get a broker user" in looked.stdout
        assert not old.gone
        assert edgectl(shelf, "replace", "tank-1").returncode == 2, "nobody is there to say yes"
        done = edgectl(shelf, "replace", "tank-1", "--yes")
        assert done.returncode == 0, done.stderr
        assert "is alive" in done.stderr
        eventually(lambda: old.gone)
    with client(port, "tank-1", ("tank-1", first["password"])) as old:
        assert old.code.is_failure
    second = json.loads((shelf.agent.data / "boards" / "tank-1.json").read_text())
    same = ("sensors", "networks", "site", "device")
    assert {name: second[name] for name in same} == {name: first[name] for name in same}
    with client(port, "tank-1", ("tank-1", second["password"])) as new:
        new.publish(BASE + "tank-1/readings", b'{"boot":"b2","seq":1,"readings":{"level":18.5}}', 1)

        def levels() -> list[float]:
            items = shelf.agent.get("/devices/tank-1/readings", reading="level", since="1h")["items"]
            return [point["value"] for point in items]

        eventually(lambda: levels() == [17.5, 18.5])


def test_a_password_is_kept_as_a_hash_and_the_output_is_as_private_as_the_original(shelf: Shelf) -> None:
    to = shelf.agent.folder / "out" / "board.json"
    tank = provisioned(shelf, "tank-1", "--output", str(to))
    door = provisioned(shelf, "door-1")
    assert tank["password"] != door["password"]
    assert tank["networks"] == [{"ssid": "home", "password": "wifi secret"}]
    assert json.loads(to.read_text()) == tank
    assert to.stat().st_mode & 0o777 == 0o600
    hashes = (shelf.broker.folder / "passwd").read_text()
    assert tank["password"] not in hashes
    assert "tank-1:$" in hashes


def test_what_cannot_be_done_is_said_with_what_to_do(shelf: Shelf, tmp_path: Path) -> None:
    provisioned(shelf, "tank-1")
    again = edgectl(shelf, "provision", "tank-1")
    assert again.returncode == 1
    assert "edgectl devices replace tank-1" in again.stderr
    assert "user of the appliance itself" in edgectl(shelf, "provision", "boards").stderr
    assert "edgectl devices provision" not in edgectl(shelf, "replace", "nobody").stderr
    assert edgectl(shelf, "replace", "nobody").returncode == 1
    wrong = tmp_path / "wrong.json"
    wrong.write_text('{"sensor": {}, "every": 0}')
    refused = edgectl(shelf, "provision", "door-1", "--config", str(wrong))
    assert refused.returncode == 2
    assert f"{wrong}: sensor: is no setting" in refused.stderr
    assert "every: is a number from" in refused.stderr
    elsewhere = edgectl(shelf, "provision", "door-1", "--broker-users", str(tmp_path / "nowhere"))
    assert "edgectl run --lan" in elsewhere.stderr
    assert not (shelf.agent.data / "boards" / "door-1.json").exists()
