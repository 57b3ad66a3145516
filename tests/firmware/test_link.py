"""The MQTT client against a real broker: more publications than there are packet ids, and brokers that do not answer."""

from __future__ import annotations

import socket
import threading

from tests.broker import Broker
from tests.firmware.unixboard import run

SEVENTY_THOUSAND = """
from edge.link import Link
link = Link("wrap", keep=30)
link.open("127.0.0.1", %d)
n = 0
while n < 70000:
    while link.room() > 0 and n < 70000:
        link.publish("t", b"x")
        n += 1
    link.poll(100)
while link.flight:
    link.poll(100)
print("done", n, link.pid)
"""


def test_seventy_thousand_publications_wrap_the_packet_id_and_each_gets_its_puback(broker: Broker) -> None:
    assert run(SEVENTY_THOUSAND % broker.port, heap="28K").split()[-3:] == ["done", "70000", str(70000 - 65535)]


IMPATIENT = """
from edge import link as module
module.PATIENCE = 300
link = module.Link("dup", keep=30)
link.open("127.0.0.1", %d)
link.publish("t", b"x")
try:
    while True:
        link.poll(50)
except module.Lost as error:
    print("lost", error)
"""


def test_a_lost_puback_is_asked_for_once_with_dup_then_the_connection_is_given_up() -> None:
    got: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def broker() -> None:
            peer, _ = server.accept()
            with peer:
                peer.recv(1024)
                peer.sendall(b"\x20\x02\x00\x00")
                while packet := peer.recv(1024):
                    got.append(packet)

        thread = threading.Thread(target=broker)
        thread.start()
        said = run(IMPATIENT % server.getsockname()[1])
        thread.join(10)
    assert said.endswith("lost no PUBACK\n")
    assert got[0][0] == 0x32
    assert got[1][0] == 0x3A, "DUP, and nothing else is different"
    assert got[0][1:] == got[1][1:]
    assert len(got) == 2


def test_a_connection_that_goes_silent_is_given_up_after_one_and_a_half_keepalives() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def broker() -> None:
            peer, _ = server.accept()
            with peer:
                peer.recv(1024)
                peer.sendall(b"\x20\x02\x00\x00")
                while peer.recv(1024):
                    pass

        thread = threading.Thread(target=broker)
        thread.start()
        code = IMPATIENT.replace("keep=30", "keep=1").replace('link.publish("t", b"x")\n', "")
        said = run(code % server.getsockname()[1])
        thread.join(10)
    assert said.endswith("lost silence\n")
