"""A house with a real Mosquitto, the agent in a process of its own, and functions that write down what they get."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from cloudevents.core.bindings.http import HTTPMessage, from_structured_event
from paho.mqtt.enums import CallbackAPIVersion

from tests.agent import Agent
from tests.broker import Broker
from tests.clock import now_ms

READINGS = "edge/v1/home/devices/tank-1/readings"
WORKER = r"""
    cd "$TMPDIR" || exit 1
    B=http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation
    while /bin/busybox wget -q -S -O event $B/next 2>head; do
        ID=$(/bin/busybox sed -n 's/\r//; s/.*Lambda-Runtime-Aws-Request-Id: *//p' head)
        while [ -e "$DIARY/hold" ]; do /bin/busybox sleep 0.05; done
        echo "$(/bin/busybox cat event)" >>"$DIARY/$AWS_LAMBDA_FUNCTION_NAME"  # one write: it may be killed at any time
        [ -z "$SAY" ] || mosquitto_pub -p "$PORT" -t "$SAY" -m 1
        ANSWER='{"by":"'$AWS_LAMBDA_FUNCTION_NAME'"}'
        /bin/busybox wget -q -O /dev/null --post-data "$ANSWER" $B/$ID/response
    done
"""


def function(folder: Path, name: str, triggers: str = "", env: str = "", **spec: str) -> str:
    """A function that writes each event it gets into a file of its name, and answers who it is."""
    (folder / "code").mkdir(exist_ok=True)
    (folder / "code" / "main.sh").write_text(WORKER)
    more = "".join(f"\n  {key}: {value}" for key, value in spec.items())
    return (
        "---\napiVersion: edge.internal/v1alpha1\nkind: Function\n"
        f"metadata: {{name: {name}}}\nspec:\n  source: {folder / 'code'}\n  command: [/bin/busybox, sh, main.sh]\n"
        f"  isolation: shared\n  pool: {{maxWorkers: 1}}\n  env: {{DIARY: {folder}{env}}}\n  triggers: [{triggers}]{more}\n"
    )


def diary(folder: Path, name: str) -> list[dict[str, Any]]:
    """The events a function got, each of them a CloudEvent by the official SDK's judgement."""
    file = folder / name
    lines = file.read_bytes().splitlines() if file.exists() else []
    for line in lines:
        from_structured_event(HTTPMessage({"content-type": "application/cloudevents+json"}, line))
    return [json.loads(line) for line in lines]


class Board:
    """Publishes, with QoS 1."""

    def __init__(self, port: int) -> None:
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        self._client.reconnect_delay_set(1, 1)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def say(self, topic: str, payload: bytes | str, *, retain: bool = False) -> None:
        self._client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(20)

    def reading(self, seq: int, level: float) -> None:
        self.say(READINGS, json.dumps({"boot": "b1", "seq": seq, "t": now_ms(), "readings": {"level": level}}))

    def connected(self) -> bool:
        return self._client.is_connected()

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@contextmanager
def house(folder: Path, manifests: str, **settings: Any) -> Iterator[tuple[Agent, Board, Broker]]:
    """All of it for one test, which may kill any part."""
    with Broker(persistence=True) as broker:
        board = Board(broker.port)
        try:
            with Agent(folder / "agent", broker.port, manifests=manifests, settings=settings) as agent:
                yield agent, board, broker
        finally:
            board.close()


def metric(agent: Agent, name: str) -> dict[str, float]:
    """{name with labels: value} of everything on the metrics page that begins so."""
    lines = agent.http("GET", "/metrics").text.splitlines()
    return {line.split()[0]: float(line.split()[1]) for line in lines if line.startswith(name)}
