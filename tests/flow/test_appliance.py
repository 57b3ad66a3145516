"""The main job, end to end: a real Mosquitto, the agent in a process of its own, boards, functions, alerts on the LAN."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from edge_agent.domain.topics import Topics
from tests.agent import Agent
from tests.broker import Broker
from tests.clock import now_ms
from tests.waiting import eventually

RULES = """
    apiVersion: edge.internal/v1alpha1
    kind: Rule
    metadata: {name: tank-low}
    spec: {devices: "tank-*", reading: level, below: 20, clearAbove: 25, severity: critical,
           message: "{device} is down to {value} %", run: [hello], runOn: [firing, resolved]}
    ---
    apiVersion: edge.internal/v1alpha1
    kind: Function
    metadata: {name: hello}
    spec:
      source: FOLDER
      command: [/bin/busybox, sh, main.sh]
      isolation: pod
      timeout: 10s
      pool: {minIdle: 1, maxWorkers: 2}
"""
SHELL = """
    cd "$TMPDIR" || exit 1  # the working folder is the function's own: other workers are in it
    B=http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation
    /bin/busybox wget -q -S -O event $B/next 2>head || exit 1
    ID=$(/bin/busybox sed -n 's/\\r//; s/.*Lambda-Runtime-Aws-Request-Id: *//p' head)
    echo "working on $ID"
    /bin/busybox wget -q -O /dev/null --post-file event $B/$ID/response
