"""What a message costs in the rule book: with 10 and with 1,000 rules that do not concern it, and per rule that does.

One process, rounds taken in turns so that a busy neighbour slows all alike, CPU time of the thread, the median of paired
rounds. `python -m tests.bench.rules_cost` prints JSON.
"""

from __future__ import annotations

import json
import statistics
import time

from edge_agent.domain.reading import Sample
from edge_agent.domain.rules.book import RuleBook
from edge_agent.domain.rules.spec import Rule

DEVICES = 20


def run(messages: int = 20_000, rounds: int = 21) -> dict[str, float | int]:
    """CPU microseconds per message, and their ratio: `few` and `many` are 10 and 1,000 rules that do not concern it, beside
    one that does; `rule_us` is what each further rule that is concerned adds."""
    samples = [
        Sample(f"tank-{n % DEVICES}", "b", n, 1_000 * n, 1_000 * n, {"level": 50.0 + n % 7, "door": True})
        for n in range(messages)
    ]
    mine = [Rule(name=f"mine-{n}", devices="tank-*", reading="level", below=20.0, clear_above=25.0) for n in range(11)]
    few, many = RuleBook([*_others(10), mine[0]]), RuleBook([*_others(1_000), mine[0]])
    more = RuleBook([*_others(10), *mine])
    costs: dict[str, list[float]] = {"few": [], "many": [], "more": []}
    for book in (few, many, more):
        _cost(book, samples[:DEVICES])  # meets the devices
    for turn in range(rounds):
        pairs = [("few", few), ("many", many), ("more", more)]
        for name, book in pairs if turn % 2 else reversed(pairs):
            costs[name].append(_cost(book, samples))
    ratios = [many_us / few_us for many_us, few_us in zip(costs["many"], costs["few"], strict=True)]
    middle = {name: statistics.median(values) for name, values in costs.items()}
    return {
        "messages": messages,
        "rounds": rounds,
        "few_us": round(middle["few"], 3),
        "many_us": round(middle["many"], 3),
        "ratio": round(statistics.median(ratios), 3),
        "rule_us": round((middle["more"] - middle["few"]) / 10, 3),
    }


def _others(count: int) -> list[Rule]:
    kinds = ({"devices": "pump-*"}, {"devices": "tank-x*"}, {"reading": "height"})
    return [
        Rule(**{"name": f"other-{n}", "devices": "*", "reading": "level", "below": 20.0} | kinds[n % 3])
        for n in range(count)
    ]


def _cost(book: RuleBook, samples: list[Sample]) -> float:
    observe = book.observe
    for sample in samples[:DEVICES]:  # each round begins at time 0 again, which the book takes for a clock set back
        observe(sample)
    begun = time.thread_time()
    for sample in samples:
        observe(sample)
    return (time.thread_time() - begun) / len(samples) * 1e6


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
