"""`edgectl devices monitor` on a pty."""

from __future__ import annotations

import os
import pty
import subprocess
import tty

from tests.agent import EDGECTL


def test_what_a_board_prints_is_shown_line_by_line_until_it_is_unplugged() -> None:
    board, port = pty.openpty()
    tty.setraw(port)
    name = os.ttyname(port)
    with subprocess.Popen(
        [EDGECTL, "devices", "monitor", "--port", name], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as shown:
        assert shown.stdout
        assert shown.stderr
        assert name in shown.stderr.readline()
        os.write(board, b"MPY: soft reboot\r\nlevel 18.2 ")
        assert shown.stdout.readline() == "MPY: soft reboot\n"
        os.write(board, b"\xc2\xb0C \x1b[2J\xff\r\n" + b"x" * 5000)
        assert shown.stdout.readline() == "level 18.2 °C \ufffd[2J\ufffd\n"
        assert shown.stdout.readline() == "x" * 4096 + "\n"
        os.close(port)
        os.close(board)
        said = shown.stderr.read()
        assert shown.wait(20) == 1
    assert "was the board unplugged?" in said
    assert "Traceback" not in said
