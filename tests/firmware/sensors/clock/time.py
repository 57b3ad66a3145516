"""Time that passes only when somebody sleeps, in the place of MicroPython's: a slow part is slow at once. It wraps early."""

PERIOD = 1 << 30
now = (PERIOD - 5000) * 1000  # us


def ticks_us():
    return now % PERIOD


def ticks_ms():
    return now // 1000 % PERIOD


def ticks_diff(later, sooner):
    return (later - sooner + PERIOD // 2) % PERIOD - PERIOD // 2


def sleep_us(us):
    global now
    now += us


def sleep_ms(ms):
    sleep_us(ms * 1000)
