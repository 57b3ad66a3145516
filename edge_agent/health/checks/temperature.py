"""Is it too hot? A Raspberry Pi slows down from 80 °C on, and all the way at 85 °C."""

from __future__ import annotations

from edge_agent.health import firmware, thermometers
from edge_agent.health.context import Context
from edge_agent.health.finding import Finding, Healthy, Unwell

HOT = 80.0
TRY_THIS = "give it air, fit a heat sink or a fan, move it away from what warms it, or have fewer functions run at once"


def check(context: Context) -> Finding:
    hottest = thermometers.hottest(thermometers.zones(context.root))
    bits = firmware.throttled(context.root) or 0
    slowed = bits & (firmware.THROTTLED | firmware.SOFT_LIMIT)
    if hottest is None and not slowed:
        return Healthy("no thermometer here")
    said = "" if hottest is None else f"{hottest:.0f} °C"
    if slowed or (hottest is not None and hottest >= HOT):
        now = " and it is slowed down for it" if slowed else ""
        return Unwell(f"too hot: {said or 'the firmware says so'}{now}", try_this=TRY_THIS, blocks=("full speed",))
    return Healthy(said)
