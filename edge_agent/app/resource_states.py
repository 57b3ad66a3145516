"""How a function or rule of the cluster is, as its status says it: `k3s/README.md` has the words.

Enters: the object as it is, what became of it, what the engine says. Leaves: a status, without times. Pure.
Conditions hold sentences without counts, so that they change when something happens and not when something runs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edge_agent.domain.function import FunctionSpec
from edge_agent.manifests.resources import Resource, Verdict
from edge_agent.manifests.writing import version as version_of

LONGEST = 1024
"""Characters of a message from elsewhere."""
Json = dict[str, Any]


@dataclass(slots=True)
class Trial:
    """A new version that has to show that it can start. `state`: trying, passed or failed; `retry_at` monotonic seconds."""

    resource: Resource
    state: str = "trying"
    reason: str = ""
    failures: int = 0
    retry_at: float = 0.0


@dataclass(frozen=True, slots=True)
class View:
    """One object: as it is, how it was judged, the version of it that serves."""

    resource: Resource
    verdict: Verdict
    serving: Resource | None
    trial: Trial | None = None

    @property
    def meanwhile(self) -> str:
        """What holds although this version does not."""
        return f"; generation {self.serving.generation} goes on" if self.serving is not None else ""


def function_status(view: View, spec: FunctionSpec | None, state: Mapping[str, Any] | None, *, seen: Seen) -> Json:
    """`spec` is the version that serves, `state` what the engine says of it (`Crew.status`)."""
    workers = dict(state.get("workers", {})) if state else {}
    idle, busy, starting = (int(workers.get(word, 0)) for word in ("idle", "busy", "starting"))
    trouble = str(state.get("last_error", ""))[:LONGEST] if state else ""
    kind = camel(str(state.get("last_error_kind", ""))) if state else ""
    if idle or busy:
        seen.ready = True
    most = spec.pool.max_workers if spec else 0
    trial = view.trial
    queued = sum(int(state.get(word, 0)) for word in ("queued", "retrying", "on_disk")) if state else 0
    failed = trial.reason if trial is not None and trial.state == "failed" else ""
    return _common(view) | {
        "workers": {"starting": starting, "idle": idle, "busy": busy},
        "ready": f"{idle + busy}/{most}",
        "queued": coarse(queued),
        "deadLetters": coarse(seen.dead),
        "lastError": (trouble or failed or seen.dead_reason)[:LONGEST],
        "conditions": [
            _accepted(view),
            _ready(view, spec, (kind, trouble), working=bool(idle or busy), seen=seen),
            _condition("Degraded", bool(trouble), kind or "StartFailed", trouble, well="WorkersStart"),
            _rolled_out(view),
        ],
    }


@dataclass(slots=True)
class Seen:
    """What the agent has seen of one function since it started. `ready`: a worker of the version that serves has asked."""

    version: str = ""
    ready: bool = False
    dead: int = 0
    dead_reason: str = ""


def rule_status(view: View, firing: int, last_fired: str) -> Json:
    """`firing` devices; `last_fired` RFC 3339, "" when not known."""
    holds = view.serving is not None
    ready = _condition("Ready", holds, "Watching", "readings are held against it" + _which(view), ill="NotAccepted")
    status = _common(view) | {"firing": firing, "conditions": [_accepted(view), ready]}
    return status | ({"lastFired": last_fired} if last_fired else {})


def stopped(status: Json) -> Json:
    """The same as the agent leaves it."""
    words = "the agent was stopped, and nothing runs until it starts; after a power cut this is not written"
    gone = {"type": "Ready", "status": "Unknown", "reason": "AgentStopped", "message": words}
    others = [each for each in status["conditions"] if each["type"] != "Ready"]
    idle = {"workers": {"starting": 0, "idle": 0, "busy": 0}} if "workers" in status else {}
    return status | idle | {"conditions": [*others, gone]}


def _common(view: View) -> Json:
    serving = view.serving
    return {
        "observedGeneration": view.resource.generation,
        "servingGeneration": serving.generation if serving is not None else None,
        "version": version_of(serving.manifest) if serving is not None else "",
    }


def _accepted(view: View) -> Json:
    if not view.verdict.reason:
        return {"type": "Accepted", "status": "True", "reason": "Accepted", "message": "every field is understood"}
    message = f"{view.verdict}{view.meanwhile}"[: 8 * LONGEST]
    return {"type": "Accepted", "status": "False", "reason": view.verdict.reason, "message": message}


def _ready(view: View, spec: FunctionSpec | None, trouble: tuple[str, str], *, working: bool, seen: Seen) -> Json:
    kind, words = trouble
    if view.serving is None or spec is None:
        return _no("Ready", "NotAccepted", "no version of it was accepted: see Accepted")
    if words and not working:
        return _no("Ready", kind or "StartFailed", words)
    if not working and not seen.ready and spec.pool.min_idle:
        return _no("Ready", "Starting", "its first worker has not asked for an event yet" + _which(view))
    if spec.pool.min_idle:
        return _yes("Ready", "Serving", "workers wait for events" + _which(view))
    return _yes("Ready", "OnDemand", "a worker starts when an event comes" + _which(view))


def _rolled_out(view: View) -> Json:
    trial, serving = view.trial, view.serving
    if trial is not None and trial.state == "trying":
        words = f"generation {trial.resource.generation} has to ask for an event first{view.meanwhile} meanwhile"
        return _no("RolledOut", "Trying", words)
    if trial is not None and trial.state == "failed":
        words = f"generation {trial.resource.generation} cannot start: {trial.reason[:LONGEST]}"
        return _no("RolledOut", "RolledBack", f"{words}{view.meanwhile}, and it is tried again")
    if serving is None or serving != view.resource:
        return _no("RolledOut", "NotAccepted", f"see Accepted{view.meanwhile}")
    return _yes("RolledOut", "Serving", "this generation serves")


def _which(view: View) -> str:
    serving = view.serving
    return f", generation {serving.generation}" if serving is not None and serving != view.resource else ""


def _yes(type: str, reason: str, message: str) -> Json:
    return {"type": type, "status": "True", "reason": reason, "message": message}


def _no(type: str, reason: str, message: str) -> Json:
    return {"type": type, "status": "False", "reason": reason, "message": message}


def _condition(type: str, holds: bool, reason: str, message: str, *, well: str = "", ill: str = "") -> Json:
    """True with `reason` and `message`; else False with the other reason."""
    return _yes(type, reason, message) if holds else _no(type, well or ill, "")


def coarse(count: int) -> int:
    """Exact up to 10, then its first digit and zeros: each other number is a write on the cluster's disk."""
    if count <= 10:
        return count
    unit = 10 ** (len(str(count)) - 1)
    return int(count // unit * unit)


def camel(word: str) -> str:
    """`start-failed` and `StartFailed` alike as a condition's reason."""
    return "".join(part[:1].upper() + part[1:] for part in re.split(r"[^A-Za-z0-9]+", word))
