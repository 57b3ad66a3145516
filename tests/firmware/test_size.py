"""What the firmware weighs: compiled by the real mpy-cross for each chip, and the heap it takes while it runs."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.broker import Broker
from tests.firmware.unixboard import FIRMWARE, UnixBoard, compile_to
from tests.waiting import eventually

ARCHITECTURES = {"ESP8266": "xtensa", "ESP32, S2, S3": "xtensawin", "C3, C6": "rv32imc"}
MOST_BYTES = 28_000
"""Of .mpy: all modules, without sensors."""
MOST_HEAP = {"28K": 20 * 1024, "160K": 60 * 1024}


@pytest.mark.parametrize("architecture", ARCHITECTURES.values())
def test_every_module_compiles_and_all_stay_below_the_budget(architecture: str, tmp_path: Path) -> None:
    sources = sorted(FIRMWARE.rglob("*.py"))
    sizes = {
        str(source.relative_to(FIRMWARE)): compile_to(source, tmp_path / f"{number}.mpy", f"-march={architecture}")
        for number, source in enumerate(sources)
    }
    core = sum(size for name, size in sizes.items() if "sensors/" not in name)
    print(f"{architecture}: {core} bytes of .mpy")
    assert core <= MOST_BYTES, json.dumps(sizes, indent=1)


HARNESS = """
import gc
gc.collect()
print("harness", gc.mem_alloc())
import machine, network, esp32
gc.collect()
print("harness", gc.mem_alloc())
"""
MEASURE = """
for _ in range(60):
    board.step(20)
gc.collect()
print("running", gc.mem_alloc())
"""


@pytest.mark.parametrize("heap", MOST_HEAP)
def test_the_running_firmware_with_two_sensors_leaves_the_heap_room(heap: str, tmp_path: Path, broker: Broker) -> None:
    two = {"one": {"kind": "counter"}, "two": {"kind": "counter"}}
    with UnixBoard(tmp_path, broker.port, heap=heap, every=0.1, sensors=two) as board:
        board.before, board.after = HARNESS, MEASURE
        board.start()
        eventually(lambda: "running" in board.output, timeout=30)
    figures = [int(n) for n in re.findall(r"(?:harness|running) (\d+)", board.output)]
    ours = figures[-1] - figures[-2]
    print(f"heap of {heap}: {ours} bytes of the firmware")
    assert ours <= MOST_HEAP[heap]
