"""SQLite's side of the history: power cuts, worn cards, full disks, and letting go of what is old."""

from __future__ import annotations

import contextlib
import logging
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_agent.adapters.history_sqlite import SqliteHistory
from edge_agent.app.clock import now_ms
from edge_agent.app.parts import open_history
from edge_agent.domain.reading import Sample
from edge_agent.engine.alarms import Alarms
from edge_agent.errors import Refused, Unavailable
from edge_agent.settings import Settings
from tests.waiting import eventually

T0 = 1_763_888_888_000
END = T0 + 10**9
HOUR = 3_600_000
TO_NEXT_HOUR = HOUR - T0 % HOUR

STORE_FOR_EVER = f"""
import sys
from pathlib import Path
from edge_agent.adapters.history_sqlite import SqliteHistory
from edge_agent.domain.reading import Sample
history = SqliteHistory(Path(sys.argv[1]), lambda: 0, merge_at=70)
n = history.count()
while True:
    history.store([Sample("tank-1", "1", n + i, {T0} + n + i, 0, {{"level": n + i}}) for i in range(1, 21)])
    n += 20
    print(n, flush=True)
"""

TRIM_HOUR_BY_HOUR = f"""
import sys
from pathlib import Path
from edge_agent.adapters.history_sqlite import SqliteHistory
history = SqliteHistory(Path(sys.argv[1]), lambda: {T0}, merge_at=500)
print("ready", flush=True)
for hour in range(1, 200):
    history.trim({T0} + hour * {HOUR})
    print(hour, flush=True)
"""


def samples(first: int, last: int, device: str = "tank-1") -> list[Sample]:
    return [Sample(device, "1", n, T0 + n, T0 + n, {"level": n, "note": f"sample {n}"}) for n in range(first, last + 1)]


def opened(folder: Path, **options: object) -> contextlib.closing[SqliteHistory]:
    return contextlib.closing(SqliteHistory(folder, lambda: T0, **options))


def seqs(history: SqliteHistory, device: str = "tank-1") -> list[int]:
    return [s.seq for s in history.samples(device, 0, END)]


