"""An active buzzer on one pin: like a relay. More than 12 mA wants a transistor (ESP8266 data sheet, maximum per pin)."""

from edge.actuators.relay import Actuator  # noqa: F401
