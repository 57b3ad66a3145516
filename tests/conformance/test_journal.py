"""The journal's promises, held against the real one: order, group commit, full disks, damaged files, restarts."""

from __future__ import annotations

import errno
import os
import sqlite3
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_agent.adapters.journal_sqlite import SqliteJournal, deadletters
from edge_agent.domain.alert import Alert
from edge_agent.domain.deadletters import Selection
from edge_agent.domain.invocation import Attempt, Failed, Invocation, Settlement, Succeeded
from edge_agent.domain.message import Rejected
from edge_agent.domain.reading import About, Sample
from edge_agent.domain.rules.spec import RuleState
from edge_agent.domain.usage import HOUR, Usage
from edge_agent.ports import Entries
from tests.clock import now_ms
from tests.small_disk import small_disk
from tests.waiting import eventually


def sample(seq: int, device: str = "tank-1") -> Sample:
    return Sample(device, "b1", seq, 1000 + seq, 1001 + seq, {"level": seq / 2, "door": True, "mode": "auto"})


def samples(journal: SqliteJournal) -> list[Sample]:
    return [sample for _, _, batch in journal.every_batch() for sample in batch]


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[SqliteJournal]:
    journal = SqliteJournal(tmp_path, now_ms, linger=0.05)
    yield journal
    journal.close()


def reopened(journal: SqliteJournal) -> SqliteJournal:
    journal.close()
    return SqliteJournal(journal.path.parent, now_ms)


def test_samples_come_back_as_they_went_in(journal: SqliteJournal) -> None:
    journal.commit(Entries(samples=[sample(1), sample(2)]))
    journal.commit(Entries(samples=[sample(3)]))
    journal.flush()
    assert samples(journal) == [sample(1), sample(2), sample(3)]


def test_then_is_called_in_order_and_only_when_another_reader_can_see_the_row(journal: SqliteJournal) -> None:
    order: list[int] = []
    visible: list[int] = []
    outside = sqlite3.connect(journal.path)

    def then(number: int) -> None:
        order.append(number)
        visible.append(sqlite3.connect(journal.path).execute("SELECT sum(n) FROM batch").fetchone()[0])

    for number in range(1, 6):
        journal.commit(Entries(samples=[sample(number)]), then=lambda number=number: then(number))  # type: ignore[misc]
    journal.flush()
    assert order == [1, 2, 3, 4, 5]
    assert all(seen >= number for seen, number in zip(visible, order, strict=True))
    outside.close()


def test_entries_that_wait_together_share_one_commit(journal: SqliteJournal) -> None:
    before = journal.writer.commits
    for number in range(1, 101):
        journal.commit(Entries(samples=[sample(number)]), urgent=False)
    journal.flush()
    assert len(samples(journal)) == 100
    assert journal.writer.commits - before < 20


def test_an_unurgent_entry_is_written_after_its_linger_without_company(journal: SqliteJournal) -> None:
    done = threading.Event()
    journal.commit(Entries(samples=[sample(1)]), urgent=False, then=done.set)
    assert done.wait(10)


