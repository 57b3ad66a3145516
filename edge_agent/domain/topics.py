"""The topic names of INTERFACE.md, built and taken apart in one place."""

from __future__ import annotations

import re
from functools import lru_cache

NAME = re.compile(r"[a-z0-9-]{1,63}")
ROOT = "edge/v1"


def is_name(text: str) -> bool:
    """Whether `text` may name a site, device, reading, rule or function."""
    return NAME.fullmatch(text) is not None


@lru_cache(maxsize=4096)
def to_name(text: str) -> str:
    """The nearest valid name to what another project calls a thing: `Kitchen_Light 2` becomes `kitchen-light-2`."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:63].strip("-")


class Topics:
    """All Topic Names and Topic Filters of one site."""

    def __init__(self, site: str) -> None:
        self.site = site
        self.base = f"{ROOT}/{site}"
        self.devices = f"{self.base}/devices/"
        self.status = f"{self.base}/appliance/status"
        self.all_readings = f"{self.devices}+/readings"
        self.all_batches = f"{self.devices}+/readings/batch"
        self.all_statuses = f"{self.devices}+/status"
        self.all_abouts = f"{self.devices}+/about"
        self.all_states = f"{self.devices}+/state/+"
        self.all_alerts = f"{self.base}/alerts/#"

    def readings(self, device: str) -> str:
        return f"{self.devices}{device}/readings"

    def batch(self, device: str) -> str:
        return f"{self.devices}{device}/readings/batch"

    def ack(self, device: str) -> str:
        return f"{self.devices}{device}/ack"

    def presence(self, device: str) -> str:
        return f"{self.devices}{device}/status"

    def about(self, device: str) -> str:
        return f"{self.devices}{device}/about"

    def command(self, device: str, actuator: str) -> str:
        return f"{self.devices}{device}/cmd/{actuator}"

    def state(self, device: str, actuator: str) -> str:
        return f"{self.devices}{device}/state/{actuator}"

    def alert(self, rule: str, device: str) -> str:
        return f"{self.base}/alerts/{rule}/{device}"
