"""MicroPython's `machine` for a board that is a process: pins in memory, a reset that ends it (42), deep sleep too (43)."""

import os
import sys

DEEPSLEEP = 4
FOLDER = os.getenv("BOARD") or "."


class WDT:
    def __init__(self, timeout=0):
        self.timeout = timeout

    def feed(self):
        pass


class RTC:
    ALARM0 = 0
    after = 0

    def irq(self, trigger=0, wake=0):
        assert trigger == self.ALARM0 and wake == DEEPSLEEP

    def alarm(self, which, ms):
        RTC.after = ms

    def memory(self, data=None):
        if data is None:
            try:
                with open(FOLDER + "/rtc", "rb") as file:
                    return file.read()
            except OSError:
                return b""
        with open(FOLDER + "/rtc", "wb") as file:
            file.write(data)


class Pin:
    IN, OUT, OPEN_DRAIN, PULL_UP, PULL_DOWN = 0, 1, 2, 1, 2
    pins = {}

    def __new__(cls, number, mode=0, pull=None, value=None):
        pin = cls.pins.get(number)
        if pin is None:
            pin = cls.pins[number] = object.__new__(cls)
            pin.level = 0
        if value is not None:
            pin.value(value)
        return pin

    def __init__(self, *_, **__):
        pass

    def init(self, *_, **__):
        pass

    def value(self, level=None):
        if level is None:
            return self.level
        self.level = level

    __call__ = value


def reset():
    sys.exit(42)


def deepsleep(ms=0):
    print("asleep", ms or RTC.after)
    sys.exit(43)


def time_pulse_us(pin, level, timeout=1000000):
    return pin.pulse(level, timeout)
