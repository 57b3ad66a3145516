"""How the appliance is: for people (status, checks, trace) and for machines (`/healthz`, `/readyz`, `/metrics`)."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response
from prometheus_client import CONTENT_TYPE_LATEST

from edge_agent.web.desk import appliance
from edge_agent.web.operation import Operation, route
from edge_agent.web.problems import Problem
from edge_agent.web.schemas import ANY, TEXT, listed, record, ref

blueprint = Blueprint("status", __name__)
Json = dict[str, Any]


@route(
    blueprint,
    "GET /healthz",
    Operation("Whether the process answers", scope="", always=True, answers={200: {"text/plain": TEXT}}),
)
def healthz() -> Response:
    return Response("ok\n", content_type="text/plain; charset=utf-8")


@route(
    blueprint,
    "GET /readyz",
    Operation("Whether it can take readings now", answers={200: {"text/plain": TEXT}}, errors=(503,)),
)
def readyz() -> Response:
    ready, why = appliance().ready()
    if not ready:
        raise Problem(503, why, retry_after=5.0)
    return Response("ready\n", content_type="text/plain; charset=utf-8")


@route(blueprint, "GET /metrics", Operation("Prometheus metrics", answers={200: {"text/plain": TEXT}}))
def metrics() -> Response:
    return Response(appliance().metrics(), content_type=CONTENT_TYPE_LATEST)


@route(blueprint, "GET /api/v1/status", Operation("One screen of how things are", answers={200: ref("Status")}))
def status() -> Json:
    return appliance().status()


@route(
    blueprint,
    "GET /api/v1/checks",
    Operation("Every health check", answers={200: record("items", items=listed(ref("Check")))}),
)
def checks() -> Json:
    return {"items": appliance().checks()}


@route(
    blueprint,
    "GET /api/v1/trace/<event:id>",
    Operation("The phases one reading went through", answers={200: ref("Trace")}, errors=(404,)),
)
def trace(id: str) -> Json:
    return appliance().trace(id)


@route(
    blueprint,
    "POST /api/v1/reload",
    Operation("Read rules and functions again", scope="admin", answers={200: ANY}, errors=(400, 503)),
)
def reload() -> Json:
    return appliance().reload()
