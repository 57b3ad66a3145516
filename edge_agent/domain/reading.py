"""What a board measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import msgspec

Value: TypeAlias = float | int | bool | str
"""One reading: a finite number (integers up to 2**53), a boolean, or a string of at most 256 characters."""

MAX_READINGS = 64
"""Readings in one message (INTERFACE: Topics)."""


class Sample(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Everything one board measured at one instant: the unit that is stored, acknowledged and matched.

    (device, boot, seq) names it for ever. `t` is when it was measured, epoch milliseconds: the board's own time where it
    has one, else the receipt less the sample's age (`dated` is False then). `oldest`, when not 0, is the board's word that
    it holds nothing older than this seq any more, so gaps below it will never be filled. `live` is False for retained
    messages: stored, but they trigger nothing.
    """

    device: str
    boot: str
    seq: int
    t: int
    received: int
    values: dict[str, Value]
    dated: bool = True
    live: bool = True
    oldest: int = 0

    @property
    def id(self) -> str:
        return f"{self.device}/{self.boot}/{self.seq}"


class Presence(msgspec.Struct, frozen=True):
    """A board came or went (its `status` topic, or the dialect's availability topic)."""

    device: str
    online: bool
    received: int


class About(msgspec.Struct, frozen=True):
    """What a board says of itself: model, firmware, and for each reading its unit, class and range."""

    device: str
    received: int
    model: str = ""
    firmware: str = ""
    readings: Mapping[str, Mapping[str, Value]] = {}
