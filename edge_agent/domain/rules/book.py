"""All rules on all devices: samples and the passing of time in, matches out, and what must be remembered.

The hot path is `observe`: a sample costs one dictionary access for its device and one for each of its readings; only the
machines of rules concerned are asked, however many others there are. Not thread-safe: one thread owns the book.

What is to be stored with a commit: the matches, and `changed()`. What may be stored now and then: `snapshot()`. After a
crash `restore` what was stored, then `remember` the samples of later commits, then go on with `observe` and `tick`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from edge_agent.domain.reading import About, Sample, Value
from edge_agent.domain.rules.agenda import Agenda
from edge_agent.domain.rules.machine import AHEAD_MS, Machine
from edge_agent.domain.rules.memory import FIRING, PENDING, Memory
from edge_agent.domain.rules.roster import Roster
from edge_agent.domain.rules.silence import Silence
from edge_agent.domain.rules.spec import Match, Rule, RuleState

NOTHING: tuple[Match, ...] = ()
"""What `observe` and `tick` return most of the time: one shared value, nothing to make."""
MAX_DEVICES = 10_000


class Firing(NamedTuple):
    """An episode that is on. `since` epoch ms; `id` of its firing match; `late`: a past alert, told to nobody."""

    rule: str
    device: str
    since: int
    id: str
    late: bool = False


class Pending(NamedTuple):
    """A condition that holds but has not fired yet; `due` is when it will, epoch ms."""

    rule: str
    device: str
    since: int
    due: int


class RuleBook:
    """At most `max_devices` devices are remembered (`roster`); a sample more than `late_after_s` old is late."""

    def __init__(self, rules: Sequence[Rule] = (), late_after_s: float = 300.0, max_devices: int = MAX_DEVICES) -> None:
        self._late_after_s = late_after_s
        self._now: int | None = None
        self._agenda = Agenda()
        self._moved: dict[Machine, None] = {}
        self._firing: dict[Machine, None] = {}
        self._gone: list[RuleState] = []
        self._farewells: list[tuple[Rule, str, Memory]] = []
        self._unheard: list[Silence] = []
        self.roster = Roster(max_devices, self._retire)
        self.roster.load(rules, late_after_s)
        self._watches = self.roster.watches

    @property
    def rules(self) -> dict[str, Rule]:
        return {name: terms.rule for name, terms in self.roster.terms.items()}

    def observe(self, sample: Sample) -> Sequence[Match]:
        """Judge one sample, in the order of its device. Retained samples (`live` False) are ignored."""
        watch = self._watches.get(sample.device)
        if watch is None:
            watch = self.roster.meet(sample.device)
        if not watch.terms or not sample.live:
            return NOTHING
        t = sample.t
        if t > sample.received + AHEAD_MS:
            t = sample.received
        found: list[Match] | None = None
        for reading, value in sample.values.items():
            for machine in watch[reading]:
                matches = machine.observe(sample, value, t)
                if matches is not None:
                    self._note(machine)
                    found = matches if found is None else found + matches
        for machine in watch.any_reading:
            matches = machine.observe(sample, None, t)
            if matches is not None:
                self._note(machine)
                found = matches if found is None else found + matches
        return found or NOTHING

    def remember(self, sample: Sample, number: int | None = None) -> None:
        """Show a sample of the journal's tail again, silently: memories grow, no episode begins or ends.

        With `number`, its commit's, machines whose stored state has seen that commit are left alone.
        """
        t = sample.received if sample.t > sample.received + AHEAD_MS else sample.t
        for machine, value in self._concerned(sample):
            if number is None or machine.upto < number:
                memory = machine.memory()
                if machine.observe(sample, value, t):
                    machine.revert(memory)
                self._note(machine)

    def tick(self, now: int, drained: bool) -> Sequence[Match]:
        """Time has passed: timers of `for` and of cooldowns and, when `drained`, of `missingFor` and of late readings.

        `drained`: no reading sent before `now` can still be on its way. After a start or a lost connection say so only when
        the boards have had time to come back. A `now` far before the last one means that the clock was set back.
        """
        if self._now is None or now < self._now - AHEAD_MS:
            self._set_back(now)
        self._now = now
        found = self._say_farewell() if self._farewells else []
        for machine in self._agenda.due(now, drained):
            found += machine.tick(now) or ()
            self._note(machine)
        if drained and self._unheard:
            self._listen(now)
        return found or NOTHING

    def next_due(self, drained: bool = True) -> int | None:
        """When `tick` will have something to do, epoch ms, if nothing else happens before; may be past. Ask with what
        `tick` will be told: not `drained`, timers that are due but wait for the backlog are left out."""
        return self._agenda.next(drained)

    def changed(self) -> list[RuleState]:
        """States whose phase or timer changed since last asked, for the commit that carries the matches.

        An empty `body` means: nothing left to remember, the stored state may go.
        """
        if not self._moved and not self._gone:
            return []
        states = self._gone + [_state(machine) for machine in self._moved]
        self._moved, self._gone = {}, []
        return states

    def snapshot(self) -> list[RuleState]:
        """`changed()`, and every other state that was touched since it was last handed out: to be saved now and then."""
        return self.changed() + [_state(machine) for machine in self.roster.machines() if machine.touched]

    def restore(self, states: Iterable[RuleState]) -> None:
        """Take up what was stored. What fired under a rule that is gone, or that means something else now, is resolved at
        the next `tick`. Bytes that cannot be read are skipped."""
        for state in states:
            memory = Memory.decode(state.body)
            if memory is None:
                continue
            machine = self._heir(state.rule, state.device, memory)
            if machine is not None:
                machine.upto = state.upto
            else:
                terms = self.roster.terms.get(state.rule)
                self._leave_behind(terms.rule if terms else Rule(name=state.rule), state.device, memory)
        self._find_unheard()

    def replace(self, rules: Sequence[Rule], now: int | None = None) -> list[Match]:
        """Go on with other rules. A rule that means the same keeps its states; one that is gone, or means something else,
        is resolved where it fired. `now` (epoch ms; by default the last tick's) dates that."""
        before, moved = list(self.roster.machines()), self._moved
        self.roster.load(rules, self._late_after_s)
        self._agenda = Agenda()
        self._moved, self._firing = {}, {}
        for machine in before:
            memory, rule = machine.memory(), machine.terms.rule
            heir = self._heir(rule.name, machine.device, memory)
            if heir is not None:
                heir.upto, heir.touched, heir.moved = machine.upto, machine.touched, machine in moved
                self._note(heir)
            else:
                self._leave_behind(rule, machine.device, memory)
        self._find_unheard()
        return self._say_farewell(now)

    def forget(self, device: str, now: int | None = None) -> list[Match]:
        """The device is retired: its episodes are resolved, nothing of it is remembered."""
        for machine in self.roster.leave(device):
            self._leave_behind(machine.terms.rule, device, machine.memory())
        return self._say_farewell(now)

    def learn(self, about: About) -> None:
        """Take the units a board told of its readings, for the messages of its alerts."""
        self.roster.learn(about)

    def firing(self) -> list[Firing]:
        """Episodes that are on, oldest first."""
        on = (Firing(m.terms.rule.name, m.device, m.since, m.episode, m.late) for m in self._firing)
        return sorted(on, key=lambda firing: (firing.since, firing.id))

    def pending(self) -> list[Pending]:
        """Conditions that hold but wait for `for` or for the end of a cooldown."""
        waiting = (machine for machine in self.roster.machines() if machine.phase == PENDING)
        return [Pending(m.terms.rule.name, m.device, m.since, m.wakes() or 0) for m in waiting]

    def _concerned(self, sample: Sample) -> Iterator[tuple[Machine, Value | None]]:
        watch = self.roster.meet(sample.device)
        if watch.terms and sample.live:
            for reading, value in sample.values.items():
                yield from ((machine, value) for machine in watch[reading])
            yield from ((machine, None) for machine in watch.any_reading)

    def _note(self, machine: Machine) -> None:
        if machine.moved:
            machine.moved = False
            self._moved[machine] = None
            if machine.phase == FIRING:
                self._firing[machine] = None
            else:
                self._firing.pop(machine, None)
        self._agenda.plan(machine)

    def _retire(self, machine: Machine) -> None:
        self._agenda.drop(machine)
        self._moved.pop(machine, None)
        self._firing.pop(machine, None)

    def _heir(self, rule: str, device: str, memory: Memory) -> Machine | None:
        """The machine that goes on with `memory`; None when there is no such rule any more, or it means something else."""
        terms = self.roster.terms.get(rule)
        machine = self.roster.meet(device).find(rule) if terms and terms.meaning == memory.meaning else None
        if machine is not None:
            machine.recall(memory)
            if machine.phase == FIRING:
                self._firing[machine] = None
            self._note(machine)
        return machine

    def _leave_behind(self, rule: Rule, device: str, memory: Memory) -> None:
        self._gone.append(RuleState(rule.name, device, b""))
        if memory.phase == FIRING:
            self._farewells.append((rule, device, memory))

    def _say_farewell(self, now: int | None = None) -> list[Match]:
        moment = now if now is not None else self._now
        leaving, self._farewells = self._farewells, []
        return [_withdrawn(rule, device, memory, moment) for rule, device, memory in leaving]

    def _find_unheard(self) -> None:
        self._unheard = [machine for watch in self._watches.values() for machine in watch.unheard()]

    def _listen(self, now: int) -> None:
        listeners, self._unheard = self._unheard, []
        for machine in listeners:
            if self.roster.meet(machine.device).find(machine.terms.rule.name) is machine:  # else it left meanwhile
                machine.listen(now)
                self._note(machine)

    def _set_back(self, now: int) -> None:
        for machine in self.roster.machines():
            if max(machine.t, machine.fired) > now + AHEAD_MS:
                machine.set_back(now)
                self._note(machine)


def _state(machine: Machine) -> RuleState:
    machine.touched = False
    return RuleState(machine.terms.rule.name, machine.device, machine.memory().encode())


def _withdrawn(rule: Rule, device: str, memory: Memory, now: int | None) -> Match:
    """The end of an episode whose rule, or device, is gone."""
    return Match(
        id=f"{memory.episode}/withdrawn/resolved",
        rule=rule,
        device=device,
        reading=rule.reading,
        state="resolved",
        at=max(memory.since, memory.t if now is None else now),
        value=memory.value,
        message=f"{device}: {rule.name} is over, the rule or the device was changed or removed",
        late=memory.late,
        since=memory.since,
        episode=memory.episode,
    )
