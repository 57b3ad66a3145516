"""A CA of the test's own, and servers that vouch by it."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme
from aiosmtpd.controller import Controller

from tests.broker import Broker
from tests.functions.real.mailbox import Mailbox, controller
from tests.functions.real.receiver import Receiver

Serve = Callable[..., tuple[Mailbox, int]]


@pytest.fixture
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(ca: trustme.CA, tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(str(path))
    return str(path)


@pytest.fixture
def tls(ca: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture
def serve(tls: ssl.SSLContext) -> Iterator[Serve]:
    """Start a mail server: `serve(security, sign_in=True)` gives its mailbox and port."""
    running: list[Controller] = []

    def start(security: str, *, sign_in: bool = False) -> tuple[Mailbox, int]:
        mailbox = Mailbox()
        server, port = controller(mailbox, security, tls, sign_in=sign_in)
        server.start()
        running.append(server)
        return mailbox, port

    yield start
    for server in running:
        server.stop()


@pytest.fixture
def broker() -> Iterator[Broker]:
    with Broker() as broker:
        yield broker


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver().serving() as receiver:
        yield receiver
