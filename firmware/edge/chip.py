"""What is different from chip to chip, and nothing else: flash, watchdog, sleep, the reason of the start.

Enters: calls of the board. Leaves: calls of MicroPython's `machine`, `esp32`, `esp`. On a port without them (unix) the fakes in
`tests/firmware/board` stand in their place, at exactly this edge.
"""

import os
import sys

import machine

SMALL = sys.platform == "esp8266"


class PartitionFlash:
    """The data partition `ring`, which the flasher makes room for. Writing with an offset erases nothing (esp32.Partition)."""

    def __init__(self, partition):
        self.partition = partition
        self.count = partition.ioctl(4, 0)

    def read(self, at, buffer):
        self.partition.readblocks(at >> 12, buffer, at & 4095)

    def write(self, at, data):
        self.partition.writeblocks(at >> 12, data, at & 4095)

    def erase(self, sector):
        self.partition.ioctl(6, sector)


class RawFlash:
    """`count` sectors from `first` of an ESP8266's flash, which no file system knows of."""

    def __init__(self, esp, first, count):
        self.esp = esp
        self.first = first
        self.count = count

    def read(self, at, buffer):
        self.esp.flash_read(self.first * 4096 + at, buffer)

    def write(self, at, data):
        self.esp.flash_write(self.first * 4096 + at, data)

    def erase(self, sector):
        self.esp.flash_erase(self.first + sector)


def flash(area=None):
    """Where readings wait for better times; None where nothing is set aside. `area`: [first, count] on an ESP8266."""
    try:
        import esp32

        found = esp32.Partition.find(esp32.Partition.TYPE_DATA, label="ring")
        return PartitionFlash(found[0]) if found else None
    except ImportError:
        pass
    if area and SMALL:
        import esp

        return RawFlash(esp, area[0], area[1])
    return None


def watchdog(ms):
    """A function to call more often than every `ms`, or the chip restarts."""
    try:
        # An ESP8266's has a fixed time of a few seconds and takes no argument.
        return (machine.WDT() if SMALL else machine.WDT(timeout=ms)).feed
    except (AttributeError, OSError):
        return lambda: None


def random(n):
    return os.urandom(n)


def restart():
    machine.reset()


def sleep(ms):
    """Deep sleep: what follows is a new start. On an ESP8266 pin 16 has to be wired to RST."""
    if SMALL:
        rtc = machine.RTC()
        rtc.irq(trigger=rtc.ALARM0, wake=machine.DEEPSLEEP)
        rtc.alarm(rtc.ALARM0, ms)
        machine.deepsleep()
    machine.deepsleep(ms)


def keep(data=None):
    """A few bytes that outlive a restart and deep sleep, not a power cut: read, or write `data`."""
    try:
        memory = machine.RTC().memory
        return memory() if data is None else memory(data)
    except (AttributeError, OSError):
        return b""
