"""Every kind of event we make, and every one that is handed in, by the judgement of the official CloudEvents SDK."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from cloudevents.core.base import BaseCloudEvent
from cloudevents.core.bindings.http import (
    HTTPMessage,
    from_structured_event,
    to_binary_event,
    to_structured_event,
)
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.domain import event
from edge_agent.domain.invocation import Invocation, Succeeded
from edge_agent.domain.message import Message
from edge_agent.engine.functions.lanes import key_of
from edge_agent.errors import Invalid
from tests.unit.test_event import match

NOW = 1_763_892_000_123
STRUCTURED = "application/cloudevents+json"


def read(body: bytes) -> BaseCloudEvent:
    """What the SDK reads, every attribute checked by it."""
    return from_structured_event(HTTPMessage({"content-type": STRUCTURED}, body))


def round_trip(body: bytes) -> None:
    """Read by the SDK, written by the SDK, taken by us: the same event."""
    found = read(body)
    written = to_structured_event(found)
    again = event.of_call("call/1", "f", "home", NOW, (written.body, written.headers["content-type"], {}))
    assert read(again).get_attributes() == found.get_attributes()
    assert read(again).get_data() == found.get_data()


def message(payload: bytes, topic: str = "house/bell") -> bytes:
    return event.of_message("mqtt/own/1", Message(topic, payload, NOW), "home")


def result(response: bytes, media: str = "application/json", cause: bytes = b"{}") -> bytes:
    invocation = Invocation("tank-1/b1/7/low", "mail", cause, NOW - 5, "rule:low")
    return event.of_result("tank-1/b1/7/low~mail", invocation, Succeeded(response, media), "home", NOW)


def call(body: bytes, media: str = "application/json", attributes: Mapping[str, str] | None = None) -> bytes:
    return event.of_call("call/1", "mail", "home", NOW, (body, media, attributes or {}))


KINDS = {
    "rule": event.of_match(match(), "home", "%"),
    "message": message(b'{"on": true}'),
    "message-text": message("grüß dich ✓ 🐑".encode()),
    "message-binary": message(b"\x89PNG\r\n\x1a\n\x00"),
    "message-empty": message(b""),
    "message-null": message(b"null"),
    "cron": event.of_cron("cron/f/12345678/2026-11-23T10:00:00Z", "f", "home", NOW, {"cron": "* * * * *"}),
    "result": result(b'{"sent": 1}'),
    "result-text": result(b"sent", "text/plain; charset=utf-8"),
    "result-binary": result(b"\x00\xff", "image/png"),
    "result-empty": result(b""),
    "call": call(b'{"to": "ann"}'),
    "call-text": call("grüß".encode(), "text/plain"),
    "call-empty": call(b""),
}


@pytest.mark.parametrize("body", KINDS.values(), ids=KINDS.keys())
def test_the_official_sdk_takes_every_kind_of_event_and_we_take_it_back_from_the_sdk(body: bytes) -> None:
    found = read(body)
    assert found.get_specversion() == "1.0"
    assert found.get_type().startswith("internal.edge.")
    assert found.get_time() == datetime.fromtimestamp(NOW / 1000, UTC)
    assert all(re.fullmatch("[a-z0-9]{1,20}", name) for name in found.get_attributes())
    round_trip(body)


@pytest.mark.parametrize("body", KINDS.values(), ids=KINDS.keys())
def test_attributes_come_before_the_data(body: bytes) -> None:
    names = list(json.loads(body))
    assert names[-1] in ("data", "data_base64")


@given(
    st.binary(max_size=40)
    | st.text(max_size=40).map(str.encode)
    | st.from_type(bytes).map(lambda raw: b'"' + raw + b'"')
)
def test_any_payload_arrives_as_it_was_sent(payload: bytes) -> None:
    found = read(message(payload))
    data = found.get_data()
    match found.get_datacontenttype():
        case None:
            assert data is None
            assert not payload.strip()
        case "application/json":
            assert msgspec.json.decode(payload) == data
        case "text/plain":
            assert data == payload.decode()
        case "application/octet-stream":
            assert data == payload
            with pytest.raises(UnicodeDecodeError):
                payload.decode()


@given(st.text(min_size=1, max_size=60))
def test_any_topic_can_be_the_subject(topic: str) -> None:
    body = message(b"1", topic.encode("utf-8", "replace").decode())
    assert read(body).get_subject()
    round_trip(body)


def test_numbers_stay_as_they_were_written() -> None:
    assert b'"data":{"price":1.10,"big":12345678901234567890123}' in message(
        b'{"price":1.10,"big":12345678901234567890123}'
    )


@pytest.mark.parametrize("payload", [b"NaN", b'{"a":1e999}', b"{'a':1}", b"\xef\xbb\xbf{}", b"[" * 5000, b'"\\ud800"'])
def test_what_is_nearly_json_is_text(payload: bytes) -> None:
    found = read(message(payload))
    assert (found.get_datacontenttype(), found.get_data()) == ("text/plain", payload.decode())


@pytest.mark.parametrize(
    ("response", "media", "kind", "data"),
    [
        (b'{"a":1}', "application/json", "application/json", {"a": 1}),
        (b'{"a":1}', "application/vnd.api+json", "application/vnd.api+json", {"a": 1}),
        (b"42", "text/plain", "text/plain", "42"),
        (b"done", "application/json", "text/plain", "done"),
        (b"<a/>", "application/xml", "application/xml", "<a/>"),
        (b"text", "application/octet-stream", "application/octet-stream", b"text"),
        (b"\xff", "application/json", "application/octet-stream", b"\xff"),
        (b"\xff", "text/plain", "text/plain", b"\xff"),
        (b"{}", "no media type", "application/json", {}),
        (b"", "application/json", None, None),
        (b" \n", "application/json", None, None),
    ],
)
def test_an_answer_is_handed_on_as_what_it_is(response: bytes, media: str, kind: str | None, data: Any) -> None:
    found = read(result(response, media))
    assert (found.get_datacontenttype(), found.get_data()) == (kind, data)


def test_a_result_tells_its_way_and_stays_in_the_trace() -> None:
    first = event.of_match(match(), "home", "%")
    steps = [Invocation("i", "mail", first, NOW, "rule:tank-low")]
    for name in ("report", "archive"):
        body = event.of_result(f"{steps[-1].id}~{steps[-1].function}", steps[-1], Succeeded(b"1"), "home", NOW)
        steps.append(
            Invocation(f"{steps[-1].id}~{steps[-1].function}", name, body, NOW, f"result:{steps[-1].function}")
        )
    told = [read(step.event).get_attributes() for step in steps]
    assert [each.get("edgedepth") for each in told] == [None, 1, 2]
    assert [each.get("edgecause") for each in told] == [None, "rule:tank-low > mail", "rule:tank-low > mail > report"]
    traces = [each["traceparent"].split("-") for each in told]
    assert len({trace for _, trace, _, _ in traces}) == 1
    assert len({span for _, _, span, _ in traces}) == 3
    assert [event.depth(step.event) for step in steps] == [0, 1, 2]


def test_a_function_that_passes_on_how_deep_it_is_is_counted_on_over_the_broker() -> None:
    found = read(message(b'{"edgedepth": 3, "edgecause": "rule:x > a > b > c", "level": 1}'))
    assert found.get_extension("edgedepth") == 4
    assert found.get_extension("edgecause") == "rule:x > a > b > c > topic:house/bell"
    for plain in (
        b'{"data": {"edgedepth": 3}}',
        b'{"edgedepth": "x"}',
        b'{"edgedepth": -5}',
        b'"edgedepth"',
        b'{"edgedepth": 0}',
    ):
        assert "edgedepth" not in read(message(plain)).get_attributes()


def test_an_event_says_whose_it_is_and_a_result_hands_it_on() -> None:
    ring = read(message(b"{}")).get_attributes()
    assert ring["partitionkey"] == "house/bell"
    reading = read(
        event.of_message("tank-1/b1/7", Message("edge/v1/home/devices/tank-1/readings", b"{}", NOW), "home", "tank-1")
    )
    assert reading.get_extension("partitionkey") == "tank-1"
    first = event.of_match(match(), "home", "%")
    of_rule = read(result(b"1", cause=first))
    assert of_rule.get_extension("partitionkey") == "tank-1"
    again = result(b"1", cause=result(b"1", cause=first))
    assert read(again).get_extension("partitionkey") == "tank-1"
    assert "partitionkey" not in read(result(b"1", cause=b'{"data": {"device": 5}}')).get_attributes()
    keys = [key_of(Invocation("i", "f", body, NOW)) for body in (first, again, message(b"{}"))]
    assert keys == ["device tank-1", "device tank-1", "device house/bell"]


def test_the_way_is_bounded() -> None:
    cause = json.dumps({"edgecause": "x" * 5000, "edgedepth": 2**40}).encode()
    attributes = read(result(b"1", cause=cause)).get_attributes()
    assert len(attributes["edgecause"]) == event.CAUSE_MOST
    assert attributes["edgecause"].endswith("> mail")
    assert attributes["edgedepth"] == 2**31 - 1


# -- what a caller hands in

NAMES = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=20).filter(
    lambda name: (
        name not in ("data", "id", "source", "type", "specversion", "time", "subject", "dataschema", "datacontenttype")
    )
)
TEXTS = st.text(st.characters(exclude_categories=("Cc", "Cs", "Cn")), min_size=1, max_size=30).filter(
    lambda text: text == text.strip()
)
DATA = (
    st.none()
    | st.binary(min_size=1, max_size=20)
    | st.dictionaries(st.text(max_size=5), st.integers(-9, 9) | st.text(max_size=5) | st.none(), max_size=3)
)
ZONES = st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))])
TIMES = st.builds(datetime.fromtimestamp, st.integers(0, 7 * 10**9), ZONES)


@st.composite
def events(draw: st.DrawFn) -> CloudEvent:
    attributes: dict[str, Any] = {
        "specversion": "1.0", "id": draw(TEXTS), "type": draw(TEXTS), "source": draw(st.sampled_from(["/a", "urn:x:y", "https://example.org/a?b=c#d"])),
    }  # fmt: skip
    attributes |= draw(st.dictionaries(NAMES, TEXTS, max_size=3))
    if draw(st.booleans()):
        attributes |= {"time": draw(TIMES), "subject": draw(TEXTS), "dataschema": "https://example.org/schema"}
    data = draw(DATA)
    if data is not None:
        attributes["datacontenttype"] = "application/octet-stream" if isinstance(data, bytes) else "application/json"
    return CloudEvent(attributes, data)


@given(events())
def test_what_the_sdk_writes_in_structured_mode_is_handed_on_byte_by_byte(given_: CloudEvent) -> None:
    written = to_structured_event(given_)
    assert call(written.body, written.headers["content-type"]) == written.body


@given(events())
def test_what_the_sdk_writes_in_binary_mode_is_the_same_event(given_: CloudEvent) -> None:
    written = to_binary_event(given_)
    headers = {name[3:]: value for name, value in written.headers.items() if name.startswith("ce-")}
    found = read(call(written.body, written.headers.get("content-type", ""), headers))
    assert found.get_attributes() == given_.get_attributes()
    assert found.get_data() == given_.get_data()


def test_plain_json_that_is_a_whole_event_is_handed_on_and_other_json_is_data() -> None:
    whole = b'{"specversion":"1.0","id":"x","source":"/s","type":"t"}'
    assert call(whole) == whole
    assert call(whole, STRUCTURED + "; charset=utf-8") == whole
    found = read(call(b'{"id": "x", "type": "t"}'))
    assert (found.get_type(), found.get_id(), found.get_data()) == (
        "internal.edge.call",
        "call/1",
        {"id": "x", "type": "t"},
    )


def test_a_caller_that_quotes_a_header_is_understood() -> None:
    headers = {
        "Specversion": "1.0",
        "ID": '"with \\"quotes\\" and %20"',
        "source": "/s",
        "type": "t",
        "ext": "gr%C3%BC%C3%9F",
    }
    found = read(call(b"\x01\x02", "image/png", headers))
    assert found.get_id() == 'with "quotes" and  '
    assert found.get_extension("ext") == "grüß"
    assert found.get_data() == b"\x01\x02"


def faults(body: bytes, media: str = STRUCTURED, attributes: Mapping[str, str] | None = None) -> dict[str, str]:
    with pytest.raises(Invalid) as caught:
        call(body, media, attributes)
    return {fault.field: fault.message for fault in caught.value.faults}


def test_an_event_that_is_none_is_answered_with_every_fault_at_once() -> None:
    body = json.dumps(
        {
            "specversion": "0.3", "id": "", "source": "a b", "type": 7, "time": "yesterday", "subject": None,
            "dataschema": "/relative", "datacontenttype": "json", "Upper_Case": "x", "deep": {"a": 1}, "half": 1.5,
            "large": 2**31, "bell": "a\u0007b", "data": 1, "data_base64": "???",
        }
    ).encode()  # fmt: skip
    found = faults(body)
    assert set(found) == {
        "specversion", "id", "source", "type", "time", "dataschema", "datacontenttype", "Upper_Case", "deep", "half",
        "large", "bell", "data_base64",
    }  # fmt: skip
    assert found["id"] == "is empty"
    assert "not allowed" in found["bell"]


@pytest.mark.parametrize(
    ("body", "media", "field", "message"),
    [
        (b"{}", STRUCTURED, "id", "is missing"),
        (b'{"specversion":"1.0","id":null,"source":"/s","type":"t"}', STRUCTURED, "id", "is missing"),
        (b"[]", STRUCTURED, "body", "is no event"),
        (b"{", STRUCTURED, "body", "is not JSON"),
        (b"\xff", STRUCTURED, "body", "is not JSON"),
        (b"[" * 9999, STRUCTURED, "body", "is not JSON"),
        (b"[]", "application/cloudevents-batch+json", "Content-Type", "is a batch"),
        (b"<a/>", "application/cloudevents+xml", "Content-Type", "is a format not known here"),
        (
            b'{"specversion":"1.0","id":"i","source":"/s","type":"t","time":"2026-02-30T00:00:00Z"}',
            STRUCTURED,
            "time",
            "is no time",
        ),
        (b'{"specversion":"2.0","id":"i","source":"/s","type":"t"}', "application/json", "specversion", "is not known"),
        (b"{", "application/json", "body", "is not JSON"),
    ],
)
def test_each_fault_is_said_where_it_is(body: bytes, media: str, field: str, message: str) -> None:
    assert message in faults(body, media)[field]


def test_binary_mode_is_judged_as_a_whole_too() -> None:
    headers = {"id": "%ff", "source": "/s", "datacontenttype": "text/plain", "b@d": "x"}
    found = faults(b"{", "application/json", headers)
    assert set(found) == {"specversion", "id", "type", "ce-id", "ce-datacontenttype", "b@d", "body"}


@given(events(), st.data())
def test_whatever_the_sdk_refuses_we_refuse(given_: CloudEvent, data: st.DataObject) -> None:
    tree = json.loads(to_structured_event(given_).body)
    name = data.draw(st.sampled_from(["id", "source", "type", "specversion", "time", "subject", "UPPER", "a-b"]))
    tree[name] = data.draw(st.sampled_from(["", 5, "no time", True, [], "1.0", None]))
    body = json.dumps(tree).encode()
    try:
        read(body)
    except Exception:  # noqa: BLE001 - whatever it says
        if tree[name] is None and name in ("time", "subject"):  # null is absent (JSON format, 2.2); the SDK says no
            return
        with pytest.raises(Invalid):
            call(body, STRUCTURED)
