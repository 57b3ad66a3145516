"""A voltage at a pin, and what it means: straight lines between calibrated points.

ESP32: `read_uv`, corrected by the chip's own calibration, 150 to 2450 mV with 11 dB (ESP32 data sheet, ADC). ESP8266: one input
of 0 to 1 V, behind a divider on most boards (`full_mv`). Median of nine, because Wi-Fi disturbs the ADC.
"""

from machine import ADC, Pin

from edge.fault import Fault

PINS = {"pin": "adc"}
READINGS = {"voltage": {"unit": "mV", "class": "voltage"}}


class Sensor:
    """`pin`; `points` ([[mV, value], ...]), `unit`, `class`; `full_mv` on an ESP8266 (3200)."""

    def __init__(self, options):
        # An ESP8266's only ADC has a number, no pin.
        self.adc = ADC(Pin(options["pin"]), atten=ADC.ATTN_11DB) if hasattr(ADC, "ATTN_11DB") else ADC(0)
        self.full = options.get("full_mv", 3200)
        self.points = sorted(options.get("points", ()))
        if self.points:
            if len(self.points) < 2:
                raise ValueError("points are two or more pairs of mV and value")
            values = [point[1] for point in self.points]
            about = {"unit": options.get("unit", ""), "min": min(values), "max": max(values)}
            if "class" in options:
                about["class"] = options["class"]
            self.readings = {"value": about}

    def read(self):
        mv = self.millivolts()
        return {"value": round(between(self.points, mv), 2)} if self.points else {"voltage": mv}

    def millivolts(self):
        samples = sorted([self._sample() for _ in range(9)])
        return samples[4]

    def _sample(self):
        if hasattr(self.adc, "read_uv"):
            return self.adc.read_uv() // 1000
        return self.adc.read_u16() * self.full // 65535


def between(points, mv):
    """The value at `mv`. A twentieth beyond the outermost points counts as these; farther away is a Fault."""
    low, high = points[0], points[-1]
    slack = (high[0] - low[0]) / 20
    if not low[0] - slack <= mv <= high[0] + slack:
        raise Fault("range", "%d mV: calibrated are %d to %d; is the sensor connected?" % (mv, low[0], high[0]))
    mv = min(max(mv, low[0]), high[0])
    i = 1
    while mv > points[i][0]:
        i += 1
    (x0, y0), (x1, y1) = points[i - 1], points[i]
    return y0 + (y1 - y0) * (mv - x0) / (x1 - x0)
