"""The shapes of what goes in and out, in JSON Schema 2020-12, named as OpenAPI's components. Data only.

Objects may grow members: clients must ignore what they do not know.
"""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

TEXT: Json = {"type": "string"}
NUMBER: Json = {"type": "number"}
COUNT: Json = {"type": "integer", "minimum": 0}
FLAG: Json = {"type": "boolean"}
MILLISECONDS: Json = {"type": "integer", "description": "epoch milliseconds"}
VALUE: Json = {"type": ["number", "boolean", "string"], "description": "a number, a boolean or a short string"}
NAME: Json = {"type": "string", "pattern": "^[a-z0-9-]{1,63}$"}
SEVERITY: Json = {"type": "string", "enum": ["info", "warning", "critical"]}
ANY: Json = {"type": "object"}


def ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def listed(items: Json) -> Json:
    return {"type": "array", "items": items}


def record(required: str = "", **members: Json) -> Json:
    """An object with `members`, those named in `required` always there."""
    shape: Json = {"type": "object", "properties": members}
    return shape | {"required": required.split()} if required else shape


def page(item: str) -> Json:
    """A page of a list."""
    cursor = {"type": "string", "description": "send it as ?cursor= for the next page; empty on the last"}
    return record("items cursor", items=listed(ref(item)), cursor=cursor)


READINGS = record(
    "readings",
    boot={
        "type": "string",
        "maxLength": 64,
        "description": "64 random bits, or a counter, new at each start of the board",
    },
    seq={"type": "integer", "minimum": 1},
    t={"type": ["integer", "null"], "description": "when it was measured, epoch milliseconds; null with `age`"},
    age={"type": "integer", "minimum": 0, "description": "milliseconds since the sample, for boards without a clock"},
    readings={"type": "object", "maxProperties": 64, "additionalProperties": VALUE},
)

