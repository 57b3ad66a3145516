"""What the journal tells: every query, over a connection that cannot write."""

from __future__ import annotations

import sqlite3
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from edge_agent.adapters.journal_sqlite import deadletters, rows, schema
from edge_agent.domain.alert import Alert
from edge_agent.domain.deadletters import Selection
from edge_agent.domain.invocation import Invocation
from edge_agent.domain.reading import About, Sample
from edge_agent.domain.rules.spec import RuleState
from edge_agent.domain.schedule import CronMark
from edge_agent.domain.usage import Usage

EVERY = Selection()


class Reads:
    """Any thread may ask; one at a time is answered, and none waits for the writer."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._reading = threading.Lock()
        self._reader = self._connect()

    def _connect(self) -> sqlite3.Connection:
        reader = schema.connect(self._path, read_only=True)
        reader.row_factory = sqlite3.Row
        return reader

    def reconnect(self) -> None:
        """The file is another one now."""
        with self._reading:
            self._reader.close()
            self._reader = self._connect()

    def close(self) -> None:
        with self._reading:
            self._reader.close()

    def batches(self, after: int = 0, limit: int = 200) -> list[tuple[int, int, list[Sample]]]:
        """(number, committed at, samples) of at most `limit` commits after number `after`, in order."""
        found = self._all("SELECT id, at, body FROM batch WHERE id > ? ORDER BY id LIMIT ?", (after, limit))
        return [(row["id"], row["at"], rows.unpack_samples(row["body"])) for row in found]

    def backlog(self) -> tuple[int, int, int]:
        """(samples waiting for the history, time of the oldest in epoch ms or 0, bytes of the file in use)."""
        row = self._all("SELECT coalesce(sum(n), 0) AS n, coalesce(min(at), 0) AS oldest FROM batch")[0]
        pages = self._all("SELECT page_count * page_size AS used FROM pragma_page_count, pragma_page_size")[0]["used"]
        free = self._all("SELECT freelist_count * page_size AS f FROM pragma_freelist_count, pragma_page_size")[0]["f"]
        return row["n"], row["oldest"], pages - free

    def every_batch(self) -> Iterator[tuple[int, int, list[Sample]]]:
        """All commits that still have samples, in order, a few at a time."""
        after = 0
        while found := self.batches(after):
            yield from found
            after = found[-1][0]

    def rule_states(self) -> list[RuleState]:
        return [RuleState(r["rule"], r["device"], r["body"], r["upto"]) for r in self._all("SELECT * FROM rule_state")]

    def crons(self) -> list[CronMark]:
        return [CronMark(r["function"], r["schedule"], r["at"]) for r in self._all("SELECT * FROM cron")]

    def watermarks(self) -> list[tuple[str, str, bytes]]:
        return [(r["device"], r["boot"], r["body"]) for r in self._all("SELECT * FROM watermark")]

    def unfinished(self) -> tuple[int, list[str]]:
        """See `ports.Journal.unfinished`."""
        last = self._all("SELECT coalesce(max(rowid), 0) AS place FROM invocation")[0]["place"]
        found = self._all("SELECT DISTINCT function FROM invocation WHERE ended IS NULL ORDER BY function")
        return last, [row["function"] for row in found]

    def pending_invocations(self, function: str = "", *, limit: int = -1) -> list[Invocation]:
        """What of `function` ("" = all) has not ended, oldest first; all of it, or the first `limit`."""
        with self._reading:
            found = list(rows.pending(self._reader, function, after=0, limit=limit, most_bytes=sys.maxsize))
        return [each.invocation for each in found]

    def invocations(
        self, *, function: str = "", state: str = "", limit: int = 100, before: str = ""
    ) -> tuple[list[dict[str, Any]], str]:
        """(summaries newest first, cursor of the next page or "")."""
        where = "1"
        values: list[Any] = []
        if function:
            where, values = where + " AND function=?", [*values, function]
        if state == "pending":
            where += " AND ended IS NULL"
        elif state:
            where, values = where + " AND state=?", [*values, state]
        found, cursor = self._page("invocation", where, values, limit, before)
        return [rows.as_summary(r) for r in found], cursor

    def invocation(self, id: str, function: str = "") -> list[dict[str, Any]]:
        """Everything about the invocations of one event; [] when unknown."""
        found = self._all("SELECT * FROM invocation WHERE id=? AND (?='' OR function=?)", (id, function, function))
        return [rows.as_detail(r) for r in found]

    def invocations_between(self, first: str, end: str) -> list[dict[str, Any]]:
        """Everything about the invocations with first <= id < end, in the order recorded."""
        found = self._all("SELECT * FROM invocation WHERE id >= ? AND id < ? ORDER BY rowid", (first, end))
        return [rows.as_detail(r) for r in found]

    def dead_letters(
        self, selection: Selection = EVERY, *, limit: int = 100, before: str = ""
    ) -> tuple[list[dict[str, Any]], str]:
        """(summaries by the time they died, newest first, cursor of the next page or "")."""
        where, values = deadletters.where(selection)
        rest, more = deadletters.page(limit + 1, before)
        found = self._all(f"SELECT *, rowid AS number FROM invocation WHERE {where}{rest}", [*values, *more])  # noqa: S608
        cursor = deadletters.cursor(found[limit - 1]) if len(found) > limit else ""
        return [deadletters.as_summary(r) for r in found[:limit]], cursor

    def count_dead_letters(self, selection: Selection = EVERY) -> int:
        where, values = deadletters.where(selection)
        return int(self._all(f"SELECT count(*) AS n FROM invocation WHERE {where}", values)[0]["n"])  # noqa: S608

    def usage(self, function: str, since: int) -> list[tuple[int, Usage]]:
        """(start of the hour in epoch ms, what the function used in it) from `since` on, in order."""
        found = self._all("SELECT * FROM usage WHERE function=? AND hour>=? ORDER BY hour", (function, since))
        return [(r["hour"], rows.unpack_usage(r["body"])) for r in found]

    def usage_of_hour(self, hour: int) -> list[tuple[str, int, Usage]]:
        """(function, hour, usage) of every function in the hour that starts at `hour`."""
        found = self._all("SELECT * FROM usage WHERE hour=?", (hour,))
        return [(r["function"], r["hour"], rows.unpack_usage(r["body"])) for r in found]

    def alerts(self, *, state: str = "", limit: int = 100, before: str = "") -> tuple[list[Alert], str]:
        """(newest first, cursor of the next page or "")."""
        at, _, id = before.partition(" ")
        found = self._all(
            "SELECT * FROM alert WHERE (?='' OR state=?) AND (?='' OR (since, id) < (?, ?)) "
            "ORDER BY since DESC, id DESC LIMIT ?",
            (state, state, before, int(at or 0), id, limit + 1),
        )
        cursor = f"{found[limit - 1]['since']} {found[limit - 1]['id']}" if len(found) > limit else ""
        return [rows.as_alert(r) for r in found[:limit]], cursor

    def alert(self, id: str) -> Alert | None:
        found = self._all("SELECT * FROM alert WHERE id=?", (id,))
        return rows.as_alert(found[0]) if found else None

    def untold(self) -> list[Alert]:
        """Alerts whose last change nobody was told of yet, and all that are firing, oldest first."""
        found = self._all("SELECT * FROM alert WHERE late=0 AND (told=0 OR state='firing') ORDER BY since")
        return [rows.as_alert(r) for r in found]

    def devices(self) -> dict[str, tuple[str, About | None]]:
        """{name: (label, about)} of every device that has either."""
        found = self._all("SELECT * FROM device")
        return {r["name"]: (r["label"], rows.unpack_about(r["about"]) if r["about"] else None) for r in found}

    def silences(self) -> list[tuple[str, str, int, str]]:
        return [(r["rule"], r["device"], r["until"], r["by"]) for r in self._all("SELECT * FROM silence")]

    def _all(self, sql: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        with self._reading:
            return self._reader.execute(sql, values).fetchall()

    def _page(
        self, table: str, where: str, values: list[Any], limit: int, before: str
    ) -> tuple[list[sqlite3.Row], str]:
        sql = (
            f"SELECT rowid AS cursor, * FROM {table} WHERE {where} AND (?='' OR rowid < ?) ORDER BY rowid DESC LIMIT ?"  # noqa: S608
        )
        found = self._all(sql, [*values, before, int(before or 0), limit + 1])
        return found[:limit], str(found[limit - 1]["cursor"]) if len(found) > limit else ""
