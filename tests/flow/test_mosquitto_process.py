from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from paho.mqtt import client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edge_agent.adapters.mosquitto_process import BOARDS, FUNCTIONS, Mosquitto, free_port, make_users
from edge_agent.errors import Unavailable
from tests.waiting import eventually


@contextlib.contextmanager
def broker(folder: Path, port: int = 0, **options: object) -> Iterator[Mosquitto]:
    found = Mosquitto(folder, port or free_port(0, "127.0.0.1"), **options)  # type: ignore[arg-type]
    try:
        found.start()
        yield found
    finally:
        found.stop()


def connect(port: int, name: str, *, user: tuple[str, str] | None = None, clean: bool = True) -> mqtt.Client:
    """A connected client whose `seen` has every (topic, payload), and `code` the CONNACK's reason."""
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=name, protocol=mqtt.MQTTv5)
    client.seen = []  # type: ignore[attr-defined]
    client.code = None  # type: ignore[attr-defined]
    client.on_message = lambda _c, _u, message: client.seen.append((message.topic, message.payload))  # type: ignore[attr-defined]
    client.on_connect = lambda _c, _u, _f, code, _p: setattr(client, "code", code)
    if user:
        client.username_pw_set(*user)
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = 0 if clean else 3600
    client.connect("127.0.0.1", port, clean_start=clean, properties=properties)
    client.loop_start()
    eventually(lambda: client.code is not None)  # type: ignore[attr-defined]
    return client


def leave(client: mqtt.Client) -> None:
    client.disconnect()
    client.loop_stop()


def test_it_serves_loopback_only_and_is_gone_after_stop(tmp_path: Path) -> None:
    with broker(tmp_path / "b") as mosquitto:
        client = connect(mosquitto.port, "one")
        client.subscribe("a", 1)
        client.publish("a", b"x", 1).wait_for_publish(10)
        eventually(lambda: client.seen == [("a", b"x")])  # type: ignore[attr-defined]
        leave(client)
        configuration = (tmp_path / "b" / "mosquitto.conf").read_text()
        assert f"listener {mosquitto.port} 127.0.0.1\n" in configuration
        assert (tmp_path / "b" / "mosquitto.conf").stat().st_mode & 0o777 == 0o600
        pid = mosquitto.pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_it_is_started_again_on_the_same_port_when_it_dies_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with broker(tmp_path) as mosquitto, caplog.at_level(logging.WARNING):
        first = mosquitto.pid
        os.kill(first, signal.SIGKILL)
        eventually(lambda: mosquitto.pid not in (0, first) and mosquitto.restarts == 1)
        eventually(lambda: "runs again on port" in caplog.text)
        leave(connect(mosquitto.port, "again"))
    assert "Mosquitto ended (killed by SIGKILL); starting it again" in caplog.text


def test_messages_for_an_absent_session_survive_a_clean_restart(tmp_path: Path) -> None:
    port = free_port(0, "127.0.0.1")
    with broker(tmp_path, port):
        agent = connect(port, "agent", clean=False)
        agent.subscribe("t", 1)
        eventually(agent.is_connected)
        leave(agent)
        board = connect(port, "board")
        for number in range(1500):  # more than Mosquitto's own limit of 1,000
            board.publish("t", str(number), 1)
        board.publish("other", b"", 1).wait_for_publish(20)
        leave(board)
    with broker(tmp_path, port):
        agent = connect(port, "agent", clean=False)
        eventually(lambda: len(agent.seen) == 1500)  # type: ignore[attr-defined]
        leave(agent)


def test_what_waits_for_an_absent_session_is_bounded_by_bytes(tmp_path: Path) -> None:
    with broker(tmp_path, queued_bytes=100_000) as mosquitto:
        agent = connect(mosquitto.port, "agent", clean=False)
        agent.subscribe("t", 1)
        leave(agent)
        board = connect(mosquitto.port, "board")
        for _ in range(300):
            board.publish("t", b"x" * 1000, 1)
        board.publish("other", b"", 1).wait_for_publish(20)
        leave(board)
        agent = connect(mosquitto.port, "agent", clean=False)
        agent.subscribe("end", 1)
        agent.publish("end", b"end", 1)
        eventually(lambda: ("end", b"end") in agent.seen)  # type: ignore[attr-defined]
        kept = sum(topic == "t" for topic, _ in agent.seen)  # type: ignore[attr-defined]
        leave(agent)
    assert 50 <= kept <= 150


