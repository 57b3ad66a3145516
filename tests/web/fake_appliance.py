"""An appliance in memory, with the behaviour the web part leans on: `web.appliance.Appliance` for its tests.

Rules know `below` and `above` only, functions answer with what they were sent; the real ones have tests of their own.
"""

from __future__ import annotations

import fnmatch
import json
import threading
import time
from collections.abc import Callable
from queue import Empty, Full, Queue
from typing import Any

from edge_agent.errors import Conflict, Fault, Invalid, NotFound, Unavailable

Json = dict[str, Any]
UNITS = {"level": "%", "temperature": "°C", "humidity": "%", "light": "lx", "power": "W"}


def clock() -> int:
    return time.time_ns() // 1_000_000


class FakeAppliance:
    site = "home"
    version = "0.1.0"

    def __init__(self, now: Callable[[], int] = clock) -> None:
        self.now = now
        self.disk_full = False
        self.lock = threading.RLock()
        self.boards: dict[str, Json] = {}
        self.points: dict[tuple[str, str], list[tuple[int, Any]]] = {}
        self.manifests: dict[tuple[str, str], tuple[Json, int]] = {}
        self.episodes: dict[str, Json] = {}
        self.calls: dict[str, Json] = {}
        self.dead: dict[str, Json] = {}
        self.keys: dict[str, Json] = {}
        self.queues: list[Queue[tuple[str, Json]]] = []
        self.alarms: list[Json] = []
        self.stored = 0
        self.printed: list[Json] = []
        self.deployed: dict[str, list[Json]] = {}
        self.used: dict[tuple[str, int], list[Json]] = {}
        self.standing: dict[str, Json] = {}
        """What the engine adds to a function, by name."""

    # intake

    def ingest(self, device: str, body: bytes, *, idempotency_key: str = "", timeout: float = 10.0) -> Json:
        if self.disk_full:
            raise Unavailable("the disk is full; readings wait at the boards", delay=5.0)
        with self.lock:
            if idempotency_key and idempotency_key in self.keys:
                return self.keys[idempotency_key]
            stored = self.store(device, _samples(body))
            if idempotency_key:
                self.keys[idempotency_key] = stored
            return stored

    def store(self, device: str, samples: list[Json]) -> Json:
        board = self.boards.setdefault(device, _board(device))
        for sample in samples:
            t = sample.get("t") or self.now() - int(sample.get("age") or 0)
            board["online"], board["last_seen"] = True, self.now()
            for reading, value in sample["readings"].items():
                board["readings"][reading] = {"value": value, "t": t, "unit": UNITS.get(reading, ""), "class": reading}
                self.points.setdefault((device, reading), []).append((t, value))
                self.judge(device, reading, value, t)
            self.tell("reading", {"device": device, "t": t, "values": sample["readings"]})
            self.stored += 1
        return {"device": device, "boot": "http", "seq": self.stored, "stored": len(samples)}

    def judge(self, device: str, reading: str, value: Any, t: int) -> None:
        for (kind, name), (manifest, _) in self.manifests.items():
            spec = manifest["spec"]
            if (
                kind != "Rule"
                or spec.get("reading") != reading
                or not fnmatch.fnmatch(device, spec.get("devices", "*"))
            ):
                continue
            met = value < spec["below"] if "below" in spec else value > spec["above"]
            firing = next((a for a in self.episodes.values() if _is(a, name, device) and a["state"] == "firing"), None)
            if met and firing is None:
                self.fire(name, device, reading, value, t)
            elif not met and firing is not None:
                firing |= {"state": "resolved", "until": t}
                self.tell("alert", firing)

    def fire(self, rule: str, device: str, reading: str, value: Any, t: int) -> Json:
        spec = self.manifests[("Rule", rule)][0]["spec"]
        template = spec.get("message") or "{device} {reading} is {value}"
        alert = {
            "id": f"{device}/7f3a9c01d2e4b586/{self.stored + 1}/{rule}",
            "rule": rule,
            "device": device,
            "reading": reading,
            "state": "firing",
            "severity": spec.get("severity", "warning"),
            "message": template.format(device=device, value=value, reading=reading),
            "value": value,
            "since": t,
            "until": None,
            "late": False,
            "acked_by": "",
            "acked_at": None,
        }
        self.episodes[alert["id"]] = alert
        self.tell("alert", alert)
        for function in spec.get("run", []):
            self.call(function, alert["id"], json.dumps(alert), cause=f"rule {rule}")
        return alert

    # devices

    def devices(self) -> list[Json]:
        with self.lock:
            return [
                {**self.boards[name], "readings": dict(self.boards[name]["readings"])} for name in sorted(self.boards)
            ]

    def device(self, name: str) -> Json:
        return _get(self.boards, name, "device")

    def rename_device(self, name: str, label: str) -> Json:
        self.device(name)["label"] = label
        self.tell("device", self.boards[name])
        return self.boards[name]

    def forget_device(self, name: str, *, dry_run: bool = False) -> Json:
        self.device(name)
        mine = [key for key in self.points if key[0] == name]
        count = sum(len(self.points[key]) for key in mine)
        if not dry_run:
            del self.boards[name]
            for key in mine:
                del self.points[key]
            self.tell("device", {"name": name, "forgotten": True})
        return {"device": name, "readings": count}

    def readings(self, device: str, reading: str, since: int, until: int, step: int = 0) -> list[Json]:
        self.device(device)
        with self.lock:
            found = [(r, t, v) for (d, r), points in self.points.items() if d == device for t, v in points]
        chosen = [(r, t, v) for r, t, v in found if reading in ("", r) and since <= t < until]
        chosen.sort(key=lambda entry: entry[1])
        named = (lambda r: {}) if reading else (lambda r: {"reading": r})
        if not step:
            return [{**named(r), "t": t, "value": v} for r, t, v in chosen]
        groups: dict[tuple[str, int], list[float]] = {}
        for r, t, v in chosen:
            if isinstance(v, (int, float)):
                groups.setdefault((r, t // step * step), []).append(v)
        return [
            {**named(r), "t": t, "mean": sum(g) / len(g), "min": min(g), "max": max(g), "count": len(g)}
            for (r, t), g in sorted(groups.items(), key=lambda entry: entry[0][1])
        ]

    # manifests

    def rules(self) -> list[Json]:
        firing = [alert for alert in self.episodes.values() if alert["state"] == "firing"]
        return [
            {**found, "firing": [alert["device"] for alert in firing if alert["rule"] == found["name"]], "pending": []}
            for found in self._manifests("Rule")
        ]

    def functions(self) -> list[Json]:
        workers = {"idle": 1, "busy": 0, "starting": 0}
        plain = {"workers": workers, "queue": 0, "last_error": ""}
        return [found | plain | self.standing.get(found["name"], {}) for found in self._manifests("Function")]

    def _manifests(self, kind: str) -> list[Json]:
        return [
            {"name": name, "manifest": manifest, "version": str(version)}
            for (known, name), (manifest, version) in sorted(self.manifests.items())
            if known == kind
        ]

    def put_manifest(self, kind: str, name: str, manifest: Json, *, if_match: str = "", dry_run: bool = False) -> Json:
        with self.lock:
            _check_manifest(kind, name, manifest)
            _, version = self.manifests.get((kind, name), (None, 0))
            if if_match and if_match != str(version):
                raise Conflict(f"{name} was changed since it was read")
            if not dry_run:
                version += 1
                self.manifests[(kind, name)] = (manifest, version)
        return {"name": name, "manifest": manifest, "version": str(version)}

    def delete_manifest(self, kind: str, name: str, *, if_match: str = "", dry_run: bool = False) -> None:
        with self.lock:
            _, version = _get(self.manifests, (kind, name), kind.lower())
            if if_match and if_match != str(version):
                raise Conflict(f"{name} was changed since it was read")
            if not dry_run:
                del self.manifests[(kind, name)]

    def replay_rule(self, name: str, since: int, until: int) -> Json:
        _get(self.manifests, ("Rule", name), "rule")
        return {"rule": name, "matches": [], "series": {}}

    # functions

    def scale(self, function: str, min_idle: int | None) -> Json:
        _get(self.manifests, ("Function", function), "function")
        return {"function": function, "workers": {"idle": min_idle or 0}, "queue": 0}

    def deploy(
        self, function: str, *, folder: str = "", manifest: Json | None = None, version: str = "", dry_run: bool = False
    ) -> Json:
        told = {"function": function, "version": version or "0123456789ab", "state": "trying"}
        if version not in ("", *(found["version"] for found in self.deployed.get(function, []))):
            raise NotFound(f"{function} has no version {version}")
        if manifest is not None:
            _check_manifest("Function", function, manifest)
        if dry_run:
            return told | {"state": "would be tried"}
        if manifest is not None:
            self.manifests[("Function", function)] = (manifest, 1)
        release = {"version": told["version"], "state": "live", "deployed_at": self.now(), "origin": folder}
        kept = [
            {**known, "state": "kept"}
            for known in self.deployed.get(function, [])
            if known["version"] != told["version"]
        ]
        self.deployed[function] = [release | {"size": 1, "reason": ""}, *kept]
        return told

    def versions(self, function: str) -> list[Json]:
        return list(_get(self.deployed, function, "function"))

    def logs(self, function: str, *, since: int = 0, tail: int = 0) -> Json:
        _get(self.manifests, ("Function", function), "function")
        return {"items": [line for line in self.printed if line["at"] >= since][-tail:], "lost": 0}

    def follow_logs(self, function: str) -> Queue[tuple[str, Json]]:
        _get(self.manifests, ("Function", function), "function")
        return self.subscribe()

    def unfollow_logs(self, function: str, feed: Queue[tuple[str, Json]]) -> None:
        self.unsubscribe(feed)

    def prints(self, text: str) -> None:
        line = {"n": len(self.printed) + 1, "at": self.now(), "worker": "echo-1", "text": text}
        self.printed.append(line)
        self.tell("line", line)

    def usage(self, function: str, since: int, until: int, step: int = 0) -> Json:
        _get(self.manifests, ("Function", function), "function")
        if step and step != 60_000 and step % 3_600_000:
            raise Invalid([Fault("query", 0, 0, "step", "is neither 1m nor whole hours")])
        step = step or 3_600_000
        calls = [c for c in self.calls.values() if c["function"] == function and since <= c["created_at"] < until]
        past = [item for item in self.used.get((function, step), []) if since <= item["t"] < until]
        now = _use(calls)
        return {
            "function": function, "since": since, "until": until, "step": step, "total": _total([*past, now]),
            "recent": {"span": 300_000, **now},
            "items": [*past, *([{"t": self.now() - self.now() % step, **now}] if calls else [])],
        }  # fmt: skip

    def all_usage(self, since: int, until: int, step: int = 0) -> list[Json]:
        return [self.usage(found["name"], since, until, step) for found in self._manifests("Function")]

    def invoke(
        self, function: str, body: bytes, content_type: str, *, wait: float | None, attributes: Any = None
    ) -> Json:
        _get(self.manifests, ("Function", function), "function")
        found = self.call(function, f"http/{len(self.calls) + 1}", body.decode("utf-8", "replace"), cause="http")
        return found if wait is not None else {"id": found["id"], "state": "accepted"}

    def call(self, function: str, id: str, event: str, *, cause: str) -> Json:
        ok = "fail" not in event
        found = {
            "id": id,
            "function": function,
            "state": "answered" if ok else "dead",
            "cause": cause,
            "created_at": self.now() - 5,
            "ended_at": self.now(),
            "attempts": 1 if ok else 3,
            "reason": "" if ok else "the function said: told to fail",
            "kind": "" if ok else "function-error",
            "response": event if ok else "",
            "content_type": "application/json",
            "log": "",
            "event": event,
        }
        self.calls[id] = found
        if not ok:
            self.dead[id] = found
        self.tell("invocation", {key: found[key] for key in list(found)[:8]})
        return found

    def invocations(self, *, function: str = "", state: str = "", limit: int = 100, cursor: str = "") -> Json:
        chosen = [c for c in self.calls.values() if function in ("", c["function"]) and state in ("", c["state"])]
        return _page(chosen, limit, cursor)

    def invocation(self, id: str) -> Json:
        return _get(self.calls, id, "invocation")

    # alerts

    def alerts(self, *, state: str = "", limit: int = 100, cursor: str = "") -> Json:
        return _page([alert for alert in self.episodes.values() if state in ("", alert["state"])], limit, cursor)

    def ack_alert(self, id: str, by: str) -> Json:
        alert: Json = _get(self.episodes, id, "alert")
        alert |= {"acked_by": by, "acked_at": self.now()}
        self.tell("alert", alert)
        return alert

    def silence(self, rule: str, device: str, until: int, by: str) -> Json:
        return {"rule": rule, "device": device, "until": until, "by": by}

    def test_alert(self, severity: str) -> Json:
        return {"channels": [{"channel": "page", "ok": True}], "severity": severity}

    # dead letters

    def dead_letters(self, selection: Json, *, limit: int = 100, cursor: str = "") -> Json:
        return _page([_letter(letter) for letter in self.dead.values() if _meant(letter, selection)], limit, cursor)

    def dead_letter(self, id: str, function: str = "") -> Json:
        found = _get(self.dead, id, "dead letter")
        if function not in ("", found["function"]):
            raise NotFound(f"there is no dead letter {id} of {function}")
        return _letter(found) | {"event": found["event"], "log": found["log"], "response": "", "phases": []}

    def redrive(self, id: str, function: str = "", *, dry_run: bool = False) -> Json:
        found = self.dead_letter(id, function)
        if not dry_run:
            del self.dead[id]
        return {"id": id, "functions": [found["function"]], "redriven": int(not dry_run)}

    def purge(self, selection: Json, *, dry_run: bool = False) -> Json:
        gone = [id for id, letter in self.dead.items() if _meant(letter, selection)]
        for id in gone:
            if not dry_run:
                del self.dead[id]
        return {"purged": len(gone)}

    # status

    def trace(self, id: str) -> Json:
        if id.split("/")[0] not in self.boards:
            raise NotFound(f"there is no reading {id!r}")
        return {"id": id, "phases": [{"phase": "received", "at": float(self.now()), "detail": ""}], "sample": {}}

    def status(self) -> Json:
        return {
            "version": self.version,
            "site": self.site,
            "uptime_s": 3600,
            "broker": {"connected": True},
            "journal": {"pending": 0},
            "history": {"lag_s": 0},
            "readings_stored": self.stored,
            "rules": {"count": len(self.rules()), "firing": 0, "pending": 0},
            "functions": {found["name"]: found["workers"] for found in self.functions()},
            "alarms": list(self.alarms),
        }

    def checks(self) -> list[Json]:
        return [{"check": "disk", "ok": not self.disk_full, "summary": "42 % free", "try_this": ""}]

    def ready(self) -> tuple[bool, str]:
        return (False, "the disk is full") if self.disk_full else (True, "")

    def reload(self) -> Json:
        return {"rules": len(self.rules()), "functions": len(self.functions())}

    def metrics(self) -> bytes:
        return b"# TYPE edge_readings_stored_total counter\nedge_readings_stored_total %d\n" % self.stored

    # live

    def subscribe(self) -> Queue[tuple[str, Json]]:
        queue: Queue[tuple[str, Json]] = Queue(2000)
        self.queues.append(queue)
        return queue

    def unsubscribe(self, queue: Queue[tuple[str, Json]]) -> None:
        self.queues = [known for known in self.queues if known is not queue]

    def tell(self, kind: str, data: Json) -> None:
        for queue in self.queues:
            try:
                queue.put_nowait((kind, dict(data)))
            except Full:
                try:
                    queue.get_nowait()
                except Empty:
                    continue

    def alarm(self, name: str, summary: str, *, active: bool = True) -> None:
        self.alarms = [alarm for alarm in self.alarms if alarm["name"] != name]
        if active:
            self.alarms.append({"name": name, "summary": summary})
        self.tell("alarm", {"name": name, "summary": summary, "active": active})


def _letter(call: Json) -> Json:
    shown = ("id", "function", "cause", "created_at", "attempts", "kind", "reason")
    return {name: call[name] for name in shown} | {"died_at": call["ended_at"]}


def _meant(call: Json, selection: Json) -> bool:
    wanted = {name: selection.get(name) for name in ("id", "function", "kind") if selection.get(name)}
    if any(call[name] != value for name, value in wanted.items()):
        return False
    if selection.get("device") and not call["id"].startswith(f"{selection['device']}/"):
        return False
    return selection.get("since", 0) <= call["ended_at"] < (selection.get("until") or 2**60)


def _use(calls: list[Json]) -> Json:
    failed = sum(call["state"] == "dead" for call in calls)
    return {
        "invocations": len(calls), "errors": failed, "errors_by_kind": {"function-error": failed} if failed else {},
        "cold_starts": 0, "gb_seconds": len(calls) * 0.0003, "mean_ms": 4.2 if calls else None,
        "p95_ms": 5.0 if calls else None,
    }  # fmt: skip


def _total(uses: list[Json]) -> Json:
    whole = _use([])
    for use in uses:
        whole |= {name: whole[name] + use[name] for name in ("invocations", "errors", "cold_starts", "gb_seconds")}
        whole |= {"mean_ms": use["mean_ms"] or whole["mean_ms"], "p95_ms": use["p95_ms"] or whole["p95_ms"]}
    return whole


def _board(name: str) -> Json:
    return {
        "name": name,
        "label": "",
        "online": True,
        "last_seen": None,
        "model": "ESP32",
        "firmware": "1.0.0",
        "dialect": "native",
        "readings": {},
    }


def _samples(body: bytes) -> list[Json]:
    try:
        found = json.loads(body)
    except ValueError as error:
        raise Invalid([Fault("body", 1, 1, "", f"not JSON: {error}")]) from error
    faults = []
    samples = found if isinstance(found, list) else [found]
    for sample in samples:
        if not isinstance(sample, dict) or not isinstance(sample.get("readings"), dict) or not sample["readings"]:
            faults.append(Fault("body", 1, 1, "readings", "is missing or empty"))
            continue
        faults += [
            Fault("body", 1, 1, name, "must be a whole number")
            for name in ("t", "seq", "age")
            if sample.get(name) is not None and (not isinstance(sample[name], int) or not 0 <= sample[name] < 2**53)
        ]
        faults += [
            Fault("body", 1, 1, f"readings.{name}", "must be a number, true, false or text")
            for name, value in sample["readings"].items()
            if not isinstance(value, (int, float, str, bool))
        ]
    if faults or not samples:
        raise Invalid(faults or [Fault("body", 1, 1, "", "the list is empty")])
    return samples


def _check_manifest(kind: str, name: str, manifest: Json) -> None:
    faults = []
    if manifest.get("kind") != kind:
        faults.append(Fault("body", 1, 1, "kind", f"must be {kind}"))
    if not isinstance(manifest.get("metadata"), dict) or manifest["metadata"].get("name") != name:
        faults.append(Fault("body", 1, 1, "metadata.name", f"must be {name}"))
    spec = manifest.get("spec")
    if not isinstance(spec, dict):
        faults.append(Fault("body", 1, 1, "spec", "is missing"))
    elif kind == "Rule" and not any(isinstance(spec.get(word), (int, float)) for word in ("below", "above")):
        faults.append(Fault("body", 1, 1, "spec", "has no condition", "below: 20"))
    if faults:
        raise Invalid(faults)


def _is(alert: Json, rule: str, device: str) -> bool:
    return bool(alert["rule"] == rule and alert["device"] == device)


def _get(entries: dict[Any, Any], key: Any, noun: str) -> Any:
    if key not in entries:
        raise NotFound(f"there is no {noun} {key[-1] if isinstance(key, tuple) else key!r}")
    return entries[key]


def _page(items: list[Json], limit: int, cursor: str) -> Json:
    newest = items[::-1]
    start = next((place + 1 for place, item in enumerate(newest) if item["id"] == cursor), 0) if cursor else 0
    chosen = newest[start : start + limit]
    return {"items": chosen, "cursor": chosen[-1]["id"] if start + limit < len(newest) else ""}
