"""What a rule should say, worked out slowly and differently: from the whole list of samples and ticks, each time anew.

No state machine and nothing of the product's rules but their declaration. First every reading is annotated with what can be
known from the list before it; then episodes are looked for in that annotated list: where does one begin, where does it end?
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from edge_agent.domain.reading import Sample
from edge_agent.domain.rules.spec import Rule


class Tick(NamedTuple):
    now: int
    drained: bool


Event: TypeAlias = Sample | Tick


class Said(NamedTuple):
    """One match, as far as it can be told without the product: `event` is the place in the list that brought it out."""

    event: int
    id: str
    state: str
    at: int
    late: bool
    value: Any
    previous: Any
    since: int
    episode: str


@dataclass
class Note:
    """One event as one rule sees it. `kind`: judged (considered), slept (inside the deadband), ticked."""

    kind: str
    event: int
    t: int
    received: int = 0
    late: bool = False
    drained: bool = True
    value: Any = None
    previous: Any = None
    begins: bool = False
    stays: bool = False
    id: str = ""


def expected(rule: Rule, events: list[Event], late_after_s: float) -> list[Said]:
    """All matches of `rule`, in the order in which they come out."""
    devices = sorted({event.device for event in events if isinstance(event, Sample)})
    search = _messages if rule.every else _silences if rule.missing_for is not None else _episodes
    said: list[Said] = []
    for device in devices:
        own = [(i, e) for i, e in enumerate(events) if isinstance(e, Tick) or (e.device == device and e.live)]
        said += search(rule, device, own, round(late_after_s * 1000))
    return sorted(said, key=lambda one: one.event)


def _moment(sample: Sample) -> int:
    return sample.received if sample.t - sample.received > 120_000 else sample.t


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _judges(rule: Rule, value: Any) -> bool:
    if rule.equals is None or _is_number(rule.equals):
        return _is_number(value)
    return type(value) is type(rule.equals)


# -- conditions


def _begins(rule: Rule, value: Any, before: tuple[int, Any] | None, t: int) -> bool:
    if rule.equals is not None:
        return bool(value == rule.equals)
    if rule.outside is not None:
        return not rule.outside[0] <= value <= rule.outside[1]
    if rule.changed_by is not None:
        return before is not None and round(abs(value - before[1]), 6) >= rule.changed_by
    if rule.rate_per_minute is not None:
        if before is None:
            return False
        per_minute = (value - before[1]) / ((t - before[0]) / 60_000)
        return per_minute * math.copysign(1, rule.rate_per_minute) >= abs(rule.rate_per_minute)
    return (-math.inf if rule.above is None else rule.above) < value < (math.inf if rule.below is None else rule.below)


def _stays(rule: Rule, value: Any, before: tuple[int, Any] | None, t: int) -> bool:
    """Hysteresis: the limits of a rule that fires already are those at which it clears."""
    if rule.clear_above is None and rule.clear_below is None:
        return _begins(rule, value, before, t)
    if rule.outside is not None:
        low = value < rule.outside[0] if rule.clear_above is None else not value > rule.clear_above
        high = value > rule.outside[1] if rule.clear_below is None else not value < rule.clear_below
        return low or high
    over = rule.above is None or (value > rule.above if rule.clear_below is None else not value < rule.clear_below)
    under = rule.below is None or (value < rule.below if rule.clear_above is None else not value > rule.clear_above)
    return over and under


# -- thresholds, constants, jumps and slopes


def _notes(rule: Rule, own: list[tuple[int, Event]], late_ms: int) -> list[Note]:
    notes: list[Note] = []
    for place, event in own:
        if isinstance(event, Tick):
            notes.append(Note("ticked", place, event.now, drained=event.drained))
            continue
        if rule.reading not in event.values or not _judges(rule, event.values[rule.reading]):
            continue
        t, value = _moment(event), event.values[rule.reading]
        judged = [note for note in notes if note.kind == "judged"]
        last = judged[-1] if judged else None
        if last and t < last.t:
            continue
        if last and rule.deadband is not None and round(abs(value - last.value), 6) < rule.deadband:
            awake = rule.longest_silence is not None and t - last.t >= rule.longest_silence * 1000
            if not awake:
                notes.append(Note("slept", place, t))
                continue
        if last and rule.rate_per_minute is not None and t == last.t:
            continue
        before = (last.t, last.value) if last else None
        notes.append(
            Note(
                "judged", place, t, event.received, event.received - t > late_ms, True, value, last.value if last else None,
                _begins(rule, value, before, t), _stays(rule, value, before, t), event.id,
            )
        )  # fmt: skip
    return notes


def _episodes(rule: Rule, device: str, own: list[tuple[int, Event]], late_ms: int) -> list[Said]:
    notes = _notes(rule, own, late_ms)
    said: list[Said] = []
    place = 0
    while place < len(notes):
        if not (notes[place].kind == "judged" and notes[place].begins):
            place += 1
            continue
        start, place = _start(rule, device, notes, place, said, late_ms)
        if start is None:
            continue
        said.append(start)
        place = _finish(rule, notes, place, said)
    return said


def _gate(rule: Rule, said: list[Said], began: int, late: bool) -> int:
    """The earliest moment at which what holds since `began` may fire."""
    fired = [one for one in said if one.state == "firing"]
    gate = began + round(rule.for_ * 1000)
    if fired and rule.cooldown and not (fired[-1].late and not late):
        gate = max(gate, fired[-1].at + round(rule.cooldown * 1000))
    return gate


def _start(
    rule: Rule, device: str, notes: list[Note], place: int, said: list[Said], late_ms: int
) -> tuple[Said | None, int]:
    """The firing of a condition that begins to hold at `place`, if it comes to that; and where to look on from. Looking on
    from the note that fired means: that very note may end the episode too."""
    began, holder = notes[place].t, notes[place]
    for here in range(place, len(notes)):
        note = notes[here]
        if note.kind == "judged" and note.begins:
            holder = note
            if _gate(rule, said, began, note.late) <= note.t:
                name = f"{note.id}/{rule.name}"
                fired = Said(note.event, name, "firing", note.t, note.late, note.value, note.previous, note.t, name)
                return fired, here + 1
            if rule.changed_by is not None:
                return None, here + 1
            continue
        due = _gate(rule, said, began, holder.late)
        over = note.kind == "judged"
        waits = note.kind == "ticked" and holder.late and not note.drained
        if due <= note.t and not waits:
            late = holder.late or (over and not note.stays and note.received - due > late_ms)
            name = f"{device}/timer/{due}/{rule.name}"
            fired = Said(note.event, name, "firing", due, late, holder.value, holder.previous, due, name)
            return fired, here
        if over:
            return None, here + 1
    return None, len(notes)


def _finish(rule: Rule, notes: list[Note], place: int, said: list[Said]) -> int:
    """Look for the end of the last episode from `place` on; where to look on from."""
    for here in range(place, len(notes)):
        note, episode = notes[here], said[-1]
        if note.kind != "judged":
            continue
        promoted = note.stays and episode.late and not note.late
        if note.stays and not promoted:
            continue
        name = f"{note.id}/{rule.name}"
        end = Said(
            note.event, f"{name}/resolved", "resolved", max(note.t, episode.at), episode.late, note.value, note.previous,
            episode.at, episode.id,
        )  # fmt: skip
        said.append(end)
        if not promoted:
            return here + 1
        said.append(Said(note.event, name, "firing", note.t, False, note.value, note.previous, note.t, name))
    return len(notes)


# -- silence, and each message


def _silences(rule: Rule, device: str, own: list[tuple[int, Event]], late_ms: int) -> list[Said]:
    said: list[Said] = []
    heard: list[Sample] = []
    for place, event in own:
        missing = bool(said) and said[-1].state == "firing"
        value = heard[-1].values.get(rule.reading) if heard else None
        if isinstance(event, Sample):
            if rule.reading and rule.reading not in event.values:
                continue
            heard.append(event)
            if missing:
                name, at = f"{event.id}/{rule.name}/resolved", max(event.received, said[-1].at)
                new = event.values.get(rule.reading)
                said.append(Said(place, name, "resolved", at, False, new, value, said[-1].at, said[-1].id))
        elif heard and event.drained and not missing:
            due = heard[-1].received + round((rule.missing_for or 0) * 1000)
            if said:
                due = max(due, said[-2].at + round(rule.cooldown * 1000))
            if due <= event.now:
                name = f"{device}/timer/{due}/{rule.name}"
                said.append(Said(place, name, "firing", due, False, value, None, due, name))
    return said


def _messages(rule: Rule, device: str, own: list[tuple[int, Event]], late_ms: int) -> list[Said]:
    said: list[Said] = []
    seen: list[tuple[int, Any]] = []
    newest: Callable[[], int] = lambda: max((t for t, _ in seen), default=-(2**60))  # noqa: E731
    for place, event in own:
        if isinstance(event, Tick) or (rule.reading and rule.reading not in event.values):
            continue
        t, value = _moment(event), event.values.get(rule.reading)
        late = event.received - t > late_ms
        last = seen[-1][1] if seen else None
        if rule.deadband is not None:
            if not _is_number(value):
                continue
            awake = rule.longest_silence is not None and t - newest() >= rule.longest_silence * 1000
            if seen and not awake and round(abs(value - last), 6) < rule.deadband:
                continue
        quiet = said and not (said[-1].late and not late) and t < said[-1].at + round(rule.cooldown * 1000)
        if not (rule.cooldown and quiet):
            name = f"{event.id}/{rule.name}"
            said.append(Said(place, name, "message", t, late, value, last, t, name))
        if t >= newest():
            seen.append((t, value))
    return said
