"""What the web application may ask of the appliance: one Protocol, implemented by `app.Appliance`.

Values are JSON-ready (dicts, lists, strings, numbers). Times are epoch milliseconds named `t`, `since`, `until`, `..._at`.
"""

from __future__ import annotations

from collections.abc import Mapping
from queue import Queue
from typing import Any, Protocol

Json = dict[str, Any]


class Appliance(Protocol):
    """Errors of any call: `errors.NotFound`, `Conflict`, `Invalid`, `Unavailable`, `Refused`."""

    site: str
    version: str

    def ingest(self, device: str, body: bytes, *, idempotency_key: str = "", timeout: float = 10.0) -> Json:
        """Publish a reading (or an array of them) to the broker and wait until the journal has it on disk.

        Returns {"device","boot","seq","stored": n}. `Invalid`: the body is no reading; `Unavailable`: broker or disk away.
        """

    def devices(self) -> list[Json]:
        """[{"name","label","online": bool|None,"last_seen": ms,"model","firmware","dialect",
        "readings": {reading: {"value","t","unit","class"}}}] by name."""

    def device(self, name: str) -> Json: ...
    def rename_device(self, name: str, label: str) -> Json: ...
    def forget_device(self, name: str, *, dry_run: bool = False) -> Json:
        """{"device","readings": how many are (or would be) removed}."""

    def readings(self, device: str, reading: str, since: int, until: int, step: int = 0) -> list[Json]:
        """step 0: [{"t","value"}]; else [{"t","mean","min","max","count"}]. reading "" = all, with a "reading" key."""

    def rules(self) -> list[Json]:
        """[{"name","manifest": {...as YAML says...},"version": str,"firing": [devices],"pending": [devices]}]"""

    def functions(self) -> list[Json]:
        """[{"name","manifest","version","workers": {state: n},"queue": n,"last_error": str, and what the engine adds}]"""

    def scale(self, function: str, min_idle: int | None) -> Json:
        """So many workers wait, whatever the manifest says, after a restart too; None: as the manifest says."""

    def deploy(
        self, function: str, *, folder: str = "", manifest: Json | None = None, version: str = "", dry_run: bool = False
    ) -> Json:
        """Begin to roll out a folder of this machine, a manifest, or a version that is kept ("previous").

        {"function","version","state": trying | unchanged | would be tried}; `versions` says how it ends."""

    def versions(self, function: str) -> list[Json]:
        """[{"version","state": live | kept | trying | failed,"deployed_at","origin","size","reason"}], the newest first."""

    def logs(self, function: str, *, since: int = 0, tail: int = 0) -> Json:
        """{"items": [{"n","at","worker","text"}], "lost": older lines let go}; n is 0 for a line that has not ended."""

    def follow_logs(self, function: str) -> Queue[tuple[str, Json]]:
        """A bounded queue of ("line", item of `logs`)."""

    def unfollow_logs(self, function: str, feed: Queue[tuple[str, Json]]) -> None: ...
    def usage(self, function: str, since: int, until: int, step: int = 0) -> Json:
        """{"function","since","until","step","total": use,"recent": use of the last minutes,"items": [{"t"} and use]}; a use
        is {"invocations","errors","errors_by_kind","cold_starts","gb_seconds","mean_ms","p95_ms"}."""

    def all_usage(self, since: int, until: int, step: int = 0) -> list[Json]:
        """The same of every function, by name."""

    def put_manifest(self, kind: str, name: str, manifest: Json, *, if_match: str = "", dry_run: bool = False) -> Json:
        """kind is Rule or Function. Stored, validated, live at once without losing a message. `if_match` "" is no condition.

        Returns it as `rules()` or `functions()` tells it, its new version included."""

    def delete_manifest(self, kind: str, name: str, *, if_match: str = "", dry_run: bool = False) -> None: ...
    def replay_rule(self, name: str, since: int, until: int) -> Json:
        """{"rule","matches": [{"state","device","at","value","message"}],"series": {device: [[t, value]]}}"""

    def invoke(
        self,
        function: str,
        body: bytes,
        content_type: str,
        *,
        wait: float | None,
        attributes: Mapping[str, str] | None = None,
    ) -> Json:
        """`attributes` are those of a CloudEvent in binary mode: `ce-` headers without their prefix.

        wait None: {"id","state":"accepted"}; else the invocation as `invocation` tells it once it has ended."""

    def invocations(self, *, function: str = "", state: str = "", limit: int = 100, cursor: str = "") -> Json:
        """{"items": [{"id","function","state","cause","created_at","attempts","reason"}], "cursor": str}"""

    def invocation(self, id: str) -> Json:
        """One of them, plus "response" (text) and "content_type" when answered, "log", "kind", "event"."""

    def alerts(self, *, state: str = "", limit: int = 100, cursor: str = "") -> Json:
        """{"items": [...], "cursor"}, newest first; state is "", `firing` or `resolved`. An item has the members of
        `domain.alert.Alert`: "id","rule","device","reading","state","severity","message","value","since","until","late",
        "acked_by","acked_at"."""

    def ack_alert(self, id: str, by: str) -> Json: ...
    def silence(self, rule: str, device: str, until: int, by: str) -> Json: ...
    def test_alert(self, severity: str) -> Json: ...
    def dead_letters(self, selection: Json, *, limit: int = 100, cursor: str = "") -> Json:
        """{"items": [{"id","function","cause","created_at","died_at","attempts","kind","reason"}], "cursor"}, newest first.
        `selection` may have "id","function","kind","device","since","until" (when they died)."""

    def dead_letter(self, id: str, function: str = "") -> Json:
        """The same, plus "event","log","response","phases": [attempt]; "others" where several functions failed on it."""

    def redrive(self, id: str, function: str = "", *, dry_run: bool = False) -> Json:
        """{"id","functions","redriven": n}."""

    def purge(self, selection: Json, *, dry_run: bool = False) -> Json:
        """{"purged": n}."""

    def trace(self, id: str) -> Json:
        """{"id","phases": [{"phase","at": ms with fractions,"detail"}], "sample": {...}, "invocations": [...],
        "alerts": [...]}"""

    def status(self) -> Json:
        """One screen: version, site, uptime_s, broker, journal, history, rules, functions, alarms: [{"name","summary"}].

        The page reads "broker": {"connected": bool}, "journal": {"pending": n}, "readings_stored": n, "rules": {"count": n}
        and "functions": {name: ...} where they are there."""

    def checks(self) -> list[Json]:
        """Every health check: [{"check","ok": bool,"summary","try_this"}]."""

    def ready(self) -> tuple[bool, str]: ...
    def reload(self) -> Json: ...
    def subscribe(self) -> Queue[tuple[str, Json]]:
        """A bounded queue of (kind, data), at most a few thousand long. A slow reader loses the oldest, counted: readings
        first, for the next one tells the same.

        `reading`: {"device","t","values": {reading: value}}. `device`: one of `devices()`, new or changed; or
        {"name","forgotten": true}. `alert`: one of `alerts()["items"]`, each time its state changes or it is acked.
        `invocation`: one of `invocations()["items"]`. `alarm`: {"name","summary","active": bool}. `status`: as `status()`.
        """

    def unsubscribe(self, queue: Queue[tuple[str, Json]]) -> None: ...
    def metrics(self) -> bytes:
        """Prometheus text format."""