def test_a_corrupt_database_is_set_aside_and_it_runs(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "mosquitto.db").write_bytes(b"\x00\xb5\x00mosquitto db" + b"\xff" * 4096)
    with broker(tmp_path) as mosquitto:
        leave(connect(mosquitto.port, "one"))
    assert list(tmp_path.glob("mosquitto.db.corrupt-*"))
    assert "database is corrupt; it is kept as" in caplog.text


def test_a_port_that_is_taken_is_told_and_the_next_free_one_is_found(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert free_port(port, "127.0.0.1") > port
        mosquitto = Mosquitto(tmp_path, port)
        with pytest.raises(Unavailable, match=r"Mosquitto does not start: .*Address already in use"):
            mosquitto.start()
        mosquitto.stop()


def test_on_a_network_it_asks_for_a_password_and_a_board_may_not_write_what_the_agent_says(tmp_path: Path) -> None:
    users = make_users(tmp_path, "home", ["edge/v1/home/devices/+/readings", "tele/+/SENSOR"])
    assert users.boards_password
    assert make_users(tmp_path, "home", []).boards_password is None, "told once"
    users_again = make_users(tmp_path, "home", ["edge/v1/home/devices/+/readings", "tele/+/SENSOR"])
    assert users_again.agent_password == users.agent_password
    assert users.boards_password not in "".join(file.read_text() for file in tmp_path.iterdir())
    assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o600}
    with broker(tmp_path, lan=True) as mosquitto:
        assert connect(mosquitto.port, "nobody").code.is_failure  # type: ignore[attr-defined]
        assert connect(mosquitto.port, "wrong", user=(BOARDS, "wrong")).code.is_failure  # type: ignore[attr-defined]
        agent = connect(mosquitto.port, "agent", user=("edge-agent", users.agent_password))
        agent.subscribe("#", 1)
        board = connect(mosquitto.port, "board", user=(BOARDS, users.boards_password))
        for topic in ("edge/v1/home/devices/a/ack", "edge/v1/home/alerts/r/a", "edge/v1/home/devices/a/readings"):
            board.publish(topic, b"1", 1)
        board.publish("tele/plug/SENSOR", b"1", 1)
        eventually(lambda: len(agent.seen) == 2)  # type: ignore[attr-defined]
        agent.publish("edge/v1/home/devices/a/ack", b"2", 1)
        eventually(lambda: len(agent.seen) == 3)  # type: ignore[attr-defined]
        topics = [topic for topic, _ in agent.seen]  # type: ignore[attr-defined]
        leave(agent)
        leave(board)
    assert topics == ["edge/v1/home/devices/a/readings", "tele/plug/SENSOR", "edge/v1/home/devices/a/ack"]


def test_on_a_network_a_function_may_move_things_and_not_speak_as_the_agent(tmp_path: Path) -> None:
    users = make_users(tmp_path, "home", [])
    assert make_users(tmp_path, "home", []).functions_password == users.functions_password
    with broker(tmp_path, lan=True) as mosquitto:
        agent = connect(mosquitto.port, "agent", user=("edge-agent", users.agent_password))
        agent.subscribe("#", 1)
        function = connect(mosquitto.port, "function", user=(FUNCTIONS, users.functions_password))
        function.subscribe("edge/v1/home/devices/+/state/+", 1)
        for topic in ("edge/v1/home/alerts/r/a", "edge/v1/home/devices/a/ack", "edge/v1/home/devices/a/cmd/pump"):
            function.publish(topic, b"1", 1)
        eventually(lambda: agent.seen)  # type: ignore[attr-defined]
        agent.publish("edge/v1/home/devices/a/state/pump", b"on", 1)
        eventually(lambda: function.seen)  # type: ignore[attr-defined]
        topics = [topic for topic, _ in agent.seen]  # type: ignore[attr-defined]
        leave(agent)
        leave(function)
    assert topics[0] == "edge/v1/home/devices/a/cmd/pump"
    assert function.seen == [("edge/v1/home/devices/a/state/pump", b"on")]  # type: ignore[attr-defined]


def test_it_ends_with_an_agent_that_was_killed(tmp_path: Path) -> None:
    script = (
        "import sys, time, pathlib\n"
        "from edge_agent.adapters.mosquitto_process import Mosquitto, free_port\n"
        "m = Mosquitto(pathlib.Path(sys.argv[1]), free_port(0, '127.0.0.1')); m.start()\n"
        "print(m.pid, m.port, flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True) as agent:
        assert agent.stdout
        pid, port = map(int, agent.stdout.readline().split())
        leave(
            connect(port, "observer")
        )  # it serves: a SIGTERM right after the word that it runs is lost on Mosquitto 2.0
        agent.kill()
    eventually(lambda: not Path(f"/proc/{pid}").exists() or "State:\tZ" in Path(f"/proc/{pid}/status").read_text())
