"""The publisher endpoint: readings over HTTP, for what cannot speak MQTT.

In: the same body as on the MQTT topic. Out: 202, and only when the journal has it on disk (INTERFACE: HTTP).
"""

from __future__ import annotations

from flask import Blueprint, request

from edge_agent.domain.message import MAX_PAYLOAD
from edge_agent.web import parameters
from edge_agent.web.desk import appliance
from edge_agent.web.operation import Operation, route
from edge_agent.web.schemas import TEXT, listed, ref

blueprint = Blueprint("ingest", __name__)
LONGEST_KEY = 200
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "schema": {**TEXT, "maxLength": LONGEST_KEY},
    "description": "the same key twice stores once",
}


@route(
    blueprint,
    "POST /api/v1/devices/<device>/readings",
    Operation(
        "Publish readings; 202 means they are on disk",
        scope="ingest",
        headers=(_KEY,),
        body={"application/json": {"oneOf": [ref("Readings"), listed(ref("Readings"))]}},
        answers={202: ref("Stored")},
        errors=(400, 413, 415, 503),
    ),
)
def publish(device: str) -> tuple[dict[str, object], int]:
    parameters.expect_json()
    name = parameters.new_name(device, "device")
    key = request.headers.get("Idempotency-Key", "")
    if len(key) > LONGEST_KEY or not key.isprintable() or not key.isascii():
        raise parameters.fault("Idempotency-Key", f"must be at most {LONGEST_KEY} printable characters", file="header")
    return appliance().ingest(name, parameters.body_bytes(MAX_PAYLOAD), idempotency_key=key), 202
