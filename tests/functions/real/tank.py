"""A tank that really fills and drains, in seconds instead of hours, and says its level as often as it is told to."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from types import TracebackType

from tests.functions.real.board import ActuatorBoard

STEP = 0.05


class Tank:
    """`with Tank(board, say) as tank: tank.level`. Levels in %, flows in % per second of the pump and of what is drunk.

    Faults: `dry` (the pump moves no water), `stuck` (the sensor says this whatever the level), `mute` (it says nothing).
    """

    def __init__(
        self, board: ActuatorBoard, say: Callable[[float], object], *, level: float = 15.0, fills: float = 40.0
    ) -> None:
        self.level = level
        self.highest = self.lowest = level
        self.dry = self.mute = False
        self.stuck: float | None = None
        self._board, self._say, self._fills, self._drinks = board, say, fills, 4.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._live, name="tank")

    def __enter__(self) -> Tank:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()

    @property
    def longest(self) -> float:
        """Seconds of the pump's longest run on end, one that still goes on included."""
        moves = [*self._board.moves, (time.monotonic(), False)]
        return max((off - on for (on, value), (off, _) in itertools.pairwise(moves) if value), default=0.0)

    def _live(self) -> None:
        before, said = time.monotonic(), 0.0
        while not self._over.wait(STEP):
            now = time.monotonic()
            flow = (self._fills if self._board.value and not self.dry else 0.0) - self._drinks
            self.level = max(0.0, self.level + flow * (now - before))
            self.highest, self.lowest = max(self.highest, self.level), min(self.lowest, self.level)
            before = now
            if now - said >= 0.25 and not self.mute:
                said = now
                self._say(round(self.level if self.stuck is None else self.stuck, 2))
