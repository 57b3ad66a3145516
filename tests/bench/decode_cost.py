"""What decoding costs, in microseconds of CPU per message, by kind of message.

`alternatives` are the same job done otherwise, for the record of why it is done as it is: orjson-like untyped decoding with
checks in Python, and the strict reader that alone would find duplicate keys.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import msgspec

from edge_agent.decode import Decode, strict_json
from edge_agent.decode.native_check import checked
from edge_agent.domain.message import Message

NOW = 1_763_888_889_000
BASE = "edge/v1/home/devices/tank-"


def _payload(seq: int, more: str = "") -> bytes:
    return (
        f'{{"boot":"7f3a9c01d2e4b586","seq":{seq},"t":{NOW + seq}{more},"readings":{{"level":{seq % 97 + 0.5},"door":true}}}}'
    ).encode()


def _messages(kind: str) -> list[Message]:
    devices = [f"{BASE}{number}/readings" for number in range(1000)]
    match kind:
        case "native":
            return [Message(devices[seq % 1000], _payload(seq), NOW) for seq in range(1, 20_001)]
        case "native, after an overflow":
            return [Message(devices[seq % 1000], _payload(seq, ',"oldest":1'), NOW) for seq in range(1, 20_001)]
        case "native, unknown field":
            return [Message(devices[seq % 1000], _payload(seq, ',"rssi":-60'), NOW) for seq in range(1, 5_001)]
        case "batch of 100, per reading":
            batches = [
                b"[" + b",".join(_payload(start + i) for i in range(100)) + b"]" for start in range(1, 10_001, 100)
            ]
            return [Message(devices[0] + "/batch", batch, NOW) for batch in batches]
        case "tasmota":
            energy = {
                "Time": "2023-04-04T17:01:33",
                "ENERGY": {"Total": 1.5, "Power": 32, "Voltage": 238, "Current": 0.1},
            }
            return [Message(f"tele/plug-{n % 100}/SENSOR", json.dumps(energy).encode(), NOW) for n in range(2_000)]
        case "esphome":
            return [Message(f"room-{n % 100}/sensor/temperature/state", b"21.4", NOW) for n in range(5_000)]
        case "zigbee2mqtt":
            state = b'{"temperature":27.34,"humidity":44.72,"battery":97,"linkquality":120}'
            return [Message(f"zigbee2mqtt/sensor-{n % 100}", state, NOW) for n in range(5_000)]
        case _:
            return [Message(devices[0], b'{"boot":"b1","seq":1,"readings":{"level":NaN}}', NOW)] * 2_000


def _cost(do: Callable[[Message], object], messages: list[Message], per: int = 1) -> float:
    """Microseconds of CPU per message, the best of five rounds."""
    best = float("inf")
    for _ in range(5):
        start = time.process_time_ns()
        for message in messages:
            do(message)
        best = min(best, (time.process_time_ns() - start) / 1000 / len(messages) / per)
    return round(best, 2)


def run() -> dict[str, dict[str, float]]:
    """`{"us_per_message": {kind: microseconds}, "alternatives": {how: microseconds}}`."""
    decode = Decode("home", boot="bench")
    kinds = (
        "native",
        "native, after an overflow",
        "native, unknown field",
        "tasmota",
        "esphome",
        "zigbee2mqtt",
        "poison",
    )
    costs = {kind: _cost(decode, _messages(kind)) for kind in kinds}
    costs["batch of 100, per reading"] = _cost(decode, _messages("batch of 100, per reading"), per=100)
    untyped = msgspec.json.Decoder().decode
    native = _messages("native")
    alternatives = {
        "typed, as it is": costs["native"],
        "untyped, checked in Python": _cost(lambda message: checked(untyped(message.payload)), native),
        "strict reader for every message": _cost(lambda message: checked(strict_json.loads(message.payload)), native),
    }
    return {"us_per_message": costs, "alternatives": alternatives}


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
