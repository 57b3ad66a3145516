"""Is the supply strong enough? Below 4.63 V a Raspberry Pi slows down, and cards and USB disks lose writes."""

from __future__ import annotations

from edge_agent.health import firmware
from edge_agent.health.context import Context
from edge_agent.health.finding import Finding, Healthy, Unwell

TRY_THIS = (
    "use the supply made for this board and a short thick cable, and power disks and sticks through a hub of their own"
)
BLOCKS = ("writes to the card may be lost", "full speed")


def check(context: Context) -> Finding:
    bits = firmware.throttled(context.root)
    alarm = firmware.under_voltage_alarm(context.root)
    if bits is None and alarm is None:
        return Healthy("not a Raspberry Pi that tells of its supply")
    if alarm or (bits or 0) & firmware.UNDER_VOLTAGE:
        return Unwell("the supply's voltage is too low now (below 4.63 V)", try_this=TRY_THIS, blocks=BLOCKS)
    if (bits or 0) >> firmware.EVER & firmware.UNDER_VOLTAGE:
        return Unwell("the supply's voltage was too low since the Pi was started", try_this=TRY_THIS, blocks=BLOCKS)
    return Healthy("the supply holds its voltage")
