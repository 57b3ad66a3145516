"""An LED on one pin: like a relay. 330 ohm in series at 3.3 V give 4 mA with a red one."""

from edge.actuators.relay import Actuator  # noqa: F401
