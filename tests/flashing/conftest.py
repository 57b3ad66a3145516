"""An appliance on this machine whose broker asks for passwords, as `edgectl run --lan` sets it up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from edge_agent.adapters.mosquitto_process import AGENT, Mosquitto, free_port, make_users
from edge_agent.decode import Decode
from tests.agent import Agent


@dataclass
class Shelf:
    """The agent and its broker."""

    agent: Agent
    broker: Mosquitto

    @property
    def agent_login(self) -> tuple[str, str]:
        return AGENT, (self.broker.folder / "agent.password").read_text().strip()


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    port = free_port(0, "127.0.0.1")
    folder = tmp_path / "appliance" / "data" / "broker"
    filters = Decode("home", ("native", "esphome"), boot="0").filters()
    users = make_users(folder, "home", filters)
    broker = Mosquitto(folder, port, lan=True)
    broker.start()
    settings = {"mqtt.username": AGENT, "mqtt.password": users.agent_password}
    try:
        (tmp_path / "appliance").mkdir(exist_ok=True)
        with Agent(tmp_path / "appliance", port, settings=settings) as agent:
            yield Shelf(agent, broker)
    finally:
        broker.stop()
