"""What follows from a match: an alert to tell, and functions to run, as entries of the same commit as the reading."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from edge_agent.domain import event
from edge_agent.domain.alert import Alert
from edge_agent.domain.invocation import Invocation
from edge_agent.domain.rules.spec import Match
from edge_agent.ports import Entries

Unit = Callable[[str, str], str]
"""(device, reading) -> unit, "" when unknown."""


class Recorder:
    """Turns matches into entries; pure but for the unit it looks up."""

    def __init__(self, site: str, unit: Unit) -> None:
        self._site = site
        self._unit = unit

    def add(self, entries: Entries, matches: Sequence[Match], now: int) -> None:
        """Add the alerts and invocations of `matches` to `entries`."""
        for match in matches:
            if match.state != "message":
                entries.alerts.append(self._alert(match))
            if match.state in self._run_on(match) and not match.late:
                entries.invocations.extend(self._invocations(match, now))

    def _run_on(self, match: Match) -> tuple[str, ...]:
        return ("message",) if match.rule.every else match.rule.run_on

    def _invocations(self, match: Match, now: int) -> list[Invocation]:
        if not match.rule.run:
            return []
        body = event.of_match(match, self._site, self._unit(match.device, match.reading))
        cause = f"rule:{match.rule.name}"
        return [Invocation(match.id, function, body, now, cause) for function in match.rule.run]

    def _alert(self, match: Match) -> Alert:
        rule = match.rule
        over = match.state == "resolved"
        return Alert(
            id=match.episode or match.id,
            rule=rule.name,
            device=match.device,
            reading=match.reading,
            state=match.state,
            severity=rule.severity,
            message=match.message,
            value=match.value,
            since=match.since or match.at,
            until=match.at if over else None,
            ended=match.message if over else "",
            late=match.late,
            notify=rule.notify,
        )
