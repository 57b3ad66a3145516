"""What the agent writes back: the status of both kinds."""

from __future__ import annotations

from collections.abc import Mapping

from schemas.values import Schema, one_of, table, text, told


def status(properties: Mapping[str, Schema]) -> Schema:
    condition = table(
        {
            "type": text(316),
            "status": one_of(("True", "False", "Unknown")),
            "observedGeneration": {"type": "integer", "format": "int64", "minimum": 0},
            "lastTransitionTime": {"type": "string", "format": "date-time"},
            "reason": text(1024, minLength=1, pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"),
            "message": text(32768),
        },
        required=["type", "status", "lastTransitionTime", "reason", "message"],
    )
    generation = {"type": "integer", "format": "int64"}
    fields = {
        "observedGeneration": told("The version of the spec that was judged (metadata.generation).", generation),
        "servingGeneration": told("The version that is in force; absent when none is.", generation),
        "version": told("Hash of the manifest that is in force.", text(128)),
        **properties,
        "conditions": told(
            "Accepted: the agent took it, or why not and what to do. Ready: it works.",
            {
                "type": "array",
                "maxItems": 16,
                "items": condition,
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["type"],
            },
        ),
    }
    return told("What the agent observed. Only the agent writes it.", table(fields))


def count(description: str) -> Schema:
    return told(description, {"type": "integer", "minimum": 0})


def function_status() -> Schema:
    workers = table(
        {"starting": count("Not yet asking for events."), "idle": count("Waiting."), "busy": count("At work.")}
    )
    return status(
        {
            "workers": told("Its workers now.", workers),
            "ready": told("Workers that wait or work, of maxWorkers: 2/4.", text(32)),
            "queued": count("Events that wait, exact up to 10."),
            "deadLetters": count("Events given up since the agent started, exact up to 10."),
            "lastError": told("Of the last start, or of the last dead letter.", text(1024)),
        }
    )


def rule_status() -> Schema:
    return status(
        {
            "firing": count("Boards on which it fires now."),
            "lastFired": told(
                "When it fired last; absent: never, as far as is known.", {"type": "string", "format": "date-time"}
            ),
        }
    )
