"""paho's client, without what it loads and we do not need.

It looks for dnspython, which pymongo brings along, for a way to find brokers that is not used here: 5 MB of memory.
"""

from __future__ import annotations

import sys

_hide = "dns" not in sys.modules
if _hide:
    sys.modules["dns"] = None  # type: ignore[assignment]
try:
    import paho.mqtt.client as paho
finally:
    if _hide:
        del sys.modules["dns"]  # whoever wants it later finds it

__all__ = ["paho"]
