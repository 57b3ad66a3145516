"""The main job on a node `site.yml` made of a bare Debian: a board publishes over TLS, the rule fires, the alert is there."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest

from tests.ansible.ground import Ground, Node
from tests.ansible.play import Run, play
from tests.ansible.root import CACHE
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]
DEVICES = "edge/v1/home/devices"
RULE = """\
apiVersion: edge.internal/v1alpha1
kind: Rule
metadata: {name: tank-low}
spec: {devices: "tank-*", reading: level, below: 20, severity: critical, message: "{device} is down to {value} %"}
"""

pytestmark = pytest.mark.timeout(500)


class Board:
    """A client of the broker over TLS, which trusts the appliance's authority and nothing else."""

    def __init__(self, gateway: Gateway, user: str, password: str) -> None:
        self.got: list[tuple[str, bytes]] = []
        self.refused: list[str] = []
        self.up = threading.Event()
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=user, protocol=mqtt.MQTTv5)
        self.client.tls_set_context(ssl.create_default_context(cadata=gateway.authority))
        if user:
            self.client.username_pw_set(user, password)
        self.client.on_connect = self._connected
        self.client.on_message = lambda _c, _u, message: self.got.append((message.topic, message.payload))
        self.client.connect(gateway.node.address, 8883)
        self.client.loop_start()

    def _connected(self, _client: object, _user: object, _flags: object, reason: object, _properties: object) -> None:
        if getattr(reason, "is_failure", False):
            self.refused.append(str(reason))
        self.up.set()

    def subscribe(self, topic: str) -> None:
        assert self.up.wait(10)
        self.client.subscribe(topic, qos=1)

    def publish(self, topic: str, payload: object) -> str:
        """The Reason Code of the PUBACK, in words."""
        assert self.up.wait(10)
        reasons: list[str] = []
        self.client.on_publish = lambda _c, _u, _mid, reason, _p: reasons.append(str(reason))
        self.client.publish(topic, json.dumps(payload), qos=1)
        eventually(lambda: bool(reasons))
        return reasons[0]

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@dataclass
class Gateway:
    node: Node
    bare_check: Run
    first: Run
    home: Path
    ground: Ground

    @property
    def authority(self) -> str:
        return self.node.read("/etc/edge-agent/ca.crt")

    def play(self, *options: str) -> Run:
        return play(self.ground, self.home, {"gateway": [self.node]}, *options, **SETTINGS)

    def board(self, name: str) -> Board:
        file = f"/root/{name}.password"
        if self.node.run("edge-broker-user", name, file):
            self.node.run("systemctl", "reload", "mosquitto")
        eventually(self.broker_listens)
        return Board(self, name, self.node.run("cat", file).strip())

    def broker_listens(self) -> bool:
        """Some moments after a boot it does not yet."""
        with contextlib.suppress(OSError), socket.create_connection((self.node.address, 8883), timeout=1):
            return True
        return False

    def readings(self, device: str) -> str:
        return self.node.run("edgectl", "readings", device, "--since", "1h", "--output", "csv", check=False)


WHEELS = CACHE / "here.wheels.tar"
SETTINGS: dict[str, object] = {"agent_wheels": str(WHEELS), "ansible_python_interpreter": "/usr/bin/python3"}


