"""Taking MQTT packets out of a stream, however it is cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.adapters.mqtt_paho import packets
from edge_agent.adapters.mqtt_paho.packets import Malformed, Publish


def publish(
    topic: bytes, payload: bytes, *, mid: int = 0, retain: bool = False, v5: bool = True, extra: bytes = b""
) -> bytes:
    """A PUBLISH packet (MQTT 5, 3.3), written independently of the code under test; QoS 1 when `mid` is given."""
    first = 0x30 | (0x02 if mid else 0) | (0x01 if retain else 0)
    body = len(topic).to_bytes(2, "big") + topic + (mid.to_bytes(2, "big") if mid else b"")
    if v5:
        size = len(extra)
        body += (bytes([size]) if size < 128 else bytes([size % 128 | 128, size // 128])) + extra
    body += payload
    size, length = len(body), b""
    while True:
        size, digit = divmod(size, 128)
        length += bytes([digit | (128 if size else 0)])
        if not size:
            return bytes([first]) + length + body


def take(stream: bytes, cuts: list[int], v5: bool) -> tuple[list[Publish], list[bytes]]:
    """Feed the stream in pieces, as a socket would."""
    published: list[Publish] = []
    rest: list[bytes] = []
    held = b""
    edges = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    for begin, end in pairwise(edges):
        held += stream[begin:end]
        held = held[packets.split(held, v5, published, rest) :]
    assert held == b"", "whole packets were left over"
    return published, rest


message = st.tuples(
    st.text(st.characters(codec="ascii", exclude_characters="#+\0"), min_size=1, max_size=40),
    st.binary(max_size=400),
    st.integers(0, 65535),
    st.booleans(),
    st.binary(max_size=200),
)


@given(st.lists(message, max_size=8), st.lists(st.integers(0, 10_000), max_size=8), st.booleans())
def test_every_publish_comes_out_whole_and_in_order_however_the_stream_is_cut(
    messages: list[tuple[str, bytes, int, bool, bytes]], cuts: list[int], v5: bool
) -> None:
    stream = b""
    for topic, payload, mid, retain, extra in messages:
        stream += publish(topic.encode(), payload, mid=mid, retain=retain, v5=v5, extra=extra) + b"\xd0\x00"
    published, rest = take(stream, cuts, v5)
    assert published == [
        (mid.to_bytes(2, "big") if mid else b"", topic.encode(), payload, retain)
        for topic, payload, mid, retain, _ in messages
    ]
    assert rest == [b"\xd0\x00"] * len(messages)


def test_qos_2_is_left_to_paho() -> None:
    packet = b"\x34\x06\x00\x01a\x00\x07\x00"
    published: list[Publish] = []
    rest: list[bytes] = []
    assert packets.split(packet, True, published, rest) == len(packet)
    assert (published, rest) == ([], [packet])


@pytest.mark.parametrize(
    "stream",
    [b"\x32\x05\x00\x09a\x00\x01", b"\x32\xff\xff\xff\xff\x01", b"\x32\x05\x00\x01a\x00\x07"],
    ids=["a topic longer than its packet", "a length of five bytes", "no properties"],
)
def test_a_stream_that_is_no_mqtt_is_refused(stream: bytes) -> None:
    with pytest.raises(Malformed):
        packets.split(stream, True, [], [])


def test_acknowledgements_of_a_batch_are_one_string_of_packets() -> None:
    assert packets.pubacks([b"\x00\x01", b"\x00\x02"]) == b"\x40\x02\x00\x01\x40\x02\x00\x02"
    assert packets.pubacks([]) == b""


@given(
    st.lists(st.tuples(st.text(st.characters(codec="ascii"), min_size=1, max_size=30), st.binary(max_size=300))),
    st.booleans(),
)
def test_what_we_publish_is_read_back_by_the_splitter(messages: list[tuple[str, bytes]], v5: bool) -> None:
    published, rest = take(packets.publish_qos0(messages, v5), [], v5)
    assert [(topic.decode(), payload) for _, topic, payload, _ in published] == messages
    assert rest == []