SCHEMAS: dict[str, Json] = {
    "Problem": record(
        "type title status",
        type=TEXT,
        title=TEXT,
        status=COUNT,
        detail=TEXT,
        faults=listed(ref("Fault")),
    ),
    "Fault": record("field message", file=TEXT, line=COUNT, column=COUNT, field=TEXT, message=TEXT, hint=TEXT),
    "Readings": READINGS,
    "Stored": record("device stored", device=NAME, boot=TEXT, seq=COUNT, stored=COUNT),
    "Device": record(
        "name readings",
        name=NAME,
        label=TEXT,
        online={"type": ["boolean", "null"]},
        last_seen={"type": ["integer", "null"]},
        model=TEXT,
        firmware=TEXT,
        dialect=TEXT,
        readings={"type": "object", "additionalProperties": record("value t", value=VALUE, t=MILLISECONDS, unit=TEXT)},
    ),
    "Forgotten": record("device readings", device=NAME, readings=COUNT),
    "Point": record("t", t=MILLISECONDS, reading=TEXT, value=VALUE, mean=NUMBER, min=NUMBER, max=NUMBER, count=COUNT),
    "Manifest": record(
        "kind metadata spec",
        apiVersion={"type": "string", "const": "edge.internal/v1alpha1"},
        kind={"type": "string", "enum": ["Rule", "Function"]},
        metadata=record("name", name=NAME),
        spec=ANY,
    ),
    "Rule": record(
        "name manifest version",
        name=NAME,
        manifest=ANY,
        version=TEXT,
        origin={**TEXT, "description": "the file it is declared in, or `cluster`"},
        declared_by={"type": "string", "enum": ["file", "api", "cluster"]},
        firing=listed(TEXT),
        pending=listed(TEXT),
    ),
    "Function": record(
        "name manifest version",
        name=NAME,
        manifest=ANY,
        version=TEXT,
        origin={**TEXT, "description": "the file it is declared in, or `cluster`"},
        declared_by={"type": "string", "enum": ["file", "api", "cluster"]},
        workers=ANY,
        queue=COUNT,
        last_error=TEXT,
        desired={**COUNT, "description": "workers there should be"},
        min_idle={**COUNT, "description": "of these, so many are to wait in advance"},
        override={"type": ["integer", "null"], "description": "min_idle as somebody scaled it by hand"},
        schedule={"type": ["object", "null"], "description": "the window of its schedule that this is"},
        panic={
            **FLAG,
            "description": "many more events than workers within six seconds: nobody is let go for a minute",
        },
        delayed={
            "type": ["object", "null"],
            "description": "why the next start of a worker waits",
            "properties": {"reason": TEXT, "why": TEXT, "seconds": NUMBER},
        },
        advice={**TEXT, "description": "what would help events that wait"},
    ),
    "Replay": record("rule matches", rule=NAME, matches=listed(ANY), series=ANY),
    "Invocation": record(
        "id function state",
        id=TEXT,
        function=TEXT,
        state=TEXT,
        cause=TEXT,
        created_at=MILLISECONDS,
        attempts=COUNT,
        reason=TEXT,
        response=TEXT,
        log=TEXT,
    ),
    "Alert": record(
        "id rule device state severity message",
        id=TEXT,
        rule=TEXT,
        device=TEXT,
        reading=TEXT,
        state=TEXT,
        severity=SEVERITY,
        message=TEXT,
        value={"type": ["number", "boolean", "string", "null"]},
        since=MILLISECONDS,
        until={"type": ["integer", "null"]},
        acked_by=TEXT,
        acked_at={"type": ["integer", "null"]},
    ),
    "DeadLetter": record(
        "id function kind reason attempts",
        id=TEXT,
        function=TEXT,
        kind=TEXT,
        reason=TEXT,
        attempts=COUNT,
        cause=TEXT,
        created_at=MILLISECONDS,
        died_at=MILLISECONDS,
        event=TEXT,
        log=TEXT,
        phases=listed(ANY),
    ),
    "Line": record("n at worker text", n=COUNT, at=MILLISECONDS, worker=TEXT, text=TEXT),
    "Version": record(
        "version state deployed_at",
        version=TEXT,
        state={"type": "string", "enum": ["live", "kept", "trying", "failed"]},
        deployed_at=MILLISECONDS,
        origin=TEXT,
        size=COUNT,
        reason=TEXT,
    ),
    "Usage": record(
        "function since until step total recent items",
        function=NAME,
        since=MILLISECONDS,
        until=MILLISECONDS,
        step=COUNT,
        total=ref("Use"),
        recent=ref("Use"),
        items=listed(ref("Use")),
    ),
    "Use": record(
        "invocations errors cold_starts gb_seconds mean_ms p95_ms",
        t=MILLISECONDS,
        invocations=COUNT,
        errors=COUNT,
        errors_by_kind={"type": "object", "additionalProperties": COUNT},
        cold_starts=COUNT,
        gb_seconds=NUMBER,
        mean_ms={"type": ["number", "null"]},
        p95_ms={"type": ["number", "null"], "description": "within five percent"},
    ),
    "Check": record("check ok summary", check=TEXT, ok=FLAG, summary=TEXT, try_this=TEXT),
    "Status": record("version site", version=TEXT, site=NAME, uptime_s=NUMBER, alarms=listed(ANY)),
    "Trace": record("id phases", id=TEXT, phases=listed(ANY)),
    "Token": record(
        "name scopes", name=TEXT, scopes=listed(TEXT), created_at=MILLISECONDS, expires_at={"type": ["integer", "null"]}
    ),
    "NewToken": record("name token scopes", name=TEXT, token=TEXT, scopes=listed(TEXT)),
    "User": record("name scopes", name=TEXT, scopes=listed(TEXT), created_at=MILLISECONDS),
    "Link": record("link path expires_at", link=TEXT, path=TEXT, expires_at=MILLISECONDS),
    "Session": record("name kind scopes", name=TEXT, kind=TEXT, scopes=listed(TEXT)),
}

SINCE: Json = {
    "name": "since",
    "in": "query",
    "schema": TEXT,
    "description": "epoch ms, RFC 3339, or back from now: 1h, -24h",
}
UNTIL: Json = {**SINCE, "name": "until"}
STEP: Json = {
    "name": "step",
    "in": "query",
    "schema": TEXT,
    "description": "30s, 5m or milliseconds; 0 for every value",
}
LIMIT: Json = {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 1000}}
CURSOR: Json = {"name": "cursor", "in": "query", "schema": TEXT, "description": "from the page before"}
DRY_RUN: Json = {
    "name": "dry_run",
    "in": "query",
    "schema": FLAG,
    "description": "say what would happen, change nothing",
}
IF_MATCH: Json = {"name": "If-Match", "in": "header", "schema": TEXT, "description": "the ETag that was read, or *"}


def query(name: str, description: str = "", schema: Json | None = None) -> Json:
    return {"name": name, "in": "query", "schema": schema or TEXT, "description": description}
