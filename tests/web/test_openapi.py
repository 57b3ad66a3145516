"""The OpenAPI document is valid, complete, and true: generated requests get documented answers and never a 500."""

from __future__ import annotations

import hypothesis
import pytest
import schemathesis
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from edge_agent.web.guard import Limits, Rate


@pytest.fixture
def document(admin):
    return admin("GET", "/api/v1/openapi.json").json


def test_the_document_is_valid_openapi_3_1(document):
    assert document["openapi"].startswith("3.1")
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []


def test_every_route_is_in_it_once_under_its_own_name(document, app):
    routes = {rule.endpoint for rule in app.url_map.iter_rules()}
    documented = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
    assert sorted(documented) == sorted(endpoint.replace(".", "_") for endpoint in routes)


def test_generated_requests_get_documented_answers(document, caller, server, app, monkeypatch, tank_low, echo):
    guard = app.extensions["edge.guard"]
    for buckets in (guard._known, guard._unknown):
        monkeypatch.setattr(buckets, "_rate", Rate(1e9, 1e9))
    assert Limits().known.per_second < 1e9
    caller.put("/api/v1/rules/tank-low", json=tank_low)
    caller.put("/api/v1/functions/echo", json=echo)
    caller.post("/api/v1/devices/tank-1/readings", json={"readings": {"level": 10}})
    checks = (not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance)
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=server)
    headers = dict(caller.headers)
    known = {"device": "tank-1", "rule": "tank-low", "function": "echo", "name": "guest"}
    tried = 0
    for result in schema.exclude(path_regex="/events$|/logs/live$").get_all_operations():
        operation = result.ok()

        @hypothesis.settings(
            max_examples=6,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        @hypothesis.given(case=operation.as_strategy(), real=hypothesis.strategies.booleans())
        def exercise(case, real):
            nonlocal tried
            tried += 1
            if real:
                case.path_parameters = {**(case.path_parameters or {}), **_some(case.path_parameters, known)}
            case.call_and_validate(headers=headers, checks=checks, timeout=20)

        exercise()
    assert tried > 150


def _some(asked, known):
    return {name: known[name] for name in asked or {} if name in known}
