"""TLS on an ESP32: the broker is the one with our CA's certificate for its name, or there is no connection."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from tests.broker import Broker, free_port
from tests.firmware.ear import Ear
from tests.firmware.unixboard import UnixBoard
from tests.waiting import eventually

HEAP = "160K"
CLEAR = free_port()
"""Where the test itself listens."""


@pytest.fixture(scope="module")
def house() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def broker(house: trustme.CA, tmp_path: Path) -> Iterator[Broker]:
    issued = house.issue_cert("localhost")
    certificate, key = tmp_path / "broker.pem", tmp_path / "broker.key"
    issued.cert_chain_pems[0].write_to_path(certificate)
    issued.private_key_pem.write_to_path(key)
    with Broker(tls=(certificate, key), extra=[f"listener {CLEAR} 127.0.0.1"]) as running:
        eventually(listens)
        yield running


def listens() -> bool:
    """The second listener is open a moment after the first."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", CLEAR), timeout=1):
        return True
    return False


def test_readings_go_through_tls_where_ca_and_name_are_right(tmp_path: Path, house: trustme.CA, broker: Broker) -> None:
    secure = {"broker": "localhost", "ca": house.cert_pem.bytes().decode()}
    with (
        Ear(CLEAR) as ear,
        UnixBoard(tmp_path / "board", broker.port, heap=HEAP, sectors=0, every=0.05, **secure),
    ):
        eventually(lambda: len(ear.readings()) >= 100)
        assert [one["seq"] for one in ear.readings()[:100]] == list(range(1, 101))
        broker.kill()
        broker.start()
        eventually(lambda: ear.of("status")[-1:] == ["online"] and len(ear.readings()) >= 150)


@pytest.mark.parametrize("wrong", ["ca", "name"])
def test_a_broker_with_another_ca_or_name_gets_nothing(
    wrong: str, tmp_path: Path, house: trustme.CA, broker: Broker
) -> None:
    ca = trustme.CA() if wrong == "ca" else house
    secure = {"broker": "127.0.0.1" if wrong == "name" else "localhost", "ca": ca.cert_pem.bytes().decode()}
    with UnixBoard(tmp_path / "board", broker.port, heap=HEAP, password="secret", **secure) as board:
        board.after = "board.log = print"
        board.start()
        eventually(lambda: board.output.count("connection: the broker's certificate: ") >= 2, timeout=30)
        assert "Traceback" not in board.output, "it measures on, and tries again"
    assert " as tank-1 " not in broker.log
