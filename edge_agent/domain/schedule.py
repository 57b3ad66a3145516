"""Times by cron expression and time zone. Pure: whoever asks says since when and until when.

As Debian's cron has it (`cronsim`): what is set for a certain time of the day runs once on the day the clocks change, at
the first of two such times in autumn, and in spring, when there is no such time, as soon as there is one again; what
runs every so many minutes or every hour does so by the time that really passes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import msgspec
from cronsim import CronSim

HOUR = 3_600_000


class CronMark(msgspec.Struct, frozen=True):
    """The newest time, epoch ms, that a schedule of a function has been run for (or since when there is one); 0: it is
    gone. `schedule` is `schedule_id`'s."""

    function: str
    schedule: str
    at: int


def schedule_id(cron: str, time_zone: str) -> str:
    """Eight hex digits that stand for the schedule wherever its function's manifest moves it."""
    return hashlib.blake2b(f"{' '.join(cron.split())} {time_zone}".encode(), digest_size=4).hexdigest()


def following(cron: str, time_zone: str, since: int) -> int | None:
    """The first time after `since`, epoch ms; None when there is none within fifty years."""
    return next(_after(cron, time_zone, since), None)


def newest(cron: str, time_zone: str, since: int, until: int) -> int | None:
    """The last time with since < time <= until, epoch ms; None when there is none. Costs the same for any span."""
    begin = since
    if until - since > 4 * HOUR:
        # Backwards to the neighbourhood of the last one, then forwards: only this direction treats the hours at which
        # the clocks change as the times that were really run.
        before = CronSim(cron, _local(until + 1000, time_zone), reverse=True)
        about = next((_ms(each) for each in before if _ms(each) <= until), since)
        begin = max(since, about - 4 * HOUR)
    found = None
    for each in _after(cron, time_zone, begin):
        if each > until:
            break
        found = each
    return found


def _after(cron: str, time_zone: str, since: int) -> Iterator[int]:
    for each in CronSim(cron, _local(since, time_zone)):
        # within the repeated hour of autumn it names times of the first one, which is over
        if (at := _ms(each)) > since:
            yield at


def _local(ms: int, time_zone: str) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC if time_zone == "UTC" else ZoneInfo(time_zone))


def _ms(at: datetime) -> int:
    return int(at.timestamp()) * 1000
