"""The agent one writes first: paho's callback, one SQLite commit for each message, then its acknowledgement.

    python -m tests.bench.naive DATA_FOLDER MQTT_PORT

It does as much as the figures need and no more: JSON, a table with a unique index that absorbs repeats, WAL with synchronous
FULL so that an acknowledged message survives a power cut. No rules. Answers the questions of `agent.py`.
"""

from __future__ import annotations

import json
import resource
import sqlite3
import sys
import threading
import time
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

TABLE = "CREATE TABLE reading (device TEXT, boot TEXT, seq INTEGER, t INTEGER, vals TEXT, UNIQUE (device, boot, seq))"


class Naive:
    def __init__(self, folder: Path, port: int) -> None:
        self._port = port
        self._db = sqlite3.connect(folder / "naive.db", check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute(TABLE)
        self._subscribed = threading.Event()
        self.acknowledged = 0
        client = self._client = paho.Client(CallbackAPIVersion.VERSION2, "naive", protocol=paho.MQTTv5, manual_ack=True)
        client.on_connect = lambda client, *_: client.subscribe("edge/v1/bench/devices/+/readings", 1)
        client.on_subscribe = lambda *_: self._subscribed.set()
        client.on_message = self._message

    def _message(self, client: paho.Client, _: Any, message: paho.MQTTMessage) -> None:
        told = json.loads(message.payload)
        row = (message.topic.split("/")[4], told["boot"], told["seq"], told["t"], json.dumps(told["readings"]))
        self._db.execute("INSERT OR IGNORE INTO reading VALUES (?,?,?,?,?)", row)
        self._db.commit()
        client.ack(message.mid, message.qos)
        self.acknowledged += 1

    def begin(self) -> dict[str, Any]:
        properties: Any = Properties(PacketTypes.CONNECT)
        properties.ReceiveMaximum = 5000
        self._client.connect("127.0.0.1", self._port, properties=properties)
        self._client.loop_start()
        self._subscribed.wait(10)
        return {"connected": time.time()}

    def count(self, messages: str, seconds: str, look_every: str = "0.01") -> dict[str, Any]:
        end = time.time() + float(seconds)
        while self.acknowledged < int(messages) and time.time() < end:
            time.sleep(float(look_every))
        return {"at": time.time(), **self.stats()}

    def stats(self) -> dict[str, Any]:
        used = resource.getrusage(resource.RUSAGE_SELF)
        return {"acknowledged": self.acknowledged, "cpu": used.ru_utime + used.ru_stime}

    def audit(self) -> dict[str, Any]:
        with sqlite3.connect(f"file:{self._path()}?mode=ro", uri=True) as db:
            total = db.execute("SELECT count(*) FROM reading").fetchone()[0]
        return {"stored": total, "distinct": total}

    def settle(self) -> dict[str, Any]:
        """Write what is only in the log into the file now."""
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return self.stats()

    def _path(self) -> str:
        return str(self._db.execute("PRAGMA database_list").fetchone()[2])

    def stop(self) -> dict[str, Any]:
        self._client.disconnect()
        self._client.loop_stop()
        self._db.close()
        return {"stopped": True}


def main() -> None:
    naive = Naive(Path(sys.argv[1]), int(sys.argv[2]))
    for line in sys.stdin:
        name, *arguments = line.split()
        print(json.dumps(getattr(naive, name)(*arguments)), flush=True)
        if name == "stop":
            break


if __name__ == "__main__":
    main()
