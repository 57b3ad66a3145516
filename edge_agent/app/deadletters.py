"""Events no function answered: found, looked at, handed over again, let go."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from edge_agent.app.clock import now_ms
from edge_agent.app.parts import Parts
from edge_agent.domain.deadletters import Selection
from edge_agent.domain.invocation import Invocation
from edge_agent.errors import Conflict, Fault, Invalid, NotFound

if TYPE_CHECKING:
    from edge_agent.app.manifests import Declared

Json = dict[str, Any]


class DeadLetters:
    """Needs `parts`, `declared` and `_on_disk` of the appliance. Every change is on disk when its call returns."""

    parts: Parts
    declared: Declared
    _on_disk: Callable[..., None]

    def dead_letters(self, selection: Json, *, limit: int = 100, cursor: str = "") -> Json:
        try:
            found, following = self.parts.journal.dead_letters(_meant(selection), limit=limit, before=cursor)
        except ValueError as error:
            raise Invalid([Fault("query", 0, 0, "cursor", "is not one that was given out", "begin without")]) from error
        return {"items": found, "cursor": following}

    def dead_letter(self, id: str, function: str = "") -> Json:
        letters = self._dead(id, function)
        shown = [
            letter
            | {"event": _text(letter["event"]), "response": _text(letter["response"]), "died_at": letter["ended_at"]}
            for letter in letters
        ]
        return shown[0] if len(shown) == 1 else shown[0] | {"others": shown[1:]}

    def redrive(self, id: str, function: str = "", *, dry_run: bool = False) -> Json:
        dead = self._dead(id, function)
        functions = [letter["function"] for letter in dead]
        gone = [name for name in functions if name not in self.declared.functions]
        if gone:
            raise Conflict(f"function {gone[0]} does not exist any more; declare it again, then redrive")
        if not dry_run:
            for letter in dead:
                self._hand_over_again(letter)
        return {"id": id, "functions": functions, "redriven": 0 if dry_run else len(dead)}

    def purge(self, selection: Json, *, dry_run: bool = False) -> Json:
        meant = _meant(selection)
        if not meant.until:
            meant = msgspec.structs.replace(meant, until=now_ms() + 1)
        count = self.parts.journal.count_dead_letters(meant)
        if count and not dry_run:
            self._on_disk(lambda then: self.parts.journal.purge(meant, then))
        return {"purged": count, "dry_run": dry_run}

    def _dead(self, id: str, function: str) -> list[Json]:
        dead = [letter for letter in self.parts.journal.invocation(id, function) if letter["state"] == "dead"]
        if not dead:
            of = f" of {function}" if function else ""
            raise NotFound(f"there is no dead letter {id}{of}")
        return dead

    def _hand_over_again(self, letter: Json) -> None:
        id, function, at = letter["id"], letter["function"], now_ms()
        again = Invocation(id, function, letter["event"], at, letter["cause"], attempts=1)
        self._on_disk(
            lambda then: self.parts.journal.redrive(id, function, at, then),
            also=lambda: self.parts.engine.submit([again]),
        )


def _meant(selection: Json) -> Selection:
    return msgspec.convert(selection, Selection)


def _text(body: bytes) -> str:
    return body.decode("utf-8", "replace")
