"""The firmware of boards, and esptool and mpremote, which put it on one (the extra `boards`).

Errors: `Unavailable` (not there), `Refused` (it said no), `Invalid` (a configuration the firmware refuses).
"""

from edge_agent.adapters.boards_micropython.cable import Cable, find_port
from edge_agent.adapters.boards_micropython.console import listen
from edge_agent.adapters.boards_micropython.images import CHIPS, Image, image_for
from edge_agent.adapters.boards_micropython.sources import Firmware

__all__ = ["CHIPS", "Cable", "Firmware", "Image", "find_port", "image_for", "listen"]
