"""Boards: what they are, what they said last, and every reading they sent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flask import Blueprint, Response, request

from edge_agent.web import parameters
from edge_agent.web.desk import appliance, now
from edge_agent.web.operation import Operation, route
from edge_agent.web.schemas import CURSOR, DRY_RUN, LIMIT, SINCE, STEP, TEXT, UNTIL, listed, page, query, record, ref

blueprint = Blueprint("devices", __name__)
Json = dict[str, Any]
DAY = 24 * 3600 * 1000


@route(
    blueprint,
    "GET /api/v1/devices",
    Operation("Every device with its last values", query=(LIMIT, CURSOR), answers={200: page("Device")}, errors=(400,)),
)
def list_devices() -> Json:
    return parameters.page_of(sorted(appliance().devices(), key=lambda device: str(device["name"])))


@route(
    blueprint,
    "GET /api/v1/devices/<device>",
    Operation("One device", answers={200: ref("Device")}, errors=(404,)),
)
def show_device(device: str) -> Json:
    return appliance().device(parameters.known_name(device, "device"))


@route(
    blueprint,
    "PATCH /api/v1/devices/<device>",
    Operation(
        "Give a device a label",
        scope="operate",
        body={"application/json": record("label", label=TEXT)},
        answers={200: ref("Device")},
        errors=(400, 404, 413, 415),
    ),
)
def rename_device(device: str) -> Json:
    fields = parameters.Fields(parameters.body_object())
    label = fields.text("label", most=100)
    fields.done()
    return appliance().rename_device(parameters.known_name(device, "device"), label)


@route(
    blueprint,
    "DELETE /api/v1/devices/<device>",
    Operation(
        "Forget a device and its readings",
        scope="admin",
        query=(DRY_RUN,),
        answers={200: ref("Forgotten")},
        errors=(400, 404),
    ),
)
def forget_device(device: str) -> Json:
    return appliance().forget_device(parameters.known_name(device, "device"), dry_run=parameters.flag("dry_run"))


@route(
    blueprint,
    "GET /api/v1/devices/<device>/readings",
    Operation(
        "Readings of a device, each one or averaged by step; as JSON, or as text/csv by Accept",
        query=(query("reading", "one reading; all when left out"), SINCE, UNTIL, STEP),
        answers={200: {"application/json": record("items", items=listed(ref("Point"))), "text/csv": TEXT}},
        errors=(400, 404, 503),
    ),
)
def list_readings(device: str) -> Response | Json:
    reading, moment = parameters.word("reading"), now()
    until = parameters.instant("until", moment, moment + 1)
    since = parameters.instant("since", moment, max(0, until - DAY))
    step = parameters.duration("step")
    if since > until:
        raise parameters.fault("since", "is later than until")
    points = appliance().readings(parameters.known_name(device, "device"), reading, since, until, step)
    if request.accept_mimetypes.best_match(["application/json", "text/csv"]) == "text/csv":
        headers = {"Content-Disposition": f'attachment; filename="{device}.csv"'}
        return Response(_csv(points, reading, step), content_type="text/csv; charset=utf-8", headers=headers)
    return {"device": device, "since": since, "until": until, "step": step, "items": points}


def _csv(points: list[Json], reading: str, step: int) -> Iterator[str]:
    columns = ["t", *([] if reading else ["reading"]), *(["mean", "min", "max", "count"] if step else ["value"])]
    yield ",".join(columns) + "\r\n"
    for start in range(0, len(points), 500):
        lines = (",".join(_cell(point.get(column)) for column in columns) for point in points[start : start + 500])
        yield "".join(f"{line}\r\n" for line in lines)


def _cell(value: Any) -> str:
    """One value as RFC 4180 wants it. A text a spreadsheet would run as a formula is kept from running."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    if isinstance(value, str):
        if text[:1] in ("=", "+", "-", "@", "\t", "\r"):
            text = "'" + text
        if any(mark in text for mark in ',"\r\n'):
            text = '"' + text.replace('"', '""') + '"'
    return text