"""


class Lan:
    """Somebody on the LAN: keeps everything said on the site, with a session that outlives the broker's restarts."""

    def __init__(self, port: int, site: str = "home") -> None:
        self.topics = Topics(site)
        self.heard: list[tuple[str, bytes]] = []
        self.retained: dict[str, bytes] = {}
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id="observer", protocol=paho.MQTTv5)
        self._client.on_connect = lambda client, *rest: client.subscribe(f"{self.topics.base}/#", qos=1)
        self._subscribed = threading.Event()
        self._client.on_subscribe = lambda *rest: self._subscribed.set()
        self._client.on_message = self._take
        self._client.reconnect_delay_set(1, 1)
        self._client.connect("127.0.0.1", port, clean_start=True)
        self._client.loop_start()
        assert self._subscribed.wait(10)

    def _take(self, client: paho.Client, userdata: Any, message: paho.MQTTMessage) -> None:
        self.heard.append((message.topic, message.payload))

    def publish(self, device: str, seq: int, *, boot: str = "b1", **readings: Any) -> None:
        t = readings.pop("t", None)
        body = {"boot": boot, "seq": seq, "t": now_ms() if t is None else t, "readings": readings}
        self.send(self.topics.readings(device), json.dumps(body).encode())

    def send(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        self._client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(10)

    def said(self, topic: str) -> list[bytes]:
        return [payload for heard, payload in list(self.heard) if heard == topic]

    def acked(self, device: str) -> int:
        """The highest seq that was promised to boot b1."""
        acks = [json.loads(body) for body in self.said(self.topics.ack(device))]
        return max((ack["seq"] for ack in acks if ack["boot"] == "b1"), default=0)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@contextmanager
def lan(port: int) -> Iterator[Lan]:
    somebody = Lan(port)
    try:
        yield somebody
    finally:
        somebody.close()


def functions(tmp_path: Path) -> str:
    folder = tmp_path / "hello"
    folder.mkdir(exist_ok=True)
    (folder / "main.sh").write_text("\n".join(line.strip() for line in SHELL.splitlines()))
    return RULES.replace("FOLDER", str(folder))


@pytest.fixture
def broker() -> Iterator[Broker]:
    with Broker(persistence=False) as broker:
        yield broker


def test_a_function_finds_the_broker_in_its_environment_unless_its_manifest_says_otherwise(
    tmp_path: Path, broker: Broker
) -> None:
    manifests = functions(tmp_path)
    tells = """printf '{"said": "%s"}' "$MQTT_HOST $MQTT_PORT $MQTT_SITE $MQTT_USER" > event\n"""
    main = tmp_path / "hello" / "main.sh"
    main.write_text(main.read_text().replace('echo "working on $ID"\n', tells))
    settings = {"functions.mqtt_user": "functions"}
    with Agent(tmp_path, broker.port, manifests=manifests, settings=settings) as agent:
        answer = agent.post("/functions/hello/invocations", {})
        assert answer.json() == {"said": f"127.0.0.1 {broker.port} home functions"}
        agent.declare(manifests.replace("pool:", "env: {MQTT_SITE: barn}\n      pool:"))
        agent.reload()
        eventually(lambda: agent.post("/functions/hello/invocations", {}).json()["said"].split()[2] == "barn")


def test_a_reading_fires_a_rule_runs_a_function_and_the_lan_is_told_until_it_is_over(
    tmp_path: Path, broker: Broker
) -> None:
    with Agent(tmp_path, broker.port, manifests=functions(tmp_path)) as agent, lan(broker.port) as home:
        alert = home.topics.alert("tank-low", "tank-1")
        home.publish("tank-1", 1, level=40.0)
        home.publish("tank-1", 2, level=18.2)
        eventually(lambda: home.said(alert))
        told = json.loads(home.said(alert)[0])
        assert told["id"] == "tank-1/b1/2/tank-low"
        assert (told["state"], told["severity"], told["value"]) == ("firing", "critical", 18.2)
        assert told["message"] == "tank-1 is down to 18.2 %"
        eventually(lambda: home.acked("tank-1") == 2)

        def answered() -> list[dict[str, Any]]:
            items: list[dict[str, Any]] = agent.get("/invocations")["items"]
            return [item for item in items if item["state"] == "answered"]

        eventually(lambda: len(answered()) == 1)
        echoed = json.loads(agent.get("/invocations/tank-1/b1/2/tank-low")["response"])
        assert echoed["id"] == "tank-1/b1/2/tank-low"
        assert echoed["type"] == "internal.edge.rule.firing"
        assert echoed["data"]["value"] == 18.2

        home.publish("tank-1", 3, level=22.0)
        home.publish("tank-1", 4, level=26.0)
        eventually(lambda: home.said(alert)[-1] == b"")
        eventually(lambda: len(answered()) == 2)
        (kept,) = agent.get("/alerts")["items"]
        assert (kept["state"], kept["message"]) == ("resolved", "tank-1 is down to 18.2 %")
        values = agent.get("/devices/tank-1/readings", reading="level", since="1h")
        assert [row["value"] for row in values["items"]] == [40.0, 18.2, 22.0, 26.0]


def test_a_reading_acknowledged_before_the_power_went_is_still_there_afterwards(tmp_path: Path, broker: Broker) -> None:
    with Agent(tmp_path, broker.port) as agent, lan(broker.port) as home:
        home.publish("tank-1", 1, level=18.2)
        eventually(lambda: home.acked("tank-1") == 1)
        agent.kill()
        agent.start()
        values = agent.get("/devices/tank-1/readings", reading="level", since="1h")
        assert [row["value"] for row in values["items"]] == [18.2]


def test_an_alert_that_fires_survives_agent_and_broker_and_is_cleared_when_it_is_over(
    tmp_path: Path, broker: Broker
) -> None:
    with Agent(tmp_path, broker.port, manifests=functions(tmp_path)) as agent:
        with lan(broker.port) as home:
            alert = home.topics.alert("tank-low", "tank-1")
            home.publish("tank-1", 1, level=10.0)
            eventually(lambda: home.said(alert))
        agent.kill()
        broker.kill()
        broker.start()
        with lan(broker.port) as home:
            agent.start()
            eventually(lambda: home.said(alert))
            assert json.loads(home.said(alert)[0])["id"] == "tank-1/b1/1/tank-low"
            home.publish("tank-1", 2, level=15.0)
            home.publish("tank-1", 3, level=30.0)
            eventually(lambda: home.said(alert)[-1] == b"")
            assert len(agent.get("/alerts")["items"]) == 1, "the restart made no second alert of it"


def test_a_for_timer_that_runs_while_the_agent_is_dead_fires_when_it_is_back(tmp_path: Path, broker: Broker) -> None:
    rules = """
        apiVersion: edge.internal/v1alpha1
        kind: Rule
        metadata: {name: open}
        spec: {devices: "door-*", reading: open, equals: true, for: 3s}
    """
    with Agent(tmp_path, broker.port, manifests=rules) as agent, lan(broker.port) as home:
        home.publish("door-1", 1, open=True)
        eventually(lambda: home.acked("door-1") == 1)
        assert agent.get("/alerts")["items"] == []
        agent.kill()
        agent.start()
        eventually(lambda: home.said(home.topics.alert("open", "door-1")))


def test_retained_readings_are_stored_and_wake_nobody(tmp_path: Path, broker: Broker) -> None:
    with lan(broker.port) as home:
        body = json.dumps({"boot": "b1", "seq": 1, "t": now_ms(), "readings": {"level": 1.0}}).encode()
        home.send(home.topics.readings("tank-1"), body, retain=True)
        with Agent(tmp_path, broker.port, manifests=functions(tmp_path)) as agent:
            eventually(lambda: home.acked("tank-1") == 1)
            assert agent.get("/alerts")["items"] == []
            assert agent.get("/devices/tank-1")["readings"]["level"]["value"] == 1.0


def test_repeats_are_acked_again_and_stored_once(tmp_path: Path, broker: Broker) -> None:
    with Agent(tmp_path, broker.port) as agent, lan(broker.port) as home:
        for _ in range(3):
            home.publish("tank-1", 1, level=5.0, t=now_ms())
        eventually(lambda: len(home.said(home.topics.ack("tank-1"))) >= 1)
        home.publish("tank-1", 1, level=5.0)
        before = len(home.said(home.topics.ack("tank-1")))
        eventually(lambda: len(home.said(home.topics.ack("tank-1"))) > before or before >= 2)
        assert len(agent.get("/devices/tank-1/readings", reading="level", since="1h")["items"]) == 1
        assert b"edge_duplicates_total 3.0" in agent.http("GET", "/metrics").content


def test_poison_is_recorded_counted_and_never_comes_again(tmp_path: Path, broker: Broker) -> None:
    with Agent(tmp_path, broker.port) as agent, lan(broker.port) as home:
        topic = home.topics.readings("tank-1")
        for payload in (b"{", b"\xff\xfe", b'{"boot":"b1","seq":1,"t":1,"readings":{"level":NaN}}', b"[" * 5000):
            home.send(topic, payload)
        home.publish("tank-1", 2, level=5.0)
        eventually(lambda: agent.get("/status")["readings_stored"] == 1)
        rejected = agent.get("/status")["rejected"]
        assert sum(rejected.values()) == 4
        agent.kill()
        agent.start()
        home.publish("tank-1", 3, level=6.0)
        eventually(lambda: agent.get("/status")["readings_stored"] == 1)
        assert agent.get("/status")["rejected"] == {}, "what was acknowledged is not sent again"


def test_the_publisher_endpoint_answers_when_the_journal_has_it(tmp_path: Path, broker: Broker) -> None:
    with Agent(tmp_path, broker.port) as agent, lan(broker.port) as home:
        answer = agent.post("/devices/shed-1/readings", {"readings": {"temp": 21.5}})
        assert answer.status_code == 202, answer.text
        agent.kill()
        agent.start()
        assert [row["value"] for row in agent.get("/devices/shed-1/readings", reading="temp", since="1h")["items"]] == [
            21.5
        ]
        assert home.said(home.topics.readings("shed-1")), "it goes through the broker like everybody's"
        for _ in range(3):
            same = agent.post("/devices/shed-1/readings", {"readings": {"temp": 22.5}}, **{"Idempotency-Key": "k1"})
            assert same.status_code == 202
        stored = agent.get("/devices/shed-1/readings", reading="temp", since="1h")["items"]
        assert [row["value"] for row in stored] == [21.5, 22.5]
        wrong = agent.post("/devices/shed-1/readings", {"readings": {"temp": {"no": 1}}})
        assert wrong.status_code == 400, wrong.text
        broker.kill()
        eventually(lambda: agent.http("GET", "/readyz").status_code == 503)
        away = agent.post("/devices/shed-1/readings", {"readings": {"temp": 1}})
        assert away.status_code == 503
        assert int(away.headers["retry-after"]) >= 1
        broker.start()


def test_rules_change_while_readings_come_and_nothing_is_lost(tmp_path: Path, broker: Broker) -> None:
    rule = """
        apiVersion: edge.internal/v1alpha1
        kind: Rule
        metadata: {name: hot}
        spec: {devices: "*", reading: temp, above: LIMIT}
    """
    with Agent(tmp_path, broker.port, manifests=rule.replace("LIMIT", "50")) as agent, lan(broker.port) as home:
        for seq in range(1, 101):
            home.publish("room-1", seq, temp=40.0)
            if seq == 50:
                agent.declare(rule.replace("LIMIT", "30"))
                agent.reload()
                eventually(lambda: agent.get("/rules/hot")["manifest"]["spec"]["above"] == 30)
        eventually(lambda: home.acked("room-1") == 100)
        eventually(lambda: home.said(home.topics.alert("hot", "room-1")))
        assert len(agent.get("/devices/room-1/readings", reading="temp", since="1h")["items"]) == 100


def test_manifests_left_broken_do_not_keep_the_appliance_from_coming_back(tmp_path: Path, broker: Broker) -> None:
    with Agent(tmp_path, broker.port, manifests=functions(tmp_path)) as agent, lan(broker.port) as home:
        agent.kill()
        agent.declare("kind: Nonsense")
        agent.start()
        home.publish("tank-1", 1, level=1.0)
        eventually(lambda: home.said(home.topics.alert("tank-low", "tank-1")))
        (alarm,) = agent.get("/status")["alarms"]
        assert alarm["name"] == "manifests"
        assert "test.yaml:1" in alarm["summary"]


def test_one_data_folder_serves_one_agent(tmp_path: Path, broker: Broker) -> None:
    with Agent(tmp_path, broker.port):
        other = Agent(tmp_path, broker.port)
        other.start(wait=False)
        assert other._process is not None
        assert other._process.wait(20) == 1
        assert "another agent already works in" in other.log.read_text()


def test_a_command_on_the_host_is_not_taken_over_the_api(tmp_path: Path, broker: Broker) -> None:
    manifest = {
        "apiVersion": "edge.internal/v1alpha1",
        "kind": "Function",
        "metadata": {"name": "intruder"},
        "spec": {"source": str(tmp_path), "command": ["/bin/sh", "-c", "id"]},
    }
    with Agent(tmp_path, broker.port) as agent:
        answer = agent.http("PUT", "/api/v1/functions/intruder", json=manifest)
        assert answer.status_code in (403, 422, 409), answer.text
        assert "command on this host" in answer.text
        assert agent.get("/functions")["items"] == []


def test_the_heartbeat_says_online_and_the_broker_says_offline_for_an_agent_that_was_killed(
    tmp_path: Path, broker: Broker
) -> None:
    with lan(broker.port) as home, Agent(tmp_path, broker.port) as agent:
        eventually(lambda: home.said(home.topics.status))
        beat = json.loads(home.said(home.topics.status)[-1])
        assert beat["state"] == "online"
        assert abs(beat["t"] - now_ms()) < 60_000
        agent.kill()
        eventually(lambda: json.loads(home.said(home.topics.status)[-1]) == {"state": "offline"})
        agent.start()
        eventually(lambda: json.loads(home.said(home.topics.status)[-1])["state"] == "online")
        assert agent.stop() == 0
        eventually(lambda: json.loads(home.said(home.topics.status)[-1]) == {"state": "offline"})


def test_a_trace_tells_every_phase_of_a_reading_in_its_order_and_the_log_carries_its_id(
    tmp_path: Path, broker: Broker
) -> None:
    with Agent(tmp_path, broker.port, manifests=functions(tmp_path)) as agent, lan(broker.port) as home:
        home.publish("tank-1", 1, level=18.2)
        eventually(lambda: agent.get("/invocations", state="answered")["items"])
        eventually(lambda: "alert out" in [phase["phase"] for phase in agent.get("/trace/tank-1/b1/1")["phases"]])
        told = agent.get("/trace/tank-1/b1/1")
        phases = [phase["phase"] for phase in told["phases"]]
        at = [phase["at"] for phase in told["phases"]]
        assert at == sorted(at)
        order = ["received", "decoded", "on disk", "acknowledged", "dispatched", "handed over", "answered"]
        assert [phase for phase in phases if phase in order] == order
        assert {"matched", "alert out"} <= set(phases)
        shown = agent.run("trace", "tank-1/b1/1")
        assert shown.returncode == 0
        assert all(phase in shown.stdout for phase in phases)
        assert "tank-1/b1/1/tank-low" in agent.log.read_text()
        assert agent.get("/trace/tank-1/b1/1/tank-low")["alerts"][0]["rule"] == "tank-low"
        assert agent.run("trace", "tank-1/b1/99").returncode == 1
