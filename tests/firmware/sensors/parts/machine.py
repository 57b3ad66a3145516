"""MicroPython's `machine` with parts on its pins: levels, interrupts, echoes, an I2C bus, ADC and PWM."""

import time
from errno import ENODEV


class Pin:
    IN, OUT, OPEN_DRAIN = 0, 1, 2
    PULL_UP, PULL_DOWN = 1, 2
    IRQ_RISING, IRQ_FALLING = 1, 2
    made = {}

    def __new__(cls, number, *_, **__):
        pin = cls.made.get(number)
        if pin is None:
            pin = cls.made[number] = object.__new__(cls)
            pin.level, pin.mode, pin.pull = 1, None, None
            pin.on = ()  # handler and edges
            pin.driven = []  # (us, level) it was told
            pin.part = None  # what follows its level
        return pin

    def __init__(self, number, *settings, **named):
        self.init(*settings, **named)

    def init(self, mode=None, pull=None, value=None):
        self.mode = self.mode if mode is None else mode
        self.pull = pull
        if value is not None:
            self.value(value)

    def value(self, level=None):
        if level is None:
            return self.level
        self.level = level
        self.driven.append((time.ticks_us(), level))
        if self.part:
            self.part(level)

    def irq(self, handler, trigger):
        self.on = handler, trigger

    def outside(self, level):
        """The world pulls at the wire."""
        if level != self.level:
            self.level = level
            if self.on and self.on[1] & (Pin.IRQ_RISING if level else Pin.IRQ_FALLING):
                self.on[0](self)


class SoftI2C:
    parts = {}  # address: a part with write(data), how many bytes it acknowledged, and read(n)

    def __init__(self, scl, sda, freq):
        pass

    def _part(self, address):
        if address not in self.parts:
            raise OSError(ENODEV)
        return self.parts[address]

    def writeto(self, address, data):
        return self._part(address).write(bytes(data))

    def readfrom(self, address, n):
        return self._part(address).read(n)


class ADC:
    """An ESP32's. `samples` are microvolts, the last one for ever."""

    ATTN_11DB = 3
    samples = [0]

    def __init__(self, pin, atten=None):
        pass

    def read_uv(self):
        return self.samples.pop(0) if len(self.samples) > 1 else self.samples[0]


class SmallADC:
    """An ESP8266's."""

    level = 0

    def __init__(self, number):
        if number != 0:
            raise ValueError("an ESP8266 has one ADC")

    def read_u16(self):
        return self.level


class PWM:
    def __init__(self, pin, freq, duty_ns):
        pin.pwm = self
        self.freq = freq
        self.ns = duty_ns

    def duty_ns(self, ns):
        self.ns = ns


echoes = []  # us of the echoes to come; -1 and -2 as MicroPython has them


def time_pulse_us(pin, level, timeout):
    us = echoes.pop(0)
    us = -1 if us > timeout else us
    time.sleep_us(us if us > 0 else timeout)
    return us
