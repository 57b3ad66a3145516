"""The plugs between engine, adapters and outside: Protocols only, and the few values that cross them.

Everybody may import this; it imports the domain alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from edge_agent.domain.alert import Alert
from edge_agent.domain.function import FunctionSpec
from edge_agent.domain.invocation import Invocation, Settlement
from edge_agent.domain.message import Message, Rejected
from edge_agent.domain.reading import About, Presence, Sample, Value
from edge_agent.domain.rules.spec import RuleState
from edge_agent.domain.schedule import CronMark

Clock = Callable[[], int]
"""Epoch milliseconds."""

Decoded = Sample | Presence | About | Rejected
"""One thing a message says; a message may say several."""


Promises = dict[tuple[str, str], bytes]
"""What boards are told is safe: by topic and boot, for a board may still hold readings of several; the latest says it all."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Messages in the order the broker sent them, and how to acknowledge all of them at once.

    `acknowledge` takes what is to be published with the acknowledgement, at QoS 0.
    """

    messages: list[Message]
    acknowledge: Callable[[Promises], None]


@dataclass(slots=True)
class Entries:
    """What one commit writes. Every list may be empty; the order inside each is kept."""

    samples: list[Sample] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    invocations: list[Invocation] = field(default_factory=list)
    settlements: list[Settlement] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    states: list[RuleState] = field(default_factory=list)
    abouts: list[About] = field(default_factory=list)
    crons: list[CronMark] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(
            self.samples
            or self.rejected
            or self.invocations
            or self.settlements
            or self.alerts
            or self.states
            or self.abouts
            or self.crons
        )


class Pending(NamedTuple):
    """An invocation that has not ended, and its place in the order recorded."""

    place: int
    invocation: Invocation


class Journal(Protocol):
    """The one place where nothing is lost. Thread-safe; one writer thread, one fsync for all that wait."""

    def commit(self, entries: Entries, *, urgent: bool = True, then: Callable[[], None] | None = None) -> int:
        """Have `entries` written; returns at once with the number of the commit. `then` is called on the writer's thread
        after the fsync, in the order of the calls.

        Not urgent: may linger a second or two to share a commit with others. While the disk is full or broken the
        writer tries again for ever, in order; nothing is dropped and no `then` is called early.
        """

    def unfinished(self) -> tuple[int, list[str]]:
        """(the last place there is, names of the functions that have invocations which have not ended)."""

    def fetch(
        self, function: str, then: Callable[[list[Pending]], None], *, after: int, limit: int, most_bytes: int
    ) -> None:
        """Have read what of `function` has not ended: at most `limit` places beyond `after`, in the order recorded, ending
        with the one whose event makes `most_bytes`.

        Keeps its turn among the commits: it sees all that were made before this call and nothing of later ones, and
        `then` is called on the writer's thread in between theirs.
        """


@dataclass(frozen=True, slots=True)
class Step:
    """What one reading did within one step of a plot. `t` is the step's start, epoch ms."""

    t: int
    mean: float
    low: float
    high: float
    count: int


class History(Protocol):
    """Every reading for as long as it is kept. Filled in bulk from the journal; writing a sample twice changes nothing.

    Errors: `errors.Unavailable` (try again), `errors.Refused`.
    """

    def store(self, samples: Sequence[Sample]) -> None:
        """Write all, idempotent by (device, boot, seq, reading); durable when it returns."""

    def raw(self, device: str, reading: str, since: int, until: int, limit: int = 10_000) -> list[tuple[int, Value]]:
        """(t, value) pairs, oldest first, since <= t < until; the newest `limit` of them when there are more."""

    def steps(self, device: str, reading: str, since: int, until: int, step: int) -> list[Step]:
        """Means with minimum and maximum per `step` ms (aligned to multiples of it), empty steps left out; numbers and
        booleans (0 and 1) only. Where `trim` left averages alone, an hour counts as a whole, at its beginning: a step
        shorter than an hour has one point an hour there."""

    def samples(self, device: str, since: int, until: int, limit: int = 100_000) -> Iterator[Sample]:
        """Samples as they were stored, oldest first: what rules are replayed over."""

    def latest(self) -> dict[str, dict[str, tuple[int, Value]]]:
        """The last value of every reading of every device: {device: {reading: (t, value)}}."""

    def forget(self, device: str) -> int:
        """Remove a device's readings; how many."""

    def trim(self, older_than: int) -> int:
        """Remove readings of the whole hours before older_than, and keep each hour's average, which `steps` goes on to
        answer from; how many (0 where the store removes by itself, by TTL index)."""

    def count(self) -> int:
        """Readings kept (may be an estimate)."""

    def close(self) -> None: ...


