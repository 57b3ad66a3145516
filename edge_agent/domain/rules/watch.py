"""The rules that concern one device: its machines by reading, made when a reading is first seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from edge_agent.domain.rules.each import Each
from edge_agent.domain.rules.machine import Machine
from edge_agent.domain.rules.silence import Silence
from edge_agent.domain.rules.terms import Terms

ANY = ""
"""The key of rules that name no reading."""
MAX_NAMES = 256
"""Names of readings without a rule that are remembered per device; a board that invents names costs time, not memory."""

_NO_UNITS: Mapping[str, str] = {}


class Watch(dict[str, tuple[Machine, ...]]):
    """reading -> machines. A name asked for the first time is looked up in the device's rules once; after that, one
    dictionary access says who is concerned, and for most readings that is nobody."""

    __slots__ = ("any_reading", "device", "terms", "units")

    def __init__(self, device: str, terms: tuple[Terms, ...], units: Mapping[str, str] = _NO_UNITS) -> None:
        super().__init__()
        self.device = device
        self.terms = terms
        self.units = units
        self.any_reading = self[ANY]

    def __missing__(self, reading: str) -> tuple[Machine, ...]:
        machines = tuple(self._machine(terms) for terms in self.terms if terms.rule.reading == reading)
        if machines or len(self) < MAX_NAMES:
            self[reading] = machines
        return machines

    def _machine(self, terms: Terms) -> Machine:
        kind = {"every": Each, "missingFor": Silence}.get(terms.condition.word, Machine)
        return kind(terms, self.device, self.units.get(terms.rule.reading, ""))

    def machines(self) -> Iterator[Machine]:
        for machines in self.values():
            yield from machines

    def find(self, rule: str) -> Machine | None:
        """The machine of the rule with this name, made if need be; None when the rule does not concern the device."""
        for terms in self.terms:
            if terms.rule.name == rule:
                return next(machine for machine in self[terms.rule.reading] if machine.terms is terms)
        return None

    def unheard(self) -> Iterator[Silence]:
        """Machines of `missingFor` that could have heard the device, for its reading is known, but never did."""
        for terms in self.terms:
            if terms.condition.word == "missingFor" and (terms.rule.reading == ANY or terms.rule.reading in self):
                machine = self.find(terms.rule.name)
                if isinstance(machine, Silence) and machine.wakes() is None:
                    yield machine

    def learn(self, units: Mapping[str, str]) -> None:
        self.units = units
        for machine in self.machines():
            machine.unit = units.get(machine.terms.rule.reading, "")

    def quiet(self) -> bool:
        """Whether the device could be forgotten without anybody noticing."""
        return all(machine.phase == 0 and machine.wakes() is None for machine in self.machines())
