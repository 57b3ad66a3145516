"""Time: who is believed, what a jump does, and readings from before the time was known."""

from __future__ import annotations

from pathlib import Path

from tests.broker import Broker
from tests.firmware.ear import Ear
from tests.firmware.ntp import Ntp
from tests.firmware.unixboard import UnixBoard, run
from tests.waiting import eventually

HOUR = 3_600_000

ANSWERS = """
import struct, time
from edge.clock import Clock, NTP
T = b"12345678"
NOW = 1_764_000_000_000
def answer(epoch, first=0x24, stratum=2, token=T):
    seconds, ms = divmod(epoch, 1000)
    stamp = struct.pack("!II", (seconds + NTP) & 0xFFFFFFFF, -(-(ms << 32) // 1000))
    return bytes((first, stratum)) + bytes(22) + token + bytes(8) + stamp
"""


def test_who_does_not_know_the_time_or_was_not_asked_is_not_believed() -> None:
    said = run(
        ANSWERS
        + """
for bad in (
    answer(NOW, first=0x23),        # a client, not a server
    answer(NOW, first=0xE4),        # leap indicator 3: not synchronised
    answer(NOW, stratum=0),         # kiss of death
    answer(NOW, stratum=16),        # not synchronised
    answer(NOW, token=b"87654321"), # to another question
    answer(1_700_000_000_000),      # before this firmware was written
    answer(NOW)[:47],
):
    clock = Clock()
    assert not clock.heard(bad, T, 1000, 1040), bad
    assert clock.offset is None
for good in (NOW, 2_208_988_800_123):  # the second is in 2040, in NTP's next era
    clock = Clock()
    assert clock.heard(answer(good), T, 1000, 1040)
    assert abs(clock.offset + 1020 - good) <= 1, clock.offset
print("done")
"""
    )
    assert said.endswith("done\n")


def test_a_jump_counts_only_when_a_second_answer_agrees_and_uptime_never_jumps() -> None:
    said = run(
        ANSWERS
        + """
clock = Clock()
clock.heard(answer(NOW), T, 0, 0)
known = clock.offset
assert clock.heard(answer(NOW + 12_000), T, 10_000, 10_000) and clock.offset == known + 2000  # drift
known = clock.offset
for jump in (3_600_000, -7_200_000, 3_600_000):  # a server that is wrong, each time otherwise
    assert not clock.heard(answer(NOW + 2000 + jump), T, 0, 0)
    assert clock.offset == known
assert clock.heard(answer(NOW + 2000 + 3_600_000 + 5), T, 0, 0)
assert clock.offset == known + 3_600_005
assert clock.now() < 1000
clock._last = (time.ticks_ms() - 5000) & (2**30 - 1)
assert 5000 <= clock.now() < 6000
clock._last = (time.ticks_ms() + 2**29 + 1000) & (2**30 - 1)  # six days lie between, over the end of the counter
assert clock.now() > 2**29 - 2000
print("done")
"""
    )
    assert said.endswith("done\n")


def test_readings_from_before_the_time_was_known_get_exact_times_and_go_out_in_batches(
    tmp_path: Path, broker: Broker
) -> None:
    with Ear(broker.port) as ear, Ntp(HOUR, lost=True) as ntp:
        with UnixBoard(tmp_path, broker.port, every=0.1, ntp=[f"127.0.0.1:{ntp.port}"]) as board:
            board.before = "import edge.board; edge.board.ASK = 200"
            board.start()
            began = ntp.now()
            eventually(lambda: b'"count": 30}' in (tmp_path / "flash").read_bytes())
            assert ear.of("status") == ["online"]
            assert ear.readings() == [], "they wait for an agent, or for a clock"
            ntp.lost = False
            eventually(lambda: len(ear.readings()) >= 24)
            ended = ntp.now()
        got = {one["readings"]["count"]: one["t"] for one in ear.readings()}
        zero = sorted(t - 100 * n for n, t in got.items())
        assert zero[-1] - zero[0] < 1000, "ms; evenly, as they were measured, but for a busy machine"
        assert began - 100 <= min(got.values()) <= max(got.values()) <= ended
        assert ear.of("readings/batch"), "not each in a packet of its own"