class Decoder(Protocol):
    """One dialect: a file in `decode/` with these names at module level; found by being there."""

    def filters(self, site: str) -> Sequence[str]:
        """Topic Filters to subscribe."""

    def reader(self, topic: str, register: Any) -> Callable[[Message], Sequence[Decoded]] | None:
        """What decodes messages of `topic`, asked once per topic; None when it is not this dialect's.

        `register` (`decode.register.Register`) gives samples an identity where the dialect has none. What is returned
        raises `decode.Poison(reason, detail)`.
        """


@dataclass(frozen=True, slots=True)
class ClusterState:
    """The Kubernetes that functions run on, as seen just now. `trouble` is why it cannot be asked, "" when it can; `nodes`
    {name: "" when it is ready, else why not}; `quotas` {what: (used, allowed)} of the namespace; `skew` how many seconds
    its clock is ahead of ours; `owed` pods that are to be deleted and could not be yet."""

    address: str
    trouble: str = ""
    nodes: Mapping[str, str] = field(default_factory=dict)
    quotas: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    skew: float = 0.0
    owed: int = 0


class WorkerEvents(Protocol):
    """What a runner tells the engine about its workers; any thread may call."""

    def exited(self, worker_id: str, reason: str, log: str, kind: str = "worker-lost") -> None:
        """The worker is gone. `reason` completes "its worker ...": `exited with code 1`; `kind` is the `Failed.kind` of an
        event it held (`worker-lost`, `out-of-memory`, `too-many-processes`), or why one that never ran could not start
        (`image-pull-failed`, `quota-exceeded`, `unschedulable`, `config-error`, `cluster-away`, `cluster-refused`); `log` is
        the tail of what it printed."""

    def renewed(self, worker_id: str) -> None:
        """`isolation: process`: the process that had an event is gone with all it started; the next one to ask is fresh."""

    def adopted(self, worker_id: str) -> None:
        """The start of this worker found one that an earlier life of the agent had left, just like it and as good as new: its
        entry point may begin another process once more."""

    def restored(self) -> None:
        """What kept workers from starting (a cluster that was away, a node that was not ready) is over: try at once."""

    def printed(self, worker_id: str, text: bytes) -> None:
        """It printed (any piece of a line, or many lines); already within the limit of its rate."""


class Runner(Protocol):
    """Starts and kills workers. The engine does not know whether they are processes or pods."""

    def start(self, worker_id: str, function: FunctionSpec) -> None:
        """Begin to start one worker that will ask the Runtime API for events of `function`. Errors: `Unavailable`."""

    def renew(self, worker_id: str) -> None:
        """`isolation: process`: it has answered. End its process and everything that started, give a fresh one its place
        with an empty TMPDIR, and call `renewed` in between. A pod's own entry point does that unasked; then this does
        nothing."""

    def kill(self, worker_id: str) -> None:
        """End it and everything it started, at once. Unknown ids are no error."""

    def log(self, worker_id: str) -> str:
        """The tail of what it printed so far (at most 4 KiB)."""

    def close(self) -> None:
        """End every worker and remove what they left."""
