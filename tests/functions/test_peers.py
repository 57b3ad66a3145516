"""Whose is the other end? The kernel's netlink answer and its text file say the same of real connections."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge_agent.runtime_api import peers
from edge_agent.runtime_api.peers import Owner, Peers, Unknowable, read_proc

Ends = tuple[socket.socket, socket.socket]


@pytest.fixture
def ends() -> Iterator[Ends]:
    """A connection on loopback: the client's end, the server's."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        accepted, _ = server.accept()
        with accepted:
            yield client, accepted


@pytest.fixture
def no_netlink(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel without sock_diag(7): there is no netlink family of this number."""
    monkeypatch.setattr(peers, "NETLINK_SOCK_DIAG", 31)
    with pytest.raises(OSError):
        socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 31)


def of(end: socket.socket) -> Owner:
    return Owner(os.getuid(), os.fstat(end.fileno()).st_ino)


def both(client: socket.socket, server: socket.socket, ask: Callable[..., Owner | None]) -> list[Owner | None]:
    """Who has the client's end, and the same of the other."""
    here, there = client.getsockname(), server.getsockname()
    return [ask(here, there), ask(there, here)]


def test_netlink_and_the_text_file_tell_the_same_owner(ends: Ends) -> None:
    client, server = ends
    asked = Peers()
    assert both(client, server, asked.owner) == [of(client), of(server)]
    assert both(client, server, read_proc) == [of(client), of(server)]
    asked.close()


@pytest.mark.usefixtures("no_netlink")
def test_without_netlink_the_text_file_is_asked(ends: Ends) -> None:
    client, server = ends
    assert both(client, server, Peers().owner) == [of(client), of(server)]


@pytest.mark.usefixtures("no_netlink")
def test_a_connection_that_is_over_is_nobodys_in_the_text_file_either(ends: Ends) -> None:
    client, server = ends
    here, there = client.getsockname(), server.getsockname()
    client.close()
    server.close()
    assert Peers().owner(here, there) is None
    assert Peers().owner(("127.0.0.1", 1), ("127.0.0.1", 2)) is None


@pytest.mark.usefixtures("no_netlink")
def test_where_neither_can_be_had_it_is_said(ends: Ends, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    client, server = ends
    monkeypatch.setattr(peers, "PROC", tmp_path / "tcp")
    with pytest.raises(Unknowable, match="neither sock_diag"):
        Peers().owner(client.getsockname(), server.getsockname())


def test_a_kernel_whose_netlink_knows_no_tcp_is_read_from_the_text_file(
    ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says "no such thing" of every connection, those that are there too."""
    client, server = ends
    monkeypatch.setattr(peers.socket, "IPPROTO_TCP", 250)
    assert both(client, server, Peers().owner) == [of(client), of(server)]