@pytest.fixture(scope="module")
def gateway(ground: Ground, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    subprocess.run([ROOT / ".ci/wheels", WHEELS, "here"], check=True)
    node = ground.node("pi1")
    node.boot()
    home = tmp_path_factory.mktemp("gateway")
    groups = {"gateway": [node]}
    bare = play(ground, home, groups, "--check", "--diff", **SETTINGS)
    first = play(ground, home, groups, "--diff", **SETTINGS)
    assert first.code == 0, first.said[-4000:]
    node.run("tee", "/var/lib/edge-agent/manifests/tank.yml", stdin=RULE)
    node.run("chown", "edge-agent:", "/var/lib/edge-agent/manifests/tank.yml")
    node.run("systemctl", "reload", "edge-agent")
    yield Gateway(node, bare, first, home, ground)
    node.kill()


def message(seq: int, level: float) -> dict[str, object]:
    return {"boot": "7f3a9c01d2e4b586", "seq": seq, "t": int(time.time() * 1000), "readings": {"level": level}}


def publish_until_safe(board: Board, device: str, seq: int, level: float) -> None:
    """As a board does: again and again, until the agent's `ack` covers it."""
    sent = message(seq, level)

    def safe() -> bool:
        board.client.publish(f"{DEVICES}/{device}/readings", json.dumps(sent), qos=1)
        time.sleep(0.3)
        acks = [json.loads(payload) for topic, payload in board.got if topic.endswith("/ack")]
        return any(ack["seq"] >= seq for ack in acks)

    eventually(safe, timeout=40)


def test_check_mode_on_a_bare_node_changes_nothing_and_does_not_fail(gateway):
    assert gateway.bare_check.code == 0, gateway.bare_check.said[-1500:]
    assert gateway.bare_check.changed > 5


def test_the_second_run_changes_nothing(gateway):
    again = gateway.play()
    assert again.code == 0, again.said[-3000:]
    assert again.changed == 0, again.said
    assert gateway.play("--check").changed == 0


def test_the_first_run_ends_with_a_sign_in_link(gateway):
    assert re.search(r"https://\S+:8443/\S*#\S+", gateway.first.said), gateway.first.said[-600:]
    assert "Sign in within ten minutes" in gateway.first.said


def test_a_reading_over_tls_below_the_rule_is_an_alert_on_mqtt(gateway):
    board = gateway.board("tank-1")
    board.subscribe(f"{DEVICES}/tank-1/ack")
    publish_until_safe(board, "tank-1", 1, 12.5)
    password = gateway.node.run("cat", "/etc/edge-agent/broker-password").strip()
    observer = Board(gateway, "edge-agent", password)
    observer.subscribe("edge/v1/home/alerts/#")
    eventually(lambda: any(topic.endswith("alerts/tank-low/tank-1") for topic, _ in observer.got))
    alert = json.loads(observer.got[0][1])
    assert (alert["state"], alert["value"]) == ("firing", 12.5)
    observer.close()
    board.close()


def test_nobody_comes_without_a_password_and_no_board_speaks_for_another(gateway):
    stranger = Board(gateway, "", "")
    eventually(lambda: bool(stranger.refused))
    stranger.close()
    board = gateway.board("tank-2")
    assert board.publish(f"{DEVICES}/tank-2/readings", message(1, 50)) == "Success"
    assert board.publish(f"{DEVICES}/tank-1/readings", message(9, 50)) == "Not authorized"
    board.close()


def test_what_a_board_was_told_is_safe_outlives_a_killed_agent_and_a_power_cut(gateway):
    board = gateway.board("tank-3")
    board.subscribe(f"{DEVICES}/tank-3/ack")
    publish_until_safe(board, "tank-3", 1, 71)
    gateway.node.run("systemctl", "kill", "--signal=KILL", "edge-agent")
    publish_until_safe(board, "tank-3", 2, 72)
    board.close()
    gateway.node.kill()
    gateway.ground.cut_outside()
    try:
        gateway.node.boot()
        again = gateway.board("tank-3")
        again.subscribe(f"{DEVICES}/tank-3/ack")
        publish_until_safe(again, "tank-3", 3, 73)
        again.close()
        eventually(lambda: all(f"{value}" in gateway.readings("tank-3") for value in (71, 72, 73)), timeout=20)
    finally:
        gateway.ground.restore_outside()


def test_a_database_the_broker_cannot_read_is_set_aside_and_it_starts(gateway):
    node = gateway.node
    node.run("systemctl", "stop", "mosquitto")
    node.run("sh", "-c", "echo this is no database >/var/lib/mosquitto/mosquitto.db")
    node.run("systemctl", "start", "mosquitto")
    assert node.run("systemctl", "is-active", "mosquitto").strip() == "active"
    assert "mosquitto.db.corrupt-" in node.run("ls", "/var/lib/mosquitto")


def test_the_service_is_hardened(gateway):
    said = gateway.node.run("systemd-analyze", "security", "--no-pager", "edge-agent.service")
    level = re.search(r"Overall exposure level for edge-agent.service: ([0-9.]+)", said)
    assert level is not None, said
    assert float(level[1]) <= 3.0, said


def test_faulty_settings_do_not_replace_the_ones_that_hold(gateway):
    before = gateway.node.read("/etc/edge-agent/edge.toml")
    run = gateway.play("--extra-vars", "edge_site=Not-A-Name")
    assert run.code != 0
    assert "failed to validate" in run.said, run.said[-1500:]
    assert gateway.node.read("/etc/edge-agent/edge.toml") == before
    assert gateway.play().code == 0


def test_secrets_are_in_no_output_no_process_list_and_no_file_others_may_read(gateway):
    node = gateway.node
    passwords = ["/etc/edge-agent/broker-password", "/var/lib/edge-agent/secrets/mqtt", "/root/tank-1.password"]
    secrets = [node.run("cat", file).strip() for file in passwords]
    keys = ["/etc/edge-ca/ca.key", "/etc/edge-agent/page.key", "/etc/mosquitto/edge/broker.key"]
    secrets += [node.run("cat", file).splitlines()[1] for file in keys]
    assert all(secrets)
    said = gateway.first.said + gateway.bare_check.said + node.run("ps", "-eo", "args") + node.run("journalctl")
    patterns = "".join(f"{secret}\n" for secret in secrets)
    find = ["find", "/etc", "/opt", "/var", "/usr/local", "/root", "-xdev", "-type", "f", "-perm", "/o=r"]
    node.run("tee", "/run/patterns", stdin=patterns)
    found = node.run(*find, "-exec", "grep", "-lF", "-f", "/run/patterns", "{}", "+", check=False)
    assert [secret for secret in secrets if secret in said] == []
    assert found == ""
