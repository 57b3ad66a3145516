"""A sensor whose driver has a fault that nobody thought of."""

READINGS = {"n": {"unit": ""}}


class Sensor:
    def __init__(self, options):
        pass

    def read(self):
        return 1 // 0
