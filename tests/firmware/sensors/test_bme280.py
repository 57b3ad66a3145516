"""BME280: its integer compensation against the data sheet's floating-point formulas, and its faults.

Trimming values and raw values of temperature and pressure are the worked example of the BMP280's data sheet (3.12), whose
formulas are the same; those of humidity are made up.
"""

from __future__ import annotations

import pytest

from tests.firmware.sensors.bench import told

TRIM = (27504, 26435, -1000, 36477, -10685, 3024, 2855, 140, -7, 15500, -14600, 6000)
HUMID = ((75, 362, 0, 313, 50, 30), (75, 390, 3, -120, -7, -30))
EXAMPLE = (415148, 519888, 30000)


def compensated(trim: tuple[int, ...], raw: tuple[int, int, int]) -> dict[str, float]:
    """Data sheet BST-BME280-DS002, 8.1: the formulas in double precision."""
    t1, t2, t3, p1, p2, p3, p4, p5, p6, p7, p8, p9, h1, h2, h3, h4, h5, h6 = trim
    raw_p, raw_t, raw_h = raw
    fine = (raw_t / 16384 - t1 / 1024) * t2 + (raw_t / 131072 - t1 / 8192) ** 2 * t3
    a = fine / 2 - 64000
    offset = (a * a * p6 / 32768 + a * p5 * 2) / 4 + p4 * 65536
    scale = (1 + (p3 * a * a / 524288 + p2 * a) / 524288 / 32768) * p1
    p = (1048576 - raw_p - offset / 4096) * 6250 / scale
    p += (p9 * p * p / 2147483648 + p * p8 / 32768 + p7) / 16
    v = fine - 76800
    wet = 1 + h3 / 67108864 * v
    h = (raw_h - (h4 * 64 + h5 / 16384 * v)) * h2 / 65536 * wet * (1 + h6 / 67108864 * v * wet)
    h *= 1 - h1 * h / 524288
    return {"temperature": fine / 5120, "pressure": p / 100, "humidity": min(max(h, 0), 100)}


def part(trim: tuple[int, ...], raw: tuple[int, int, int], chip: int = 0x60) -> str:
    return f"bus[0x76] = part = chips.Bme280({trim}, {raw}, {chip})\nsensor = make('bme280', WIRES)\n"


def test_the_formulas_of_this_test_give_the_data_sheets_example() -> None:
    said = compensated(TRIM + HUMID[0], EXAMPLE)
    assert (round(said["temperature"], 2), round(100 * said["pressure"], 2)) == (25.08, 100653.27)


@pytest.mark.parametrize("humid", HUMID)
@pytest.mark.parametrize(
    "raw", [EXAMPLE, (350000, 420000, 20000), (450000, 640000, 33000), (500000, 519888, 29000), (415148, 330000, 31000)]
)
def test_what_it_measured_is_what_the_floating_point_formulas_say(
    humid: tuple[int, ...], raw: tuple[int, int, int]
) -> None:
    trim = TRIM + humid
    expected = compensated(trim, raw)
    # Rounded to hundredths; the integer humidity of the data sheet is coarser than the floating one.
    assert told(part(trim, raw) + "ask(sensor)") == [
        {
            "temperature": pytest.approx(expected["temperature"], abs=0.011),
            "pressure": pytest.approx(expected["pressure"], abs=0.011),
            "humidity": pytest.approx(expected["humidity"], abs=0.03),
        }
    ]


def test_a_bmp280_has_no_humidity() -> None:
    said = told(part(TRIM + HUMID[0], EXAMPLE, 0x58) + "ask(sensor)")
    assert said == [{"temperature": 25.08, "pressure": 1006.53}]


def test_its_faults_are_named_and_it_is_set_up_again_after_one() -> None:
    said = told(
        part(TRIM + HUMID[0], EXAMPLE)
        + f"""
part.takes = 500
ask(sensor)
part.takes = 9
ask(sensor)
del bus[0x76]
ask(sensor)
bus[0x76] = chips.Bme280({TRIM + HUMID[0]}, {EXAMPLE}, 0x61)
ask(sensor)
bus[0x76] = part
part.raw = (0, 0, 0)
ask(sensor)
part.raw = (415148, 0xFFFFF, 30000)
ask(sensor)
part.memory[0x88:0x8A] = b"\\0\\0"
ask(sensor)
Pin(21).outside(0)
ask(sensor)
"""
    )
    assert said.pop(1)["temperature"] == 25.08
    assert said == ["late", "silent", "wrong", "range", "range", "wrong", "stuck"]
