"""What a machine remembers, as it is stored: a few dozen bytes that a later version still reads.

MessagePack with short keys; what is at its default is left out, unknown keys are skipped, bytes that cannot be read are
no memory (the machine starts afresh), never an error.
"""

from __future__ import annotations

import msgspec

from edge_agent.domain.reading import Value

NORMAL, PENDING, FIRING = 0, 1, 2
PHASES = ("normal", "pending", "firing")
NEVER = -(2**53)
"""A time before all others, epoch ms."""


class Memory(
    msgspec.Struct,
    frozen=True,
    omit_defaults=True,
    rename={"meaning": "m", "phase": "p", "value": "v", "previous": "w", "since": "s", "late": "l", "episode": "e",
            "fired": "f", "fired_late": "g", "readings": "r"},
):  # fmt: skip
    """`t`: time of the last reading considered; `since`: when it began to hold (pending) or to fire (firing); `late`: the
    hold or the episode is known from late readings only; `fired`: the last firing, from which the cooldown counts."""

    meaning: int
    phase: int = NORMAL
    t: int = NEVER
    value: Value | None = None
    previous: Value | None = None
    since: int = 0
    late: bool = False
    episode: str = ""
    fired: int = NEVER
    fired_late: bool = False
    readings: dict[str, Value] = {}

    def encode(self) -> bytes:
        return msgspec.msgpack.encode(self)

    @classmethod
    def decode(cls, body: bytes) -> Memory | None:
        try:
            memory = msgspec.msgpack.decode(body, type=cls)
        except msgspec.MsgspecError:
            return None
        return memory if memory.phase in (NORMAL, PENDING, FIRING) else None
