"""Sensors by name: when each is read, under which names, and what is worth sending.

Enters: the table `sensors` of the configuration, the uptime in ms. Leaves: values by reading name. Guarantee: a sensor that fails,
whatever its driver raises, costs its own values only; each fault is counted by its name in `faults`, and `news` has a sentence when
faults begin and end. A kind is a file in `edge/sensors/`, found by being there:

    Sensor(options)   `read()`: a dict of values; a Fault raised, or in the place of one value
    READINGS          what `about` says, by value; where they depend on the options, the sensor has `readings` of its own
    EVERY             ms that have to lie between two readings (default 0)
    WATCH             ms between two looks at what must not be missed: sent when it changes, and every ten minutes
"""


class Sense:
    def __init__(self, name, options, every):
        kind = options["kind"]
        module = __import__("edge.sensors." + kind, None, None, ("Sensor",))
        self.name = name
        self.sensor = module.Sensor(options)
        readings = getattr(self.sensor, "readings", module.READINGS)
        self.keys = {key: name if len(readings) == 1 else name + "-" + key for key in readings}
        self.about = {self.keys[key]: value for key, value in readings.items()}
        watch = getattr(module, "WATCH", 0)
        self.every = max(int(options.get("every", watch / 1000 or every) * 1000), getattr(module, "EVERY", 0))
        self.band = options.get("deadband", 0 if watch else {})
        self.most = int(options.get("at_most", 600 if watch else 10 * self.every / 1000) * 1000)
        self.due = 0
        self.said = {}
        self.faults = {}
        self.failing = False
        self.news = ""

    def read(self, now):
        """What is worth sending, by reading name; may be empty."""
        self.due = now + self.every if now - self.due > self.every else self.due + self.every
        out, failed = {}, None
        try:
            values = self.sensor.read()
            for key, value in values.items():
                if isinstance(value, Exception):
                    failed = self._count(value)
                elif self._worth(key, value, now):
                    out[self.keys[key]] = value
        except Exception as error:  # a driver's own mistake is not the end of the program
            values, failed = {}, self._count(error)
        if failed and not self.failing:
            self.news = self.name + ": " + failed
        elif self.failing and values and not failed:
            self.news = self.name + ": answers again"
        self.failing = bool(failed or self.failing and not values)
        return out

    def _count(self, error):
        name = getattr(error, "name", "bus" if isinstance(error, OSError) else "driver")
        self.faults[name] = self.faults.get(name, 0) + 1
        return "%s: %s" % (name, str(error) or type(error).__name__)

    def _worth(self, key, value, now):
        name = self.keys[key]
        band = self.band.get(key) if isinstance(self.band, dict) else self.band
        told = self.said.get(name)
        if band is not None and told is not None and now - told[1] < self.most:
            if value == told[0] or not isinstance(value, bool) and abs(value - told[0]) < band:
                return False
        self.said[name] = (value, now)
        return True
