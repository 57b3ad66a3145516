"""The configuration changed from afar, and a board that falls again and again: nobody has to fetch the ladder."""

from __future__ import annotations

import json
from pathlib import Path

from tests.broker import Broker
from tests.firmware.ear import Ear
from tests.firmware.unixboard import UnixBoard
from tests.waiting import eventually


def stands(ear: Ear, value: str) -> bool:
    return ear.last("state/config").get("value") == value


def kept(board: UnixBoard) -> dict[str, object]:
    return json.loads((board.folder / "config.json").read_text())  # type: ignore[no-any-return]


def test_a_change_is_refused_with_what_is_wrong_or_tried_and_kept_when_somebody_says_so(
    tmp_path: Path, broker: Broker
) -> None:
    with Ear(broker.port) as ear, UnixBoard(tmp_path, broker.port, every=0.2) as board:
        eventually(lambda: stands(ear, "kept"))
        before = kept(board)
        refused = ear.tell("config", {"every": -1, "broker": "10.0.0.9", "interval": 5})
        assert refused["value"] == "kept"
        assert refused["error"] == "interval is no setting; every is a number from 0.05 to 86400"
        ear.tell("config", {"every": 0.5}, answered=False)
        assert board.follow() == 42
        eventually(lambda: stands(ear, "trial"))
        assert kept(board) == before, "not before it is confirmed"
        assert ear.tell("config", "keep")["value"] == "kept"
        assert kept(board) == {**before, "every": 0.5}
        board.kill()
        board.start()
        eventually(lambda: ear.of("status")[-2:] == ["offline", "online"] and stands(ear, "kept"))


def test_a_wrong_password_of_the_network_is_over_by_itself_and_so_is_a_change_that_a_power_cut_met(
    tmp_path: Path, broker: Broker
) -> None:
    with Ear(broker.port) as ear, UnixBoard(tmp_path, broker.port, every=0.2, confirm=10) as board:
        eventually(lambda: stands(ear, "kept"))
        before = kept(board)
        ear.tell("config", {"networks": [{"ssid": "elsewhere", "password": "wrong"}]}, answered=False)
        assert board.follow() == 42
        eventually(lambda: ear.last("status") == "offline", timeout=20)
        assert board.follow() == 42, "after `confirm` seconds without anybody"
        eventually(lambda: ear.last("status") == "online" and stands(ear, "kept"))
        assert kept(board) == before
        ear.tell("config", {"every": 0.5}, answered=False)
        assert board.follow() == 42
        eventually(lambda: stands(ear, "trial"))
        board.kill()
        board.start()
        eventually(lambda: stands(ear, "kept"))
        assert kept(board) == before


def test_five_crashes_end_in_safe_mode_where_a_new_configuration_heals_the_board(
    tmp_path: Path, broker: Broker
) -> None:
    bad = {"count": {"kind": "counter"}, "bad": {"kind": "counter"}}
    board = UnixBoard(tmp_path, broker.port, every=0.2, sensors=bad)
    board.after = "if len(board.sense) > 1:\n    board._measure = lambda now: 1 // 0"
    with Ear(broker.port) as ear, board:
        for _ in range(5):
            assert board.follow() == 42
        assert board.output.count("ZeroDivisionError") == 5
        eventually(lambda: ear.last("about").get("firmware", "").endswith(" safe mode"))
        assert ear.last("about")["readings"] == {}
        ear.tell("config", {"sensors": {"count": {"kind": "counter"}}}, answered=False)
        assert board.follow() == 42
        eventually(lambda: stands(ear, "trial"))
        assert "safe" not in ear.last("about")["firmware"], "so that the sensors are tried too"
        assert list(ear.last("about")["readings"]) == ["count"]
        ear.tell("config", "keep")
        assert list(kept(board)["sensors"]) == ["count"]  # type: ignore[call-overload]
