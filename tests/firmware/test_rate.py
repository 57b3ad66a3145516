"""Publications a second to their PUBACK on loopback, beside umqtt.simple in the same process: at least three times as many."""

from __future__ import annotations

from tests.broker import Broker
from tests.firmware.rival import umqtt_simple
from tests.firmware.unixboard import run

TWO = """
import sys, time
sys.path.append(%r)
PORT = %d
TOPIC = "edge/v1/home/devices/tank-1/readings"
READING = b'{"boot":"7f3a9c01d2e4b586","seq":42,"t":1763888888123,"readings":{"level":18.2}}'
from simple import MQTTClient
theirs = MQTTClient("theirs", "127.0.0.1", PORT)
theirs.connect()
def them(n):
    for _ in range(n):
        theirs.publish(TOPIC, READING, qos=1)
from edge.link import Link
ours = Link("ours")
ours.open("127.0.0.1", PORT)
assert ours.window == 8
def us(n):
    while n or ours.flight:
        while n and ours.room() > 0:
            ours.publish(TOPIC, READING)
            n -= 1
        ours.poll(100)
for who, n in ((them, 50), (us, 2000), (them, 50), (us, 2000)):
    began = time.ticks_us()
    who(n)
    print(n * 1_000_000 // time.ticks_diff(time.ticks_us(), began))
"""


def test_three_times_the_publications_of_umqtt_simple(broker: Broker) -> None:
    lines = run(TWO % (str(umqtt_simple()), broker.port), heap="64K").split()
    them, us = sorted(map(int, lines[0::2])), sorted(map(int, lines[1::2]))
    print(f"publications a second to PUBACK, window 8: {us}; umqtt.simple: {them}")
    assert us[0] >= 3 * them[-1]
