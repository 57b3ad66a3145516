"""What the appliance does when it is told to: the changing half of `web.appliance.Appliance`."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from edge_agent.app import allowed
from edge_agent.app.clock import now_ms
from edge_agent.app.deadletters import DeadLetters
from edge_agent.app.deployments import Deployments
from edge_agent.app.ingest import Ingest
from edge_agent.app.parts import Parts
from edge_agent.domain import event
from edge_agent.domain.alert import SEVERITIES, Alert
from edge_agent.domain.invocation import Failed, Invocation, Outcome
from edge_agent.errors import Fault, Invalid, NotFound, Unavailable
from edge_agent.ports import Entries

if TYPE_CHECKING:
    from edge_agent.app.manifests import Declared

Json = dict[str, Any]


class Actions(DeadLetters):
    """Needs `parts` and `declared` of the appliance. Every change is on disk when its call returns."""

    parts: Parts
    declared: Declared
    deployments: Deployments
    site: str
    _ingest: Ingest | None = None

    # -- devices

    def ingest(self, device: str, body: bytes, *, idempotency_key: str = "", timeout: float = 10.0) -> Json:
        if self._ingest is None:
            self._ingest = Ingest(self.parts)
        return self._ingest(device, body, idempotency_key, timeout)

    def rename_device(self, name: str, label: str) -> Json:
        device = self.parts.devices.get(name)
        if device is None:
            raise NotFound(f"no device {name} has been heard of")
        if len(label) > 100 or any(ord(character) < 32 for character in label):
            raise Invalid([Fault("body", 1, 1, "label", "is longer than 100 characters, or not one line")])
        device.label = label
        self._on_disk(lambda then: self.parts.journal.label_device(name, label, then))
        return device.show()

    def forget_device(self, name: str, *, dry_run: bool = False) -> Json:
        if self.parts.devices.get(name) is None:
            raise NotFound(f"no device {name} has been heard of")
        self.parts.drain.run()
        if dry_run:
            kept = self.parts.history.samples(name, 0, now_ms() + 86_400_000)
            return {"device": name, "readings": sum(len(sample.values) for sample in kept)}
        self.parts.pipeline.forget(name)
        self._on_disk(lambda then: self.parts.journal.forget_device(name, then))
        self.parts.news.publish("device", {"name": name, "forgotten": True})
        return {"device": name, "readings": self.parts.history.forget(name)}

    # -- manifests

    def put_manifest(self, kind: str, name: str, manifest: Json, *, if_match: str = "", dry_run: bool = False) -> Json:
        self.declared.only_files(kind, name)
        allowed.by_api(self.parts.settings, manifest)
        manifests, version = self.parts.manifests.put(kind, name, manifest, if_match=if_match, dry_run=dry_run)
        if not dry_run:
            self.declared.live_by(manifests)
        return {"kind": kind, "name": name, "version": version, "manifest": manifest}

    def delete_manifest(self, kind: str, name: str, *, if_match: str = "", dry_run: bool = False) -> None:
        self.declared.only_files(kind, name, "delete")
        manifests = self.parts.manifests.delete(kind, name, if_match=if_match, dry_run=dry_run)
        if not dry_run:
            self.declared.live_by(manifests)

    def reload(self) -> Json:
        manifests = self.declared.reload()
        return {"rules": len(manifests.rules), "functions": len(manifests.functions)}

    # -- functions

    def invoke(
        self,
        function: str,
        body: bytes,
        content_type: str,
        *,
        wait: float | None,
        attributes: Mapping[str, str] | None = None,
    ) -> Json:
        if function not in self.declared.functions:
            raise NotFound(f"there is no function {function}")
        now = now_ms()
        id = f"call/{uuid.uuid4()}"
        payload = event.of_call(id, function, self.site, now, (body, content_type, attributes or {}))
        invocation = Invocation(id, function, payload, now, "http")
        self.parts.pipeline.triggers.count([invocation])
        if wait is None:
            self._record(invocation, lambda: self.parts.engine.submit([invocation]))
            return {"id": id, "function": function, "state": "accepted"}
        return self._call(invocation, wait)

    def _call(self, invocation: Invocation, wait: float) -> Json:
        answered = threading.Event()
        outcomes: list[Outcome] = []

        def on_outcome(outcome: Outcome) -> None:
            outcomes.append(outcome)
            answered.set()

        self._record(invocation, lambda: self.parts.engine.invoke(invocation, on_outcome))
        if not answered.wait(wait):
            return {"id": invocation.id, "function": invocation.function, "state": "pending"}
        outcome = outcomes[0]
        shown: Json = {"id": invocation.id, "function": invocation.function, "cause": "http", "attempts": 1}
        if isinstance(outcome, Failed):
            error = outcome.error.decode("utf-8", "replace")
            return shown | {
                "state": "dead", "kind": outcome.kind, "reason": outcome.reason, "log": outcome.log, "response": error,
            }  # fmt: skip
        response = outcome.response.decode("utf-8", "replace")
        return shown | {"state": "answered", "response": response, "content_type": outcome.content_type}

    # -- versions

    def deploy(
        self, function: str, *, folder: str = "", manifest: Json | None = None, version: str = "", dry_run: bool = False
    ) -> Json:
        self.declared.only_files("Function", function)
        if manifest is not None:
            allowed.by_api(self.parts.settings, manifest)
        return self.deployments.deploy(function, folder=folder, manifest=manifest, version=version, dry_run=dry_run)

    def versions(self, function: str) -> list[Json]:
        return self.deployments.versions(function)

    # -- alerts

    def ack_alert(self, id: str, by: str) -> Json:
        if self.parts.journal.alert(id) is None:
            raise NotFound(f"there is no alert {id}")
        self._on_disk(lambda then: self.parts.journal.ack_alert(id, by, now_ms(), then))
        acked = self.parts.journal.alert(id)
        assert acked is not None
        shown: Json = self.show_alert(acked)
        self.parts.news.publish("alert", shown)
        return shown

    show_alert: Callable[[Alert], Json]

    def silence(self, rule: str, device: str, until: int, by: str) -> Json:
        if rule not in self.parts.pipeline.rules.rules:
            raise NotFound(f"there is no rule {rule}")
        self.parts.silences[rule, device or "*"] = until
        self._on_disk(lambda then: self.parts.journal.silence(rule, device or "*", until, by, then))
        self.parts.teller.tell_again()
        return {"rule": rule, "device": device or "*", "until": until, "by": by}

    def test_alert(self, severity: str) -> Json:
        """An alert that fires and is over at once, told on every way a real one is."""
        if severity not in SEVERITIES:
            raise Invalid([Fault("body", 1, 1, "severity", f"is none of {', '.join(SEVERITIES)}")])
        now = now_ms()
        test = Alert(
            f"appliance/test/{now}", "test", "appliance", "test", "firing", severity, "this is a test alert", None, now
        )
        over = msgspec.structs.replace(test, state="resolved", until=now)
        for alert in (test, over):
            self._on_disk(lambda then, alert=alert: self.parts.journal.commit(Entries(alerts=[alert]), then=then))  # type: ignore[misc]
            self.parts.teller.tell([alert])
            self.parts.news.publish("alert", self.show_alert(alert))
        return self.show_alert(over)

    def _record(self, invocation: Invocation, dispatch: Callable[[], None]) -> None:
        self._on_disk(
            lambda then: self.parts.journal.commit(Entries(invocations=[invocation]), then=then), also=dispatch
        )

    def _on_disk(self, change: Callable[[Callable[[], None]], Any], also: Callable[[], None] = lambda: None) -> None:
        """Make a change and wait for the fsync; `also` is called after it, however long it takes, in the order of commits.
        Errors: `Unavailable` while the disk refuses."""
        done = threading.Event()

        def written() -> None:
            also()
            done.set()

        change(written)
        if not done.wait(10.0):
            why = self.parts.journal.writer.trouble or "it is busy"
            raise Unavailable(
                f"the journal has not written the change yet ({why}); it will, so look before you repeat it"
            )
