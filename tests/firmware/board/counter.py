"""A sensor that counts, so that every reading is different from every other."""

EVERY = 0
READINGS = {"n": {"unit": "", "min": 0}}


class Sensor:
    def __init__(self, options):
        self.n = options.get("first", 0)

    def read(self):
        self.n += 1
        return {"n": self.n}
