"""What a message costs in one process: decoding, the rule book alone, and the whole pipeline with 10 and with 1,000 rules that
do not concern the message, and with 100 functions that asked for other topics.

The pipeline is decode, match, record and the queue of the journal, without broker and network; processor time of its own
thread. The two take turns within one run, many times, and the median of their ratios counts.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from edge_agent.app import parts
from edge_agent.domain.function import FunctionSpec
from edge_agent.domain.message import Message
from edge_agent.domain.rules.spec import Rule
from edge_agent.ports import Batch
from edge_agent.settings import load
from tests.bench import decode_cost, rules_cost
from tests.bench.figures import Figure
from tests.bench.flood import payload

BATCH, DEVICES = 250, 100


def run(quick: bool = False) -> dict[str, Any]:
    """`{"us": {"10": microseconds per message, "1000": ..., "topics": ...}, "ratio", "topics_ratio", "rounds"}`; `book` and
    `decode` are those parts alone."""
    rounds = 10 if quick else 30
    costs: dict[str, list[float]] = {"10": [], "1000": [], "topics": []}
    with tempfile.TemporaryDirectory(prefix="bench-", dir="/var/tmp") as folder:
        pipelines = {
            "10": _Pipeline(Path(folder) / "10", 10),
            "1000": _Pipeline(Path(folder) / "1000", 1000),
            "topics": _Pipeline(Path(folder) / "topics", 10, topics=100),
        }
        try:
            for number in range(rounds):
                for count, pipeline in sorted(pipelines.items(), reverse=number % 2 == 1):
                    costs[count].append(pipeline.round(number))
        finally:
            for pipeline in pipelines.values():
                pipeline.close()
    middle = {count: statistics.median(found) for count, found in costs.items()}
    ratio = statistics.median(many / few for few, many in zip(costs["10"], costs["1000"], strict=True))
    topics = statistics.median(many / few for few, many in zip(costs["10"], costs["topics"], strict=True))
    return {
        "us": middle, "ratio": ratio, "topics_ratio": topics, "rounds": rounds,
        "book": rules_cost.run(rounds=5 if quick else 21), "decode": decode_cost.run(),
    }  # fmt: skip


def figures(result: dict[str, Any]) -> list[Figure]:
    us = result["us"]
    book, decode = result["book"], result["decode"]["us_per_message"]
    detail = (
        f"the whole pipeline in one process: {us['10']:.2f} and {us['1000']:.2f} us, {result['rounds']} rounds in turn"
    )
    alone = f"{book['few_us']:.2f} and {book['many_us']:.2f} us; a rule that is concerned adds {book['rule_us']:.2f} us"
    return [
        Figure(
            "cost per message, 1,000 rules that do not concern it against 10",
            result["ratio"],
            "x",
            1.2,
            1.05,
            detail=detail,
        ),
        Figure(
            "... with 100 functions that asked for other topics, against none",
            result["topics_ratio"],
            "x",
            detail=f"{us['topics']:.2f} us",
        ),
        Figure("... the rule book alone", book["ratio"], "x", 1.2, 1.05, detail=alone),
        Figure(
            "decoding a message, our own payload", decode["native"], "us", detail="with two readings; checked in full"
        ),
    ]


class _After:
    def dispatch(self, invocations: Any) -> None: ...
    def tell(self, alerts: Any) -> None: ...
    def stored(self, samples: Any, repeats: Any) -> None: ...
    def awaited(self) -> bool:
        return False


class _Pipeline:
    def __init__(self, folder: Path, rules: int, topics: int = 0) -> None:
        settings = load(None, {}, {"site": "bench", "data.dir": str(folder)}).settings
        self._parts = parts.build(settings, _After(), lambda present: None)
        functions = {f"f{each}": FunctionSpec(f"f{each}", topics=(f"house/{each}/#",)) for each in range(topics)}
        self._parts.pipeline.replace(_others(rules), functions)
        self._boot = 0

    def round(self, number: int) -> float:
        """Microseconds per message of 20 batches."""
        self._boot += 1
        batches = [self._batch(each) for each in range(20)]
        begun = time.thread_time_ns()
        for batch in batches:
            self._parts.pipeline.take(batch)
        spent = (time.thread_time_ns() - begun) / 1000 / (BATCH * len(batches))
        self._parts.journal.flush()
        return spent

    def _batch(self, number: int) -> Batch:
        now = int(time.time() * 1000)
        messages = []
        for each in range(BATCH):
            position = number * BATCH + each
            body = payload(f"boot{self._boot:04}", position // DEVICES + 1, position, now)
            messages.append(Message(f"edge/v1/bench/devices/tank-{position % DEVICES}/readings", body, now))
        return Batch(messages, lambda promises: None)

    def close(self) -> None:
        self._parts.journal.close()
        self._parts.history.close()


def _others(count: int) -> list[Rule]:
    """Half of them watch other devices, half other readings of the same devices."""
    return [
        Rule(name=f"r{number}", devices="tank-*" if number % 2 else f"other-{number}", reading=f"x{number}", above=1.0)
        for number in range(count)
    ]
