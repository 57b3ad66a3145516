"""How to reach the broker, and as whom."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import Any

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties


@dataclass(frozen=True, slots=True)
class BrokerOptions:
    """How to reach the broker and as whom. `keepalive` and `session_expiry` are seconds; `tls_*` are paths."""

    host: str = "127.0.0.1"
    port: int = 1883
    client_id: str = "edge-agent"
    v5: bool = True
    username: str = ""
    password: str = field(default="", repr=False)
    tls: bool = False
    tls_ca: str = ""
    tls_cert: str = ""
    tls_key: str = ""
    keepalive: int = 30
    session_expiry: int = 7 * 86400
    receive_maximum: int = 5000
    fast: bool = True


def session_terms(options: BrokerOptions) -> dict[str, Any]:
    """What CONNECT says of the session, as arguments for paho's `connect`: it is kept while we are away (3.1.2.11)."""
    if not options.v5:
        return {}
    properties: Any = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = options.session_expiry
    properties.ReceiveMaximum = options.receive_maximum
    return {"clean_start": False, "properties": properties}


def tls_context(options: BrokerOptions) -> ssl.SSLContext:
    """TLS 1.2 or newer, the broker's certificate verified. Errors: OSError, ssl.SSLError (files that are none)."""
    context = ssl.create_default_context(cafile=options.tls_ca or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if options.tls_cert:
        context.load_cert_chain(options.tls_cert, options.tls_key or None)
    return context
