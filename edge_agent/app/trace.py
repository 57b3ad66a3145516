"""What happened to one reading, or one event, and when: every phase that is still known.

A reading's own moments are in memory for the newest few thousand commits and in the journal until the history has it; those
of alerts and invocations stay beside them.
"""

from __future__ import annotations

from typing import Any

import msgspec

from edge_agent.app.parts import Parts
from edge_agent.domain.reading import Sample
from edge_agent.engine.triggers import RESULT_OF
from edge_agent.errors import NotFound

Phase = dict[str, Any]


def trace(parts: Parts, id: str) -> dict[str, Any]:
    """`id` is a sample's `device/boot/seq` or any event's, with all that followed from it. Errors: `NotFound`."""
    sample, phases = _reading(parts, id)
    invocations = _invocations(parts, id)
    alerts = [alert for alert in (parts.journal.alert(id),) if alert is not None]
    if sample is not None and id.count("/") == 2:
        for rule in parts.pipeline.rules.rules:
            invocations += _invocations(parts, f"{id}/{rule}")
            found = parts.journal.alert(f"{id}/{rule}")
            alerts += [found] if found else []
    if sample is None and not invocations and not alerts:
        raise NotFound(f"nothing is known of {id}; a trace is kept for the newest readings, and for what fired")
    for alert in alerts:
        found_at = max([alert.since, *(phase["at"] for phase in phases if phase["phase"] == "decoded")])
        phases.append(_phase("matched", found_at, f"rule {alert.rule}: {alert.message}"))
        told = parts.teller.out.get(alert.id)
        if told:
            phases.append(_phase("alert out", told, f"{parts.topics.alert(alert.rule, alert.device)}"))
    for invocation in invocations:
        phases += _attempts(invocation)
    phases.sort(key=lambda phase: phase["at"])
    return {
        "id": id,
        "phases": phases,
        "sample": _show(sample) if sample else None,
        "invocations": [{k: v for k, v in i.items() if k not in ("event", "response")} for i in invocations],
        "alerts": [msgspec.to_builtins(alert) for alert in alerts],
    }


def _reading(parts: Parts, id: str) -> tuple[Sample | None, list[Phase]]:
    pieces = id.split("/")
    if len(pieces) < 3 or not pieces[2].isdigit():
        return None, []
    device, boot, seq = pieces[0], pieces[1], int(pieces[2])
    if found := parts.pipeline.timeline.find(device, boot, seq):
        phases, sample = found
        told = [
            _phase("received", phases.received, f"from {device}"),
            _phase("decoded", phases.decoded, f"{len(sample.values)} readings, in a batch of {len(phases.samples)}"),
        ]
        if phases.on_disk:
            told.append(_phase("on disk", phases.on_disk, f"commit {phases.number}"))
        if phases.acknowledged:
            told.append(_phase("acknowledged", phases.acknowledged, "PUBACK to the broker, ack to the board"))
        return sample, told
    for number, at, samples in parts.journal.every_batch():
        for sample in samples:
            if (sample.device, sample.boot, sample.seq) == (device, boot, seq):
                return sample, [
                    _phase("received", sample.received, f"from {device}"),
                    _phase("on disk", at, f"commit {number}"),
                ]
    return _stored(parts, device, boot, seq), []


def _stored(parts: Parts, device: str, boot: str, seq: int) -> Sample | None:
    now = parts.clock()
    for sample in parts.history.samples(device, now - 7 * 86_400_000, now + 1, limit=100_000):
        if sample.boot == boot and sample.seq == seq:
            return sample
    return None


def _invocations(parts: Parts, id: str) -> list[dict[str, Any]]:
    """Those of the event, and those of the results that followed, step by step."""
    return parts.journal.invocation(id) + parts.journal.invocations_between(
        id + RESULT_OF, id + chr(ord(RESULT_OF) + 1)
    )


def _attempts(invocation: dict[str, Any]) -> list[Phase]:
    function = invocation["function"]
    told = [_phase("recorded", invocation["created_at"], f"{function}, by {invocation['cause'] or 'hand'}")]
    for attempt in invocation["phases"]:
        which = f"{function}, attempt {attempt['number']}"
        for name, key in (("dispatched", "dispatched"), ("handed over", "handed_over"), ("answered", "answered")):
            if attempt.get(key):
                told.append(_phase(name, attempt[key], which))
        if attempt.get("ended"):
            told.append(_phase("failed", attempt["ended"], f"{which}: {attempt['kind']}"))
    if invocation["ended_at"] and not any(attempt.get("answered") for attempt in invocation["phases"]):
        reason = f": {invocation['reason']}" if invocation["reason"] else ""
        told.append(_phase("given up", invocation["ended_at"], f"{function}{reason}"))
    return told


def _phase(name: str, at: float, detail: str) -> Phase:
    return {"phase": name, "at": at, "detail": detail}


def _show(sample: Sample) -> dict[str, Any]:
    return {
        "device": sample.device, "boot": sample.boot, "seq": sample.seq, "t": sample.t, "received": sample.received,
        "dated": sample.dated, "readings": sample.values,
    }  # fmt: skip
