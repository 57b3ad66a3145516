"""DS18B20: the data sheet's table of temperatures through a wire bit by bit; search, feeding by wire, every bit turned."""

from __future__ import annotations

import pytest

from tests.firmware.sensors.bench import told

ONE = """
_onewire.parts[:] = [part := _onewire.Ds18b20(b'\\x01\\x02\\x03\\x04\\x05\\x06', {})]
sensor = make('ds18b20', {{'pin': 4}})
"""


@pytest.mark.parametrize(
    ("word", "celsius"),
    [
        (0x07D0, 125), (0x0191, 25.0625), (0x00A2, 10.125), (0x0008, 0.5), (0x0000, 0),
        (0xFFF8, -0.5), (0xFF5E, -10.125), (0xFE6F, -25.0625), (0xFC90, -55),
    ],
)  # fmt: skip
def test_the_data_sheets_table_is_read(word: int, celsius: float) -> None:
    assert told(ONE.format(word) + "ask(sensor)") == [{"temperature": celsius}]


def test_what_it_says_before_it_has_measured_is_no_reading_and_real_85_degrees_after_82_are() -> None:
    said = told(
        ONE.format(0x0550)
        + """
ask(sensor)
part.raw = 82 * 16
ask(sensor)
part.raw = 85 * 16
ask(sensor)
part.raw = 0x7FF
ask(sensor)
"""
    )
    assert said == [{"temperature": "late"}, {"temperature": 82}, {"temperature": 85}, {"temperature": "range"}]


def test_no_single_bit_turned_over_while_it_is_read_is_a_reading() -> None:
    said = told(
        ONE.format(0x0191)
        + """
sensor.names = {"temperature": part.rom}
for bit in range(72):
    _onewire.flips = {_onewire.read + 2 + bit}  # the first bit read asks who is fed by the wire
    ask(sensor)
_onewire.flips = ()
ask(sensor)
"""
    )
    assert said == [{"temperature": "crc"}] * 72 + [{"temperature": 25.0625}]


def test_a_wire_without_anybody_a_short_and_a_bit_lost_in_the_search_are_named() -> None:
    said = told(
        ONE.format(0x0191)
        + """
_onewire.flips = {_onewire.read + 9}
ask(sensor)
_onewire.flips = ()
_onewire.parts.clear()
ask(sensor)
Pin(4).outside(0)
ask(sensor)
"""
    )
    assert said[0] in ("crc", "silent")
    assert said[1:] == ["silent", "stuck"]


def test_several_are_found_asked_for_by_name_and_one_that_is_gone_costs_its_own_value_only() -> None:
    said = told("""
alike = b"\\x94\\xf7\\x27\\x16\\x01"
serials = (alike + b"\\x00", alike + b"\\x01", b"\\x00" * 5 + b"\\x80", b"\\xff" * 6)
parts = [_onewire.Ds18b20(serial, 16 * i) for i, serial in enumerate(serials)]
_onewire.parts[:] = parts
sensor = make("ds18b20", {"pin": 4})
tell(sorted(rom.hex() for rom in sensor.wire.search()) == sorted(part.rom.hex() for part in parts))
ask(sensor)
names = {part.rom.hex(): "t%d" % i for i, part in enumerate(parts)}
sensor = make("ds18b20", {"pin": 4, "names": names})
ask(sensor)
_onewire.parts.remove(parts[2])
ask(sensor)
""")
    assert said[:2] == [True, "wrong"]
    assert said[2] == {"t0": 0, "t1": 1, "t2": 2, "t3": 3}
    assert said[3] == {"t0": 0, "t1": 1, "t2": "silent", "t3": 3}


def test_one_that_is_fed_by_the_wire_measures_because_the_pin_is_driven_meanwhile() -> None:
    said = told(ONE.format("0x0191, 4") + "ask(sensor)\ntell([level for _, level in Pin(4).driven])")
    assert said == [{"temperature": 25.0625}, [1, 1]]
