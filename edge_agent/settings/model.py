"""Every setting: what it does, its unit, and why the default is what it is.

The text under each setting is what `edgectl check --explain` prints: keep it true.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, model_validator

from edge_agent.domain.function import LONGEST_TIMEOUT, FunctionSpec, MiB, PoolSpec
from edge_agent.settings.fields import Bytes, Cores, Name, Port, Seconds, Section
from edge_agent.settings.kubernetes import Kubernetes
from edge_agent.settings.registry import Registry
from edge_agent.settings.starts import Starts


class Data(Section):
    """Where the agent keeps its state."""

    dir: Path = Path("/var/lib/edge-agent")
    """Folder of journal, history, keys and the local socket; made 0700. Put it on an SSD where there is one: SD
    cards die of writes. The default is where a Debian service keeps its state; `edgectl run` uses
    ~/.local/share/edge-agent."""


class Manifests(Section):
    """Where rules and functions are declared."""

    dir: Path | None = None
    """Folder of YAML manifests, read at start and on reload. Default: `manifests` inside the data folder, so that a
    backup of one folder has everything."""


class Mqtt(Section):
    """The broker the boards publish to."""

    host: str = "127.0.0.1"
    """Name or address of the broker. Default: this machine, where the appliance runs Mosquitto."""
    port: Port = 1883
    """TCP port. 1883 is MQTT's own; with TLS it is 8883."""
    protocol: Literal["5", "3.1.1"] = "5"
    """MQTT version. 5 has Receive Maximum (back-pressure) and Session Expiry; 3.1.1 is for old brokers."""
    client_id: str = ""
    """The session's name at the broker; it must stay the same for missed messages to come after a restart. Default:
    `edge-agent-<site>`. Two agents with one id push each other out for ever."""
    username: str = ""
    """Broker user; empty connects without one."""
    password: SecretStr = SecretStr("")
    """Broker password. `password_file` is better: this file is often readable by more people."""
    password_file: Path | None = None
    """File holding the broker password, its last newline ignored."""
    tls_ca: Path | None = None
    """PEM file of the CA that signed the broker's certificate; setting it turns TLS on. Default: no TLS, for the
    default broker is on this machine."""
    tls_cert: Path | None = None
    """PEM file of the agent's own certificate, where the broker asks for one; needs `tls_key`."""
    tls_key: Path | None = None
    """PEM file of that certificate's key."""
    keepalive: Seconds = 30.0
    """Longest silence before the connection is tested (MQTT 5, 3.1.2.10); seconds. A dead broker is noticed after
    one and a half times this; shorter costs packets on idle links."""
    receive_maximum: Annotated[int, Field(ge=1, le=65535)] = 5000
    """Most QoS 1 messages the broker may send ahead of our acknowledgement (MQTT 5, 3.1.2.11.3): the back-pressure.
    5,000 fill several commits without holding more than a few MB."""
    session_expiry: Seconds = 7 * 86400.0
    """How long the broker keeps our session while we are away (MQTT 5, 3.1.2.11.2); seconds. A week covers holidays."""
    dialects: tuple[str, ...] = ("native", "tasmota", "esphome", "zigbee2mqtt")
    """Which boards' languages are understood. Leave out what you do not have: each subscribes to topics of its own."""
    fast: bool = True
    """Read and acknowledge in batches (about ten times the messages per second); false uses stock paho only."""

    @model_validator(mode="after")
    def _pairs(self) -> Mqtt:
        if bool(self.tls_cert) != bool(self.tls_key):
            raise ValueError("tls_cert and tls_key go together; set both or neither")
        return self


class Journal(Section):
    """The disk log that an acknowledgement promises."""

    linger: Annotated[Seconds, Field(ge=0, le=60)] = 2.0
    """Longest wait of an unurgent reading for company before it is written; seconds. Boards keep a reading until it
    is on disk, so waiting is safe, and each commit wears the card; one that fires a rule never waits."""
    batch: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """Readings that are written at once without lingering. Above 1,000 the cost per reading no longer falls."""
    max_bytes: Annotated[Bytes, Field(ge=4 * MiB)] = 1024 * MiB
    """Most disk the journal may take before its oldest readings are let go, with an alarm first. 1 GiB holds weeks
    of a house and fits every card."""
    max_age: Seconds = 7 * 86400.0
    """How long the journal holds readings the history has not taken; seconds. A week survives a history that is
    away."""
    drain_every: Seconds = 300.0
    """How often readings move on to the history, in bulk; seconds; 20,000 of them move at once. Rarer is fewer writes.
    The agent's own plots do not lag, whoever looks into MongoDB from outside sees readings that much later."""


class History(Section):
    """The long-term store of readings."""

    url: str = "sqlite"
    """`sqlite` (a file in the data folder), or `mongodb://host:port/database`. SQLite needs no server and runs on
    every Pi."""
    password: SecretStr = SecretStr("")
    """MongoDB password, when the URL names a user without one."""
    password_file: Path | None = None
    """File holding that password."""
    keep_raw: Seconds = 30 * 86400.0
    """How long every single reading is kept; seconds. A month answers most questions and bounds the disk. MongoDB holds
    them a week longer: an appliance that was off meanwhile still averages them before they go."""
    keep_hourly: Seconds = 5 * 365 * 86400.0
    """How long the hourly averages are kept (mean, minimum, maximum and count of each reading) that remain of readings
    older than `keep_raw`; seconds. Five years let one winter be compared with the others, and are small: one row an
    hour."""

    @model_validator(mode="after")
    def _known(self) -> History:
        if self.url != "sqlite" and not self.url.startswith(("mongodb://", "mongodb+srv://")):
            raise ValueError("url is neither sqlite nor mongodb://...; write sqlite or mongodb://HOST:27017/edge")
        return self


