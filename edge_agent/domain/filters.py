"""Topic Filters (MQTT 5, 4.7): which messages one asks for, and which of several filters ask for the same.

A Topic Name is a filter without wildcards, so one question answers both: does this filter ask for all that one does?
"""

from __future__ import annotations

from collections.abc import Iterable

LONGEST = 65_535
"""Bytes of a filter (MQTT 5, 4.7.3)."""
SYSTEM = "$SYS"
"""What a broker tells of itself; wildcards do not reach it (4.7.2)."""
_SHARED = ("$share", "$queue")
_EXAMPLE = "write for example edge/v1/+/devices/+/readings"


def covers(wide: str, narrow: str) -> bool:
    """Whether `wide` asks for every message that `narrow` (a filter, or a Topic Name) does."""
    levels, others = wide.split("/"), narrow.split("/")
    if narrow[:1] == "$" and levels[0] in ("+", "#"):
        return False
    for position, level in enumerate(levels):
        if level == "#":  # the parent too: sport/# asks for sport (4.7.1.2)
            return True
        if position >= len(others):
            return False
        other = others[position]
        if other == "#" or level not in ("+", other):
            return False
    return len(levels) == len(others)


def widest(filters: Iterable[str]) -> list[str]:
    """`filters` in their order, without those that another one covers: a broker may send a message once for each
    subscription it matches (3.3.4)."""
    each = list(dict.fromkeys(filters))
    return [one for one in each if not any(covers(other, one) for other in each if other != one)]


def fault(filter_: str) -> tuple[str, str]:
    """What is wrong with it as a trigger, and what to write instead; ("", "") when nothing is."""
    levels = filter_.split("/")
    raw = filter_.encode("utf-8", "replace")
    if not filter_ or len(raw) > LONGEST or b"\0" in raw or raw.decode() != filter_:
        return "is no topic filter", _EXAMPLE
    if levels[0] in _SHARED:
        plain = "/".join(levels[2:]) if levels[0] == "$share" else "/".join(levels[1:])
        return "is a shared subscription, which hands a message to one of several agents", f"write {plain or 'a/topic'}"
    if filter_.startswith("$") and levels[0] != SYSTEM:
        return f"begins with {levels[0]}, which belongs to the broker", f"of these only {SYSTEM}/... can be asked for"
    if "#" in "".join(levels[:-1]) or ("#" in levels[-1] and levels[-1] != "#"):
        return "# stands only alone and last", "write for example edge/v1/#"
    if any("+" in level and level != "+" for level in levels):
        return "+ stands only alone between slashes", "write for example edge/v1/+/devices/tank-1/readings"
    return "", ""
