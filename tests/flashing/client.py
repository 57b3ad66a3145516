"""An MQTT client with a user, whose `code` is the answer to its CONNECT and whose `seen` is all it was sent."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from tests.waiting import eventually


@contextlib.contextmanager
def client(port: int, name: str, login: tuple[str, str], *filters: str) -> Iterator[Any]:
    made: Any = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=name, reconnect_on_failure=False)
    made.seen, made.code, made.gone = [], None, False
    made.on_message = lambda _c, _u, message: made.seen.append((message.topic, message.payload))
    made.on_connect = lambda _c, _u, _f, code, _p: setattr(made, "code", code)
    made.on_disconnect = lambda *_: setattr(made, "gone", True)
    made.username_pw_set(*login)
    made.connect("127.0.0.1", port)
    made.loop_start()
    try:
        eventually(lambda: made.code is not None)
        if filters and not made.code.is_failure:
            made.granted = None
            made.on_subscribe = lambda _c, _u, _m, codes, _p: setattr(made, "granted", codes)
            made.subscribe([(filter_, 1) for filter_ in filters])
            eventually(lambda: made.granted is not None)
        yield made
    finally:
        made.disconnect()
        made.loop_stop()
