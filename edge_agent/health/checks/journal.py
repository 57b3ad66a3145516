"""Does the journal take readings, and does it get rid of them? It is where nothing may be lost."""

from __future__ import annotations

from edge_agent.health.amounts import lasting
from edge_agent.health.context import Context
from edge_agent.health.finding import Finding, Healthy, Unwell

SLOW_COMMIT_S = 1.0
LONG_WAIT_MS = 3_600_000


def check(context: Context) -> Finding:
    journal = context.journal
    if journal is None:
        return Unwell(
            "not known, no agent is running", try_this="start it: `edgectl run`, or `systemctl start edge-agent`"
        )
    if journal.trouble:
        return Unwell(
            f"the journal cannot be written: {journal.trouble}",
            try_this="make room on the disk, or see whether it has become read-only (`dmesg | tail`): cards end that way",
            blocks=("nothing is acknowledged: boards keep their readings and send them again", "alerts and functions"),
        )
    if aside := sorted(
        path.name for path in context.data_dir.glob("*.damaged-*") if not path.name.endswith(("-wal", "-shm"))
    ):
        return Unwell(
            f"damaged and set aside in {context.data_dir}: {', '.join(aside)}; what could be read of it is in use",
            try_this="replace the card or disk soon, check that nothing is missed, then move these files away",
        )
    waited = context.clock() - journal.oldest if journal.oldest else 0
    if waited > LONG_WAIT_MS:
        return Unwell(
            f"{journal.waiting} samples have waited for the history up to {lasting(waited)}",
            try_this="see that the history can be reached ([history] url) and that its disk has room",
            blocks=("plots and replays end in the past", "the oldest are let go when the journal is full"),
        )
    if journal.commit_p99 > SLOW_COMMIT_S:
        return Unwell(
            f"one commit in a hundred takes {journal.commit_p99:.1f} s or longer",
            try_this="the disk is slow or worn: move the data folder to an SSD; see what else writes (`iotop`)",
            blocks=("alerts and acknowledgements are late by as much",),
        )
    return Healthy(
        f"{journal.waiting} samples wait for the history, commits take up to {journal.commit_p99 * 1000:.0f} ms"
    )