class Rules(Section):
    """How rules are judged."""

    late_after: Seconds = 300.0
    """Readings older than this on arrival are stored, and make a past alert without waking anyone; seconds. Five
    minutes is longer than a board needs to reconnect."""


class Functions(Section):
    """What runs functions, and what a function gets whose manifest does not say."""

    runner: Literal["process", "kubernetes"] = "process"
    """`process`: each worker is a process group on this machine; needs nothing installed. `kubernetes`: each is a pod, and
    a function is an image; see [kubernetes]."""
    by_api: bool = False
    """Whether a function with a `source` may be declared over the HTTP API. That is a command on this host, so an
    appliance takes it from its manifest folder only; `edgectl run`, which serves one person on one machine, allows it."""
    secrets_dir: Path | None = None
    """Folder with one file or folder per secret a manifest names; a function finds its own in $EDGE_SECRETS. Default:
    `secrets` inside the data folder."""
    mqtt_user: str = ""
    """Broker user of functions that publish; they find it in $MQTT_USER, and its password in the secret `mqtt`. Not the
    agent's own user, which may do anything."""
    runtime_port: Port = 8090
    """Loopback port of the Runtime API that workers ask for events; 0 takes any free one. Never on the LAN."""
    timeout: Annotated[Seconds, Field(gt=0, le=LONGEST_TIMEOUT)] = 30.0
    """How long a function may take before all its processes are killed; seconds. At most twelve hours."""
    memory: Annotated[Bytes, Field(ge=MiB)] = 64 * MiB
    """Memory of one worker; bytes. 64 MiB holds a Python or shell function, and dozens of them fit on a Pi."""
    cpu: Cores = 0.25
    """Share of a CPU of one worker; cores. A quarter leaves a four-core Pi responsive under a burst."""
    max_workers: Annotated[int, Field(ge=1, le=1000)] = 4
    """Most workers of one function at once. One per core of a Pi."""
    messages_per_minute: Annotated[int, Field(ge=0)] = 600
    """Invocations of one function by messages of its topics, in a minute, above which there is an alarm: it may publish to
    the topic that starts it. Ten a second is more than a house says; 0 is no alarm."""
    starts: Starts = Starts()


class Web(Section):
    """The page and the HTTP API."""

    host: str = "127.0.0.1"
    """Address to listen on; `0.0.0.0` opens it to the network. Default: this machine only."""
    port: Port = 8080
    """TCP port; 0 takes any free one."""
    tls_cert: Path | None = None
    """PEM file of the certificate; with `tls_key` the page is served by HTTPS."""
    tls_key: Path | None = None
    """PEM file of that certificate's key."""
    allowed_hosts: tuple[str, ...] = ()
    """Names a browser may use for this page, beside loopback and the machine's own name and addresses. A list,
    because a page that answers to any name can be reached by other people's scripts (DNS rebinding)."""
    streams: Annotated[int, Field(ge=1, le=1000)] = 16
    """Pages that may follow live at once. Each holds a thread; more than this are told to come back."""

    @model_validator(mode="after")
    def _pairs(self) -> Web:
        if bool(self.tls_cert) != bool(self.tls_key):
            raise ValueError("tls_cert and tls_key go together; set both or neither")
        return self


class Log(Section):
    """What the agent says."""

    format: Literal["console", "json"] = "console"
    """`console`: short lines for people; `json`: one object per line, for journald and collectors."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important line that is printed."""


class Settings(Section):
    """The whole configuration. Durations are seconds, sizes bytes, paths absolute."""

    site: Name = "home"
    """The name of this place in topics and event sources: `[a-z0-9-]`, at most 63. Boards carry it; choose it once."""
    data: Data = Data()
    manifests: Manifests = Manifests()
    mqtt: Mqtt = Mqtt()
    journal: Journal = Journal()
    history: History = History()
    rules: Rules = Rules()
    functions: Functions = Functions()
    kubernetes: Kubernetes = Kubernetes()
    registry: Registry = Registry()
    web: Web = Web()
    log: Log = Log()

    @model_validator(mode="after")
    def _reachable(self) -> Settings:
        if self.functions.runner == "kubernetes" and not self.kubernetes.runtime_address:
            raise ValueError(
                'kubernetes.runtime_address is needed with functions.runner = "kubernetes"; '
                "write this machine's address in the pod network (on k3s: ip -4 addr show cni0)"
            )
        return self

    @property
    def manifests_dir(self) -> Path:
        return self.manifests.dir or self.data.dir / "manifests"

    @property
    def secrets_dir(self) -> Path:
        return self.functions.secrets_dir or self.data.dir / "secrets"

    @property
    def client_id(self) -> str:
        return self.mqtt.client_id or f"edge-agent-{self.site}"

    @property
    def socket(self) -> Path:
        """The local socket `edgectl` talks to."""
        return self.data.dir / "agent.sock"

    @property
    def function_defaults(self) -> FunctionSpec:
        """What a function's manifest is read on top of."""
        given = self.functions
        pool = PoolSpec(max_workers=given.max_workers)
        return FunctionSpec(name="", timeout=given.timeout, memory=given.memory, cpu=given.cpu, pool=pool)
