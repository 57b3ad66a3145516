"""Sensors by name: when each is read, under which names, and what is worth sending.

Enters: the table `sensors` of the configuration, the uptime in ms. Leaves: values by reading name. Guarantee: a sensor that fails
or hangs in its driver's time-out costs its own values only; it is counted in `faults`, with its last sentence. A kind is a file in
`edge/sensors/`, found by being there: a class `Sensor(options)` with `read()`, a dict of values, and `READINGS`, what `about` says.
"""


class Sense:
    def __init__(self, name, options, every):
        kind = options["kind"]
        module = __import__("edge.sensors." + kind, None, None, ("Sensor",))
        self.name = name
        self.about = {self._name(key, module.READINGS): value for key, value in module.READINGS.items()}
        self.keys = {key: self._name(key, module.READINGS) for key in module.READINGS}
        self.sensor = module.Sensor(options)
        self.every = max(int(options.get("every", every) * 1000), getattr(module, "EVERY", 0))
        self.band = options.get("deadband", {})
        self.most = int(options.get("at_most", 10 * self.every / 1000) * 1000)
        self.due = 0
        self.said = {}
        self.faults = 0
        self.fault = ""

    def _name(self, key, readings):
        return self.name if len(readings) == 1 else self.name + "-" + key

    def read(self, now):
        """What is worth sending, by reading name; may be empty."""
        self.due = now + self.every if now - self.due > self.every else self.due + self.every
        try:
            values = self.sensor.read()
        except (OSError, ValueError) as error:
            self.faults += 1
            self.fault = str(error)
            return {}
        out = {}
        for key, value in values.items():
            name = self.keys[key]
            band = self.band.get(key) if isinstance(self.band, dict) else self.band
            told = self.said.get(name)
            if band is not None and told is not None and now - told[1] < self.most:
                if value == told[0] or not isinstance(value, bool) and abs(value - told[0]) < band:
                    continue
            self.said[name] = (value, now)
            out[name] = value
        return out
