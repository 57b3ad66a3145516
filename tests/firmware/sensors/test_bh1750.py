"""BH1750: the data sheet's worked example ("I2C bus access", read format), and the faults it can be told by."""

from __future__ import annotations

from tests.firmware.sensors.bench import told


def test_the_data_sheets_example_is_read_after_the_longest_time_it_takes() -> None:
    said = told("bus[0x23] = chips.Bh1750(0b10000011_10010000)\nask(make('bh1750', WIRES))")
    assert said == [{"light": 28066.7}]


def test_darkness_is_a_reading_and_a_bus_that_nobody_drives_is_not() -> None:
    said = told("""
sensor = make("bh1750", dict(WIRES, address=0x5C))
ask(sensor)
bus[0x5C] = chips.Bh1750(0)
ask(sensor)
bus[0x5C].count = 0xFFFF
ask(sensor)
Pin(22).outside(0)
ask(sensor)
""")
    assert said == ["silent", {"light": 0}, "range", "stuck"]