def damage(path: Path, where: Callable[[int], list[int]]) -> None:
    """Overwrite the 4 KiB pages whose numbers `where(how many there are)` gives."""
    with path.open("r+b") as file:
        for page in where(path.stat().st_size // 4096):
            file.seek(page * 4096)
            file.write(b"\xa5" * 4096)


# -- kill -9


def test_what_store_returned_from_survives_kill_9_at_any_moment(tmp_path: Path) -> None:
    for round_ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", STORE_FOR_EVER, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        for _ in range(7 + 5 * round_):
            told = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        told = max([told, *(int(line) for line in process.stdout.read().split())])
        process.wait()
        process.stdout.close()
        with opened(tmp_path) as history:
            found = seqs(history)
            assert len(found) >= told
            assert found == list(range(1, len(found) + 1))
            assert history.count() == len(found)


# -- worn cards


def test_a_damaged_history_is_set_aside_said_loudly_and_read_as_far_as_it_reads(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(tmp_path, merge_at=1000) as history:
        for device in ("tank-1", "tank-2", "tank-3"):
            history.store(samples(1, 3000, device))
    damage(tmp_path / "history.db", lambda pages: [pages // 2])
    alarms: list[tuple[str, str]] = []
    with opened(tmp_path, on_alarm=lambda *alarm: alarms.append(alarm)) as history, caplog.at_level(logging.ERROR):
        for device in ("tank-1", "tank-2", "tank-3"):
            seqs(history, device)
        assert [name for name, _ in alarms] == ["history-damaged"]
        (aside,) = tmp_path.glob("history.db.damaged-*[0-9]")
        assert aside.name in alarms[0][1]
        assert alarms[0][1] in caplog.text
        history.store(samples(3001, 3010))
        eventually(lambda: len(seqs(history)) + len(seqs(history, "tank-2")) + len(seqs(history, "tank-3")) > 8700)
        eventually(lambda: seqs(history, "tank-3")[-1:] == [3000])
        assert seqs(history)[-10:] == list(range(3001, 3011))
    with opened(tmp_path) as history:
        assert len(seqs(history)) + len(seqs(history, "tank-2")) + len(seqs(history, "tank-3")) > 8700


def test_the_history_stays_usable_when_the_damage_is_found_while_storing(tmp_path: Path) -> None:
    alarms: list[str] = []
    with opened(tmp_path, merge_at=10, on_alarm=lambda name, _: alarms.append(name)) as history:
        history.store(samples(1, 2000))
        sqlite3.connect(tmp_path / "history.db").execute("PRAGMA wal_checkpoint(TRUNCATE)")
        damage(tmp_path / "history.db", lambda pages: list(range(1, pages)))
        history.store([Sample(f"new-{n}", "1", 1, T0, T0, {"level": n}) for n in range(300)])
        assert alarms == ["history-damaged"]
        assert seqs(history, "new-299") == [1]


@pytest.mark.parametrize(
    "rubbish", [b"not a database at all\n" * 500, b"\0" * 8192, b"SQLite format 3\0" + b"\xff" * 9000]
)
def test_a_file_that_is_no_history_is_set_aside_when_opened(tmp_path: Path, rubbish: bytes) -> None:
    (tmp_path / "history.db").write_bytes(rubbish)
    alarms: list[str] = []
    with opened(tmp_path, on_alarm=lambda name, _: alarms.append(name)) as history:
        history.store(samples(1, 3))
        assert seqs(history) == [1, 2, 3]
    assert alarms == ["history-damaged"]
    (aside,) = tmp_path.glob("history.db.damaged-*[0-9]")
    assert aside.read_bytes() == rubbish


def test_a_value_whose_bytes_have_turned_is_damage_and_costs_that_value_alone(tmp_path: Path) -> None:
    with opened(tmp_path, merge_at=10) as history:
        history.store(samples(1, 100))
    whole = (tmp_path / "history.db").read_bytes()
    assert b'"sample 50"}' in whole
    (tmp_path / "history.db").write_bytes(whole.replace(b'"sample 50"}', b'"sample 50\x00\x01'))
    with opened(tmp_path) as history:
        history.steps("tank-1", "level", 0, END, 1000)
        eventually(lambda: seqs(history) == [*range(1, 50), *range(51, 101)])


def test_two_damages_in_one_second_are_set_aside_apart(tmp_path: Path) -> None:
    for _ in range(2):
        (tmp_path / "history.db").write_bytes(b"rubbish " * 1000)
        with opened(tmp_path) as history:
            history.store(samples(1, 1))
    assert len(list(tmp_path.glob("history.db.damaged-*"))) == 2


def test_salvage_goes_on_after_a_restart(tmp_path: Path) -> None:
    with opened(tmp_path, merge_at=10) as history:
        history.store(samples(1, 5000))
    damage(tmp_path / "history.db", lambda pages: [pages // 2])
    for _ in range(20):
        with opened(tmp_path) as history:  # closed again before the copying can be over
            history.steps("tank-1", "level", 0, END, 1000)
            if history.count():
                break
    with opened(tmp_path) as history:
        eventually(lambda: len(seqs(history)) > 4700)


# -- other people's versions, full disks


def test_a_history_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    with opened(tmp_path) as history:
        history.store(samples(1, 3))
    with contextlib.closing(sqlite3.connect(tmp_path / "history.db")) as db:
        db.execute("PRAGMA user_version=99")
    with pytest.raises(Refused, match="newer version"):
        SqliteHistory(tmp_path, lambda: T0)
    assert not list(tmp_path.glob("*damaged*"))


def test_a_full_disk_is_unavailable_and_nothing_is_half_stored(tmp_path: Path) -> None:
    with opened(tmp_path, merge_at=300) as history:
        history.store(samples(1, 250))
        history._db.execute("PRAGMA max_page_count=20")  # SQLite's own "disk is full", without filling one
        for _ in range(2):
            with pytest.raises(Unavailable, match="disk is full"):
                history.store([*samples(251, 2000), *samples(1, 9, "tank-2")])
        assert seqs(history) == list(range(1, 251))
        history._db.execute("PRAGMA max_page_count=100000")
        history.store([*samples(251, 2000), *samples(1, 9, "tank-2")])
        assert seqs(history) == list(range(1, 2001))
        assert history.count() == 2 * 2009
        assert history.latest()["tank-2"]["level"] == (T0 + 9, 9)


def test_a_folder_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="cannot be opened"):
        SqliteHistory(tmp_path / "nowhere", lambda: T0)


def test_a_closed_history_is_unavailable(tmp_path: Path) -> None:
    history = SqliteHistory(tmp_path, lambda: T0)
    history.store(samples(1, 1))
    history.close()
    history.close()
    for call in (lambda: history.store(samples(2, 2)), lambda: seqs(history), lambda: history.trim(END)):
        with pytest.raises(Unavailable, match="closed"):
            call()


# -- letting go


@pytest.mark.parametrize("merge_at", [10, 20_000])
def test_trim_removes_whole_hours_that_are_older_and_only_those(tmp_path: Path, merge_at: int) -> None:
    new = TO_NEXT_HOUR
    with opened(tmp_path, merge_at=merge_at) as history:
        history.store(
            [
                *samples(new - 2494, new + 5),
                *samples(new - 10, new - 1, "tank-2"),
                *samples(new - 5, new + 105, "tank-3"),
            ]
        )
        assert history.trim(T0 + new - 1) == 0
        assert history.trim(T0 + new + 3) == 2 * (2494 + 10 + 5)
        assert seqs(history) == list(range(new, new + 6))
        assert seqs(history, "tank-2") == []
        assert seqs(history, "tank-3") == list(range(new, new + 106))
        assert history.count() == 2 * (6 + 106)
        assert set(history.latest()) == {"tank-1", "tank-3"}
        assert history.trim(T0 + new + 3) == 0
    with opened(tmp_path, merge_at=merge_at) as history:
        assert history.count() == 2 * (6 + 106)
        assert set(history.latest()) == {"tank-1", "tank-3"}


def test_the_room_of_what_was_trimmed_is_used_again(tmp_path: Path) -> None:
    sizes = []
    with opened(tmp_path, merge_at=100) as history:
        for week in range(6):
            history.store(samples(week * HOUR + 1, week * HOUR + 3000))
            history.trim(T0 + week * HOUR)
            assert len(seqs(history)) == 3000
            sizes.append((tmp_path / "history.db").stat().st_size + (tmp_path / "history.db-wal").stat().st_size)
    size = (tmp_path / "history.db").stat().st_size
    with opened(tmp_path, merge_at=100) as history:
        history.store(samples(6 * HOUR + 1, 6 * HOUR + 3000))
        history.trim(T0 + 6 * HOUR)
    assert (tmp_path / "history.db").stat().st_size <= size


# -- hourly averages


def hourly(history: SqliteHistory) -> list[tuple[float, int]]:
    return [(step.mean, step.count) for step in history.steps("tank-1", "level", 0, END, HOUR)]


def test_kill_9_in_the_middle_of_trimming_loses_and_doubles_nothing(tmp_path: Path) -> None:
    with opened(tmp_path, merge_at=500) as history:
        for day in range(8):
            history.store(
                [
                    Sample("tank-1", "1", n, T0 + n * 60_000, T0, {"level": n})
                    for n in range(day * 1440, day * 1440 + 1440)
                ]
            )
        expected = hourly(history)
    for round_ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", TRIM_HOUR_BY_HOUR, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        for _ in range(10 + 20 * round_):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        with opened(tmp_path, merge_at=500) as history:
            assert hourly(history) == expected
            assert len(seqs(history)) < 8 * 1440 - 60 * 8


def test_averages_go_when_they_are_older_than_they_shall_be_kept(tmp_path: Path) -> None:
    now = T0 + 10 * HOUR
    hours = [Sample("tank-1", "1", n, T0 + n * HOUR, T0, {"level": n}) for n in range(10)]
    with contextlib.closing(SqliteHistory(tmp_path, lambda: now, keep_hourly=6 * 3600)) as history:
        history.store(hours)
        history.trim(now - 2 * HOUR)
        assert hourly(history) == [(n, 1) for n in range(5, 10)]
        now += 2 * HOUR
        history.trim(now - 2 * HOUR)
        assert hourly(history) == [(n, 1) for n in range(7, 10)]


def test_the_setting_says_how_long_averages_are_kept(tmp_path: Path) -> None:
    wanted = {"data": {"dir": str(tmp_path)}, "history": {"keep_hourly": "50h"}}
    now = now_ms()
    with contextlib.closing(open_history(Settings.model_validate(wanted), Alarms(now_ms, lambda _: None))) as history:
        old, older = (Sample("tank-1", "1", ago, now - ago * HOUR, now, {"level": ago}) for ago in (4, 100))
        history.store([old, older])
        history.trim(now - 2 * HOUR)
        assert [step.mean for step in history.steps("tank-1", "level", 0, now, HOUR)] == [4]


def test_a_history_of_the_version_without_averages_goes_on_with_them(tmp_path: Path) -> None:
    with opened(tmp_path) as history:
        history.store(samples(1, 100))
        expected = hourly(history)
    with contextlib.closing(sqlite3.connect(tmp_path / "history.db")) as db:
        db.executescript("DROP TABLE hour; PRAGMA user_version=1")
    with opened(tmp_path) as history:
        assert seqs(history) == list(range(1, 101))
        assert history.trim(T0 + HOUR) == 200
        assert hourly(history) == expected


def test_averages_of_a_damaged_history_are_copied_too_and_trimmed_only_after(tmp_path: Path) -> None:
    with opened(tmp_path, merge_at=500) as history:
        history.store([Sample("tank-1", "1", n, T0 + n * HOUR // 10, T0, {"level": n}) for n in range(2000)])
        history.trim(T0 + 100 * HOUR)
        expected = hourly(history)
        history.store([Sample("tank-2", "1", n, T0 + n, T0, {"level": n, "note": "x" * 200}) for n in range(5000)])
    whole = (tmp_path / "history.db").read_bytes()
    leaf, written = 10, b"x" * 200
    damage(
        tmp_path / "history.db",
        lambda pages: [
            n for n in range(pages) if whole[n * 4096] == leaf and written in whole[n * 4096 : n * 4096 + 4096]
        ],
    )
    with opened(tmp_path, merge_at=500) as history:
        for device in ("tank-1", "tank-2"):
            seqs(history, device)
        history.store(samples(1, 1, "tank-3"))
        eventually(lambda: list(tmp_path.glob("*.damaged-*")) and not history._tables.note("salvaging"))
        assert hourly(history)[:150] == expected[:150]  # of what was not averaged, some was beside the damage
        history.trim(T0 + 150 * HOUR)
        assert hourly(history)[:150] == expected[:150]


def test_nothing_is_averaged_while_a_damaged_history_is_copied_for_copying_may_begin_again(tmp_path: Path) -> None:
    with opened(tmp_path) as history:
        history.store(samples(1, 100))
        history._db.execute("INSERT INTO note VALUES ('salvaging', 'history.db.damaged-1')")
        assert history.trim(T0 + HOUR) == 0
        assert seqs(history) == list(range(1, 101))
        history._tables.drop_note("salvaging", "history.db.damaged-1")
        assert history.trim(T0 + HOUR) == 200
