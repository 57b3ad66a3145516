"""Boards' firmware, as this program knows it. Errors: `Unavailable` (not there), `Invalid` (a configuration it refuses)."""

from edge_agent.adapters.boards_micropython.sources import Firmware

__all__ = ["Firmware"]
