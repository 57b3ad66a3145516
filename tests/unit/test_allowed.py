"""Which functions a machine runs, by who declares them."""

from __future__ import annotations

from typing import Any

import pytest

from edge_agent.app import allowed
from edge_agent.errors import Refused
from edge_agent.settings import Settings

IMAGE, SOURCE = {"image": "r.test/f:1"}, {"source": "./f", "command": ["./f"]}


def settings(runner: str, *, by_api: bool = False) -> Settings:
    given = {"functions": {"runner": runner, "by_api": by_api}, "kubernetes": {"runtime_address": "10.42.0.1"}}
    return Settings.model_validate(given)


def manifest(spec: Any) -> dict[str, Any]:
    return {"kind": "Function", "metadata": {"name": "f"}, "spec": spec}


@pytest.mark.parametrize("by_api", [False, True])
def test_where_functions_are_pods_one_without_an_image_is_refused_with_what_to_do(by_api: bool) -> None:
    with pytest.raises(Refused, match=r"has no image; write image: .* edgectl functions deploy FOLDER"):
        allowed.by_api(settings("kubernetes", by_api=by_api), manifest(SOURCE))
    allowed.by_api(settings("kubernetes", by_api=by_api), manifest(IMAGE))


def test_a_command_on_the_host_is_taken_only_where_the_configuration_says_so() -> None:
    with pytest.raises(Refused, match="and reload"):
        allowed.by_api(settings("process"), manifest(SOURCE))
    with pytest.raises(Refused, match="remove source"):
        allowed.by_api(settings("kubernetes"), manifest(IMAGE | SOURCE))
    allowed.by_api(settings("process", by_api=True), manifest(SOURCE))


def test_what_is_no_function_is_judged_elsewhere() -> None:
    allowed.by_api(settings("kubernetes"), {"kind": "Rule", "spec": {}})
    with pytest.raises(Refused):
        allowed.by_api(settings("kubernetes"), manifest("no table"))
