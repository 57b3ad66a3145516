"""`edgectl devices flash` as a user runs it: the real esptool and the real mpremote, on a board that is a pty."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent.adapters.boards_micropython import find_port, image_for
from edge_agent.errors import NotFound, Refused
from tests.flashing.board import Board
from tests.flashing.conftest import Shelf
from tests.flashing.papers import edgectl, provisioned

NAME = "ESP32_GENERIC-20260101-v1.27.0.bin"
AT = 0x1000


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Stands for MicroPython's image: what is in it is nothing to esptool, beyond the first byte of the header."""
    folder = tmp_path / "bundle"
    folder.mkdir()
    data = b"\xe9" + b"".join(hashlib.sha256(b"%d" % part).hexdigest().encode() for part in range(2048))
    (folder / NAME).write_bytes(data)
    (folder / "ESP32_GENERIC-20250101-v1.9.0.bin").write_bytes(b"older, though 9 looks more than 27")
    sums = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in sorted(folder.glob("*.bin"))]
    (folder / "SHA256SUMS").write_text("".join(sums))
    return folder


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    (tmp_path / "board").mkdir()
    with Board(tmp_path / "board") as made:
        yield made


def holds(board: Board, bundle: Path) -> bool:
    data = (bundle / NAME).read_bytes()
    return bytes(board.flash[AT : AT + len(data)]) == data


def test_a_board_gets_micropython_firmware_and_its_own_configuration(shelf: Shelf, board: Board, bundle: Path) -> None:
    papers = provisioned(shelf, "tank-1")
    options = ("tank-1", "--port", board.port, "--bundle", str(bundle))
    looked = edgectl(shelf, "flash", *options, "--dry-run")
    assert looked.returncode == 0, looked.stderr
    assert "would get MicroPython 1.27.0" in looked.stdout
    assert not board.blocks
    assert not list(board.files.iterdir())
    done = edgectl(shelf, "flash", *options)
    assert done.returncode == 0, done.stderr
    assert "edgectl devices show tank-1" in done.stdout
    assert holds(board, bundle)
    assert json.loads((board.files / "config.json").read_text()) == papers
    modules = {str(file.relative_to(board.files)) for file in board.files.rglob("*.mpy")}
    assert {"edge/board.mpy", "edge/sensors/__init__.mpy"} <= modules
    assert (board.files / "main.py").exists()
    assert board.restarts == 1


def test_a_board_unplugged_meanwhile_is_said_and_the_next_run_goes_on(shelf: Shelf, board: Board, bundle: Path) -> None:
    provisioned(shelf, "tank-1")
    board.unplug_after = 3
    cut = edgectl(shelf, "flash", "tank-1", "--port", board.port, "--bundle", str(bundle))
    assert cut.returncode == 1
    assert "unplugged" in cut.stderr
    assert "Traceback" not in cut.stderr
    assert not holds(board, bundle)
    board.unplug_after = 0
    board.plug()
    again = edgectl(shelf, "flash", "tank-1", "--port", board.port, "--bundle", str(bundle))
    assert again.returncode == 0, again.stderr
    assert holds(board, bundle)
    blocks, main = board.blocks, board.files / "main.py"
    written = main.stat().st_mtime_ns
    (board.files / "config.json").write_text("{}")
    third = edgectl(shelf, "flash", "tank-1", "--port", board.port, "--bundle", str(bundle))
    assert third.returncode == 0, third.stderr
    assert board.blocks == blocks, "what is in flash is not written again"
    assert main.stat().st_mtime_ns == written
    assert (board.files / "config.json").read_text() != "{}"


def test_the_wrong_chip_and_a_board_without_papers_are_refused(shelf: Shelf, board: Board, bundle: Path) -> None:
    nobody = edgectl(shelf, "flash", "tank-1", "--port", board.port, "--bundle", str(bundle))
    assert "edgectl devices provision tank-1" in nobody.stderr
    provisioned(shelf, "tank-1")
    wrong = edgectl(shelf, "flash", "tank-1", "--port", board.port, "--board", "esp32-c3")
    assert wrong.returncode == 1
    assert "is an ESP32, not an ESP32-C3" in wrong.stderr
    missing = edgectl(shelf, "flash", "tank-1", "--port", board.port)
    assert "https://micropython.org/download/ESP32_GENERIC" in missing.stderr
    assert not board.blocks


def test_an_image_nobody_vouches_for_is_not_taken(bundle: Path) -> None:
    assert image_for("ESP32", bundle).file.name == NAME
    with pytest.raises(Refused, match="ESP8266"):
        image_for("ESP8266", bundle)
    (bundle / NAME).write_bytes(b"something else")
    with pytest.raises(Refused, match="download it again"):
        image_for("ESP32", bundle)
    (bundle / "SHA256SUMS").write_text("")
    with pytest.raises(NotFound, match="does not name"):
        image_for("ESP32", bundle)
    (bundle / "SHA256SUMS").unlink()
    with pytest.raises(NotFound, match="nothing vouches"):
        image_for("ESP32", bundle)


def test_no_port_two_ports_and_a_port_of_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotFound, match="only charges"):
        find_port(devices=tmp_path)
    one, two = tmp_path / "ttyUSB0", tmp_path / "ttyACM0"
    one.touch()
    assert find_port(devices=tmp_path) == str(one)
    two.touch()
    with pytest.raises(Refused, match="more than one"):
        find_port(devices=tmp_path)
    with pytest.raises(NotFound, match="is not there"):
        find_port(str(tmp_path / "ttyUSB9"))
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may open everything
    with pytest.raises(Refused, match="usermod -aG dialout"):
        find_port(str(one))