def test_a_then_that_fails_does_not_stop_the_others(journal: SqliteJournal) -> None:
    done = threading.Event()
    journal.commit(Entries(samples=[sample(1)]), then=lambda: 1 // 0)
    journal.commit(Entries(samples=[sample(2)]), then=done.set)
    assert done.wait(10)


def test_what_the_history_has_leaves_with_the_memory_that_follows_from_it(journal: SqliteJournal) -> None:
    first = journal.commit(Entries(samples=[sample(1)]))
    journal.commit(Entries(samples=[sample(2)]))
    journal.flush()
    gone = threading.Event()
    journal.drained(first, [("tank-1", "b1", b"mark")], [RuleState("r", "tank-1", b"state")], gone.set)
    assert gone.wait(10)
    assert samples(journal) == [sample(2)]
    assert journal.watermarks() == [("tank-1", "b1", b"mark")]
    (state,) = journal.rule_states()
    assert (state.rule, state.device, state.body) == ("r", "tank-1", b"state")
    assert state.upto > first


def test_an_invocation_is_pending_until_it_is_answered_and_never_settled_twice(journal: SqliteJournal) -> None:
    invocation = Invocation("tank-1/b1/1/low", "mail", b"{}", 5, "rule:low")
    journal.commit(Entries(invocations=[invocation, invocation]))
    journal.flush()
    assert journal.pending_invocations() == [invocation]
    answered = Settlement(invocation.id, "mail", "answered", 9, Attempt(1, "r1", 6.0, 7.0, 8.0), Succeeded(b"ok"))
    late = Settlement(invocation.id, "mail", "dead", 10, Attempt(2, "r2", 6.0), Failed("timeout", "too late"))
    journal.commit(Entries(settlements=[answered, late]))
    journal.flush()
    assert journal.pending_invocations() == []
    (told,) = journal.invocation(invocation.id)
    assert (told["state"], told["response"], told["ended_at"]) == ("answered", b"ok", 9)
    assert [phase["request_id"] for phase in told["phases"]] == ["r1"]


def test_a_lease_is_what_a_restart_sees_as_attempts(journal: SqliteJournal) -> None:
    journal.commit(Entries(invocations=[Invocation("e1", "mail", b"{}", 5)]))
    journal.commit(Entries(settlements=[Settlement("e1", "mail", "leased", 6, Attempt(2, "r2", 6.0))]))
    again = reopened(journal)
    assert [invocation.attempts for invocation in again.pending_invocations()] == [2]
    again.close()


def die(
    journal: SqliteJournal, id: str, at: int, function: str = "mail", kind: str = "timeout", event: bytes = b"{}"
) -> None:
    journal.commit(Entries(invocations=[Invocation(id, function, event, 5)]))
    failed = Failed(kind, "it said no", log="last words")
    journal.commit(Entries(settlements=[Settlement(id, function, "dead", at, Attempt(3, "r", 6.0, 7.0), failed)]))
    journal.flush()


def found(journal: SqliteJournal, **selection: Any) -> list[str]:
    return [letter["id"] for letter in journal.dead_letters(Selection(**selection))[0]]


def test_a_dead_letter_keeps_reason_log_and_attempts_and_can_be_redriven_once_more_from_the_start(
    journal: SqliteJournal,
) -> None:
    die(journal, "e1", 9)
    (letter,), _ = journal.dead_letters()
    assert (letter["reason"], letter["kind"], letter["attempts"], letter["died_at"]) == ("it said no", "timeout", 3, 9)
    (whole,) = journal.invocation("e1")
    assert whole["log"] == "last words"
    (attempt,) = whole["phases"]
    assert (attempt["number"], attempt["handed_over"], attempt["ended"], attempt["kind"]) == (3, 7.0, 9, "timeout")
    journal.redrive("e1", "mail", 77)
    journal.flush()
    (pending,) = journal.pending_invocations()
    assert (pending.attempts, pending.created) == (1, 77)
    assert journal.dead_letters() == ([], "")


def test_dead_letters_are_found_by_all_that_is_asked_and_page_in_the_order_they_died(journal: SqliteJournal) -> None:
    die(journal, "tank-1/b/1/low", 30)
    die(journal, "tank-1/b/2/low", 10, kind="function-error")
    die(journal, "tank-10/b/1/low", 20, function="pump")
    die(journal, "tank-1/b/3/low", 20)
    assert found(journal) == ["tank-1/b/1/low", "tank-1/b/3/low", "tank-10/b/1/low", "tank-1/b/2/low"]
    assert found(journal, device="tank-10") == found(journal, function="pump") == ["tank-10/b/1/low"]
    assert found(journal, device="tank-1", kind="timeout") == ["tank-1/b/1/low", "tank-1/b/3/low"]
    assert found(journal, since=20, until=30) == ["tank-1/b/3/low", "tank-10/b/1/low"]
    assert found(journal, id="tank-1/b/2/low") == ["tank-1/b/2/low"]
    first, cursor = journal.dead_letters(limit=3)
    second, end = journal.dead_letters(limit=3, before=cursor)
    assert [letter["id"] for letter in first + second] == found(journal)
    assert end == ""
    assert journal.count_dead_letters(Selection(device="tank-1")) == 3


def test_purging_takes_only_the_dead_that_are_meant(journal: SqliteJournal) -> None:
    journal.commit(Entries(invocations=[Invocation("e0", "mail", b"{}", 5)]))
    die(journal, "e1", 9)
    die(journal, "e2", 100)
    for selection in (Selection(function="other"), Selection(until=9)):
        journal.purge(selection)
        journal.flush()
        assert found(journal) == ["e2", "e1"]
    journal.purge(Selection(function="mail", until=100))
    journal.flush()
    assert found(journal) == ["e2"]
    assert [invocation.id for invocation in journal.pending_invocations()] == ["e0"]


def test_too_many_or_too_large_dead_letters_are_let_go_oldest_first_and_counted(
    journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadletters.bound, "__defaults__", (3, 1000))
    for number in range(5):
        die(journal, f"e{number}", 10 + number)
    journal.bound_dead_letters()
    journal.flush()
    assert found(journal) == ["e4", "e3", "e2"]
    assert journal.dead_let_go == 2
    die(journal, "large", 20, event=b"x" * 999)
    journal.bound_dead_letters()
    journal.flush()
    assert found(journal) == ["large"]
    assert journal.dead_let_go == 5
    die(journal, "larger", 21, event=b"x" * 5000)
    journal.bound_dead_letters()
    journal.flush()
    assert found(journal) == ["larger"], "the newest is kept whatever its size"


def test_what_functions_used_is_kept_by_the_hour_and_written_over(journal: SqliteJournal) -> None:
    usage = Usage()
    usage.attempt(0.25, 64 * 1024 * 1024, "")
    journal.keep_usage([("mail", HOUR, usage), ("pump", HOUR, Usage())])
    usage.attempt(0.5, 64 * 1024 * 1024, "timeout")
    journal.keep_usage([("mail", HOUR, usage), ("mail", 2 * HOUR, Usage())])
    journal.flush()
    assert journal.usage("mail", 0) == [(HOUR, usage), (2 * HOUR, Usage())]
    assert journal.usage("mail", 2 * HOUR) == [(2 * HOUR, Usage())]
    assert [name for name, _, _ in journal.usage_of_hour(HOUR)] == ["mail", "pump"]
    journal.trim(2 * HOUR)
    journal.flush()
    assert [hour for hour, _ in journal.usage("mail", 0)] == [2 * HOUR]


def alert(state: str, *, late: bool = False, id: str = "a1") -> Alert:
    until = 20 if state == "resolved" else None
    return Alert(id, "low", "tank-1", "level", state, "critical", "low!", 1.0, 10, until, late=late)


def test_an_alert_is_untold_until_told_and_again_when_it_is_over(journal: SqliteJournal) -> None:
    journal.commit(Entries(alerts=[alert("firing")]))
    journal.flush()
    assert [a.state for a in journal.untold()] == ["firing"]
    journal.told("a1", "firing")
    journal.ack_alert("a1", "ann", 15)
    journal.commit(Entries(alerts=[alert("resolved")]))
    journal.flush()
    (over,) = journal.untold()
    assert (over.state, over.acked_by, over.acked_at) == ("resolved", "ann", 15)
    journal.told("a1", "resolved")
    journal.flush()
    assert journal.untold() == []


def test_the_end_of_a_told_episode_is_told_however_late_and_a_late_episode_never_is(journal: SqliteJournal) -> None:
    journal.commit(Entries(alerts=[alert("firing"), alert("firing", late=True, id="past")]))
    journal.commit(Entries(alerts=[alert("resolved", late=True), alert("resolved", late=True, id="past")]))
    journal.flush()
    assert [(a.id, a.late) for a in journal.untold()] == [("a1", False)]


def test_lists_page_from_the_newest_without_missing_or_repeating_any(journal: SqliteJournal) -> None:
    journal.commit(Entries(alerts=[alert("firing", id=f"a{n}") for n in range(25)]))
    journal.commit(Entries(invocations=[Invocation(f"e{n:02}", "f", b"{}", n) for n in range(25)]))
    journal.flush()
    seen, cursor = [], ""
    while True:
        page, cursor = journal.alerts(limit=10, before=cursor)
        seen += [a.id for a in page]
        if not cursor:
            break
    assert sorted(seen) == sorted(f"a{n}" for n in range(25))
    listed, cursor = [], ""
    while True:
        some, cursor = journal.invocations(limit=10, before=cursor)
        listed += [item["id"] for item in some]
        if not cursor:
            break
    assert listed == [f"e{n:02}" for n in reversed(range(25))]


def test_a_flood_of_poison_is_kept_bounded(journal: SqliteJournal) -> None:
    for _ in range(12):
        journal.commit(Entries(rejected=[Rejected("t", "not-json", "", b"x", 1)] * 100))
    journal.flush()
    kept = sqlite3.connect(journal.path).execute("SELECT count(*) FROM rejected").fetchone()[0]
    assert kept == 1000


def test_numbers_go_on_where_they_ended_and_nothing_is_lost_by_closing(journal: SqliteJournal) -> None:
    last = journal.commit(Entries(samples=[sample(1)]), urgent=False)
    journal.commit(Entries(abouts=[About("tank-1", 1, model="m")]), urgent=False)
    again = reopened(journal)
    assert samples(again) == [sample(1)]
    assert again.devices()["tank-1"][1] == About("tank-1", 1, model="m")
    assert again.commit(Entries(samples=[sample(2)])) > last
    again.close()


def test_a_process_killed_in_the_middle_of_writing_loses_nothing_it_was_told_is_safe(tmp_path: Path) -> None:
    code = """
        import sys, pathlib
        from edge_agent.adapters.journal_sqlite import SqliteJournal, deadletters
        from edge_agent.ports import Entries
        from tests.conformance.test_journal import sample
        from tests.clock import now_ms
        journal = SqliteJournal(pathlib.Path(sys.argv[1]), now_ms)
        for n in range(1, 1_000_000):
            journal.commit(Entries(samples=[sample(n)]), then=lambda n=n: print(n, flush=True))
            if n % 50 == 0:
                journal.flush()
    """
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    promised = 0
    for line in child.stdout:
        promised = int(line)
        if promised > 300:
            break
    child.kill()
    promised = max([promised, *(int(line) for line in child.stdout if line.strip().isdigit() and line.endswith("\n"))])
    child.wait()
    child.stdout.close()
    journal = SqliteJournal(tmp_path, now_ms)
    stored = [s.seq for s in samples(journal)]
    journal.close()
    assert stored[:promised] == list(range(1, promised + 1))


def test_a_full_disk_holds_everything_back_says_so_and_goes_on_by_itself(tmp_path: Path) -> None:
    alarms: list[tuple[str, str]] = []
    with small_disk(tmp_path / "small", "3m") as small:
        journal = SqliteJournal(small, now_ms, linger=0.01, on_alarm=lambda name, why: alarms.append((name, why)))
        filler = small / "filler"
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            filler.write_bytes(b"x" * 4_000_000)
        safe: list[int] = []
        for number in range(1, 6):
            many = [sample(number * 1000 + n) for n in range(1000)]
            journal.commit(Entries(samples=many), then=lambda number=number: safe.append(number))  # type: ignore[misc]
        eventually(lambda: any(name == "disk" and "full" in why for name, why in alarms))
        held = set(range(1, 6)) - set(safe)
        assert held, "the disk was not full after all"
        filler.unlink()
        eventually(lambda: safe == [1, 2, 3, 4, 5])
        eventually(lambda: alarms[-1] == ("disk", ""))
        assert len(samples(journal)) == 5000
        journal.close()


def test_a_damaged_journal_is_set_aside_salvaged_and_the_agent_runs_on(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path, now_ms)
    for number in range(200):
        journal.commit(Entries(samples=[sample(number * 20 + n) for n in range(20)]))
    journal.commit(Entries(invocations=[Invocation("e1", "mail", b"{}", 5)]))
    journal.close()
    file = journal.path
    body = bytearray(file.read_bytes())
    middle = len(body) // 2 // 4096 * 4096
    body[middle : middle + 3 * 4096] = b"\xaa" * 3 * 4096
    file.write_bytes(body)
    alarms: list[tuple[str, str]] = []
    salvaged = SqliteJournal(tmp_path, now_ms, on_alarm=lambda name, why: alarms.append((name, why)))
    assert [name for name, _ in alarms] == ["journal-damaged"]
    assert "replace" in alarms[0][1]
    left = samples(salvaged)
    assert 2000 < len(left) < 4000, "most of it reads"
    assert [invocation.id for invocation in salvaged.pending_invocations()] == ["e1"]
    assert list(tmp_path.glob("journal.db.damaged-*")), "the damaged file is kept"
    done = threading.Event()
    salvaged.commit(Entries(samples=[sample(99_999)]), then=done.set)
    assert done.wait(10)
    salvaged.close()


def test_damage_that_shows_while_running_loses_nothing_that_was_waiting(tmp_path: Path) -> None:
    alarms: list[str] = []
    journal = SqliteJournal(tmp_path, now_ms, on_alarm=lambda name, why: alarms.append(name))
    for number in range(100):
        journal.commit(Entries(samples=[sample(number * 20 + n) for n in range(20)]))
    journal.flush()
    journal._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with journal.path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xaa" * (journal.path.stat().st_size - 4096))
    journal._db.execute("PRAGMA shrink_memory")
    done = threading.Event()
    journal.commit(Entries(samples=[sample(99_999)], alerts=[alert("firing")]), then=done.set)
    assert done.wait(20)
    assert "journal-damaged" in alarms
    assert sample(99_999) in samples(journal)
    journal.close()


def test_a_newer_journal_is_refused_untouched(tmp_path: Path) -> None:
    SqliteJournal(tmp_path, now_ms).close()
    db = sqlite3.connect(tmp_path / "journal.db")
    db.execute("PRAGMA user_version=99")
    db.close()
    before = (tmp_path / "journal.db").read_bytes()
    with pytest.raises(ValueError, match="newer version"):
        SqliteJournal(tmp_path, now_ms)
    assert (tmp_path / "journal.db").read_bytes() == before


def test_retention_lets_the_oldest_go_and_counts_them(journal: SqliteJournal) -> None:
    for number in range(10):
        journal.commit(Entries(samples=[sample(number * 2), sample(number * 2 + 1)]))
    journal.flush()
    assert journal.let_go(3) == 6
    journal.flush()
    assert samples(journal)[0].seq == 6


def test_the_writer_tells_how_it_is_doing(journal: SqliteJournal) -> None:
    journal.commit(Entries(samples=[sample(1)]))
    journal.flush()
    eventually(lambda: journal.writer.pending == 0)
    assert journal.writer.commits >= 1
    assert journal.backlog()[0] == 1
    assert len(journal.writer.durations) >= 1


def test_the_log_has_its_full_size_from_the_start_and_stays_whole_over_a_kill(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path, now_ms)
    log = tmp_path / "journal.db-wal"
    size = log.stat().st_size
    assert size >= 4_000_000
    for number in range(1, 50):
        journal.commit(Entries(samples=[sample(number)]))
    journal.flush()
    assert log.stat().st_size == size, "a log that grows costs the card dearly"
    copy = tmp_path / "after-a-power-cut"
    copy.mkdir()
    for name in ("journal.db", "journal.db-wal"):
        (copy / name).write_bytes((tmp_path / name).read_bytes())
    journal.close()
    again = SqliteJournal(copy, now_ms)
    assert [s.seq for s in samples(again)] == list(range(1, 50))
    again.close()
