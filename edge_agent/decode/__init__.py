"""Messages become readings, once, at the edge.

Enters: `Message` (topic and bytes, from anybody). Leaves: `Sample`, `Presence`, `About`, and `Rejected` for what is
none. Guarantee: decoding never raises and never drops silently: every bad message, or bad element of a batch, is one
`Rejected` with a reason; its good neighbours are kept.

A dialect is a module in this folder with two functions, found by being there:

    filters(site: str) -> Sequence[str]                      Topic Filters to subscribe
    reader(topic: str, register: Register) -> Reader | None  decodes messages of `topic`; None when it is not its own

`reader` runs once per topic and its answer is kept, so taking the topic apart costs nothing per message.
"""

from __future__ import annotations

import importlib
import logging
import pkgutil
from collections.abc import Sequence
from functools import cache
from typing import Any

from edge_agent.decode.poison import REASONS, Poison, rejected
from edge_agent.decode.register import Decoded, Reader, Register, ignore
from edge_agent.domain.message import MAX_PAYLOAD, Message
from edge_agent.errors import NotFound

__all__ = ["REASONS", "Decode", "Decoded", "Poison", "known"]

log = logging.getLogger(__name__)

MAX_TOPICS = 16_384
"""Topics whose reader is remembered."""


@cache
def _dialects() -> dict[str, Any]:
    modules = {
        found.name: importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)
    }
    ours = {name: module for name, module in modules.items() if hasattr(module, "reader")}
    return dict(sorted(ours.items(), key=lambda item: (item[0] != "native", item[0])))


def known() -> list[str]:
    """The names of all dialects, ours first."""
    return list(_dialects())


class Decode:
    """`Decode("home", boot=...)` is the decoder of a site; call it with a message. For one thread.

    `dialects`: which ones, all when None; errors: `NotFound`. `boot` must be new at every start (1-32 of `[0-9a-z-]`):
    it names, with a counter, the samples of dialects without sequence numbers.
    """

    def __init__(self, site: str, dialects: Sequence[str] | None = None, *, boot: str) -> None:
        unknown = [name for name in dialects or () if name not in known()]
        if unknown:
            raise NotFound(f"no dialect {', '.join(unknown)} (there are: {', '.join(known())})")
        self._modules = {name: module for name, module in _dialects().items() if dialects is None or name in dialects}
        self._register = Register(site, boot)
        self._readers: dict[str, Reader] = {}
        self._names: dict[str, str] = {}

    def filters(self) -> list[str]:
        """All Topic Filters to subscribe."""
        return [filter_ for module in self._modules.values() for filter_ in module.filters(self._register.site)]

    def dialect(self, topic: str) -> str:
        """Whose topic it is: the label of `edge_messages_received_total`; `unknown` when nobody's."""
        if topic not in self._names:
            try:
                self._find(topic)
            except Poison:
                if len(self._names) >= 2 * MAX_TOPICS:
                    return "unknown"
                self._names[topic] = "unknown"
        return self._names[topic]

    def __call__(self, message: Message) -> Sequence[Decoded]:
        """Everything the message says, in its order; empty when it says nothing we keep (cleared retained topics,
        retained states of boards without sequence numbers, other projects' housekeeping)."""
        try:
            read = self._readers.get(message.topic) or self._find(message.topic)
            size = len(message.payload)
            if size <= MAX_PAYLOAD:
                return read(message) if size else ()
            poison = Poison("oversize", f"{size} bytes, {MAX_PAYLOAD} at most")
            return () if read is ignore else (rejected(message, poison),)
        except Poison as poison:
            return (rejected(message, poison),)
        except Exception as error:  # a defect here must not stop the intake: the message would come for ever
            log.exception("the decoder failed on a message of %r", message.topic)
            return (rejected(message, Poison("decoder-fault", repr(error)[:200])),)

    def _find(self, topic: str) -> Reader:
        for name, module in self._modules.items():
            read: Reader | None = module.reader(topic, self._register)
            if read is not None:
                if len(self._readers) >= MAX_TOPICS:
                    self._readers.clear()
                    self._names.clear()
                self._readers[topic], self._names[topic] = read, name
                return read
        raise Poison("bad-topic", f"no dialect knows {topic[:200]!r}")
