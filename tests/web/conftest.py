"""The web application over an appliance. Tests reach the appliance through its Protocol only, so that any can serve; those
that need to break something ask for `fake`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from flask import Flask

from edge_agent.web.accounts import Accounts
from edge_agent.web.appliance import Appliance
from edge_agent.web.application import create_app
from edge_agent.web.server import Server
from tests.web.fake_appliance import FakeAppliance


class Time:
    """Epoch milliseconds that pass as they do, and jump when told to."""

    def __init__(self) -> None:
        self.ahead = 0

    def __call__(self) -> int:
        return time.time_ns() // 1_000_000 + self.ahead

    def pass_by(self, milliseconds: int) -> None:
        self.ahead += milliseconds


@pytest.fixture
def appliance() -> Appliance:
    return FakeAppliance()


@pytest.fixture
def fake(appliance: Appliance) -> FakeAppliance:
    """For tests of what the Protocol cannot cause."""
    if not isinstance(appliance, FakeAppliance):
        pytest.skip("breaks things a real appliance does not offer to break")
    return appliance


@pytest.fixture
def clock() -> Time:
    return Time()


@pytest.fixture
def accounts(tmp_path: Path, clock: Time) -> Accounts:
    return Accounts(tmp_path / "accounts.json", clock)


@pytest.fixture
def app(appliance: Appliance, accounts: Accounts, clock: Time) -> Flask:
    return create_app(appliance, accounts, clock=clock, names=["shelf.example"], streams=4)


@pytest.fixture
def server(app: Flask, tmp_path: Path) -> Iterator[str]:
    """The application behind the production server: its base address."""
    running = Server(app, "127.0.0.1", 0, tmp_path / "agent.sock")
    port = running.start()
    yield f"http://127.0.0.1:{port}"
    running.stop()


class Visitor:
    """A client of the application with a token of some scopes."""

    def __init__(self, app: Flask, token: str = "") -> None:
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.client = app.test_client(use_cookies=not token)

    def __call__(self, method: str, path: str, **options: Any) -> Any:
        headers = {**self.headers, **options.pop("headers", {})}
        return self.client.open(path, method=method, headers=headers, **options)


@pytest.fixture
def visitor(app: Flask, accounts: Accounts) -> Any:
    """visitor("read"), visitor("ingest:tank-1"), visitor() for a stranger."""

    def make(*scopes: str) -> Visitor:
        name = f"{'-'.join(scopes)}-{len(accounts.tokens())}"
        return Visitor(app, accounts.create_token(name, scopes) if scopes else "")

    return make


@pytest.fixture
def admin(visitor: Any) -> Visitor:
    found: Visitor = visitor("admin")
    return found


@pytest.fixture
def caller(server: str, accounts: Accounts) -> Iterator[httpx.Client]:
    """An admin's client of the running server."""
    token = accounts.create_token("caller", ["admin"])
    with httpx.Client(base_url=server, headers={"Authorization": f"Bearer {token}"}, timeout=20) as client:
        yield client


@pytest.fixture
def tank_low() -> dict[str, Any]:
    """A rule: warn when a tank is below 20."""
    return manifest("Rule", "tank-low", devices="tank-*", reading="level", below=20, severity="critical")


@pytest.fixture
def echo() -> dict[str, Any]:
    """A function that answers with what it was sent."""
    return manifest("Function", "echo", command=["cat"], isolation="shared")


def manifest(kind: str, name: str, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "edge.internal/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}
