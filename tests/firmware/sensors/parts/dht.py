"""MicroPython's frozen `dht`, of which the firmware takes the C function that reads 40 bits."""

from errno import ETIMEDOUT

frame = None
asked = 0


def dht_readinto(pin, buffer):
    global asked
    asked += 1
    if frame is None:
        raise OSError(ETIMEDOUT)
    buffer[:] = frame
