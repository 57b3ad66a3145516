"""The numbers as Prometheus reads them; names are fixed in INTERFACE: Metrics.

Gathered when asked, from counters the parts keep anyway: nothing here costs the path of a reading.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector

from edge_agent import __version__
from edge_agent.app.clock import now_ms
from edge_agent.app.parts import Parts
from edge_agent.engine.functions.stats import EngineStats


class _Appliance(Collector):
    def __init__(self, parts: Parts, left_out: Mapping[str, int], pods: Mapping[str, int]) -> None:
        self._parts = parts
        self._pods = pods
        self._left_out = left_out

    def collect(self) -> Iterator[Metric]:
        p = self._parts
        counters, writer = p.pipeline.counters, p.journal.writer
        yield InfoMetricFamily("edge_build", "what runs", value={"version": __version__})
        yield _counter("edge_messages_received", "messages from the broker", "dialect", counters.received.items())
        yield _counter("edge_messages_rejected", "messages that were no readings", "reason", counters.rejected.items())
        dropped = {**counters.dropped, "retention": p.drain.lost, "slow-page": p.news.missed}
        yield _counter("edge_messages_dropped", "let go on purpose", "reason", dropped.items())
        yield CounterMetricFamily("edge_readings_stored", "readings on disk", value=counters.stored)
        yield CounterMetricFamily("edge_duplicates", "samples sent again", value=p.pipeline.watermarks.duplicates)
        yield CounterMetricFamily(
            "edge_readings_lost_on_boards", "samples boards say they lost", value=p.pipeline.watermarks.lost
        )
        yield CounterMetricFamily(
            "edge_broker_sessions_lost", "connections for which the broker had no session", value=p.broker.sessions_lost
        )
        yield CounterMetricFamily(
            "edge_intake_paused", "times the broker was held back, for the disk was behind", value=p.broker.paused
        )
        durations = list(writer.durations)
        yield SummaryMetricFamily(
            "edge_journal_commit_duration_seconds", "newest commits", len(durations), sum(durations)
        )
        yield GaugeMetricFamily("edge_journal_pending", "entries waiting for the disk", value=writer.pending)
        waiting, oldest, size = p.journal.backlog()
        lag = (now_ms() - oldest) / 1000 if waiting else 0.0
        yield GaugeMetricFamily("edge_history_lag_seconds", "age of the oldest reading not in the history", value=lag)
        yield GaugeMetricFamily("edge_journal_bytes", "disk the journal uses", value=size)
        yield GaugeMetricFamily("edge_rules_firing", "episodes that are on", value=len(p.pipeline.rules.firing()))
        latency = list(counters.alert_latency)
        yield SummaryMetricFamily("edge_alert_latency_seconds", "receipt to alert, newest", len(latency), sum(latency))
        yield CounterMetricFamily(
            "edge_disk_written_bytes", "bytes this process had written to disk", value=written_bytes()
        )
        seen = GaugeMetricFamily(
            "edge_device_last_seen_timestamp_seconds", "when a device was last heard", labels=["device"]
        )
        for device in p.devices.all():
            seen.add_metric([device.name], device.seen / 1000)
        yield seen
        yield GaugeMetricFamily("edge_deadletters", "events no function answered", value=p.journal.count_dead_letters())
        yield CounterMetricFamily(
            "edge_deadletters_let_go", "dead letters too old or too many to be kept", value=p.journal.dead_let_go
        )
        yield from self._functions()

    def _functions(self) -> Iterator[Metric]:
        stats, status = self._parts.engine.stats, self._parts.engine.status()
        invocations = CounterMetricFamily(
            "edge_function_invocations", "attempts by how they ended", labels=["function", "outcome"]
        )
        for (function, outcome), count in list(stats.invocations.items()):
            invocations.add_metric([function, outcome], count)
        yield invocations
        triggers = CounterMetricFamily(
            "edge_function_triggers", "invocations recorded, by what started them", labels=["function", "trigger"]
        )
        for (function, trigger), count in list(self._parts.pipeline.triggers.started.items()):
            triggers.add_metric([function, trigger], count)
        yield triggers
        for name, help_text, timed in (
            ("edge_function_duration_seconds", "hand-over to answer", self._parts.durations),
            ("edge_function_init_duration_seconds", "start of a worker to its first question", self._parts.inits),
        ):
            family = SummaryMetricFamily(name, help_text, labels=["function"])
            for function, (count, total) in list(timed.seen.items()):
                family.add_metric([function], count, total)
            yield family
        yield _counter(
            "edge_function_coldstarts", "events that waited for a start", "function", stats.cold_starts.items()
        )
        yield _counter(
            "edge_function_output_left_out_bytes", "printed faster than is kept", "function", self._left_out.items()
        )
        yield _counter("edge_pods", "pods by what became of them", "what", self._pods.items())
        queue = GaugeMetricFamily("edge_function_queue_length", "events waiting", labels=["function"])
        workers = GaugeMetricFamily("edge_function_workers", "workers by state", labels=["function", "state"])
        yield from _starts(stats, status)
        for name, state in status.items():
            queue.add_metric([name], state.get("queued", 0))
            for kind, count in dict(state.get("workers", {})).items():
                workers.add_metric([name, kind], count)
        yield queue
        yield workers


def _starts(stats: EngineStats, status: Mapping[str, Mapping[str, Any]]) -> Iterator[Metric]:
    """Workers that are wanted, and what starts wait for."""
    labels = ["function", "reason"]
    delayed = CounterMetricFamily("edge_function_starts_delayed", "starts that had to wait", labels=labels)
    for (function, reason), count in list(stats.starts_delayed.items()):
        delayed.add_metric([function, reason], count)
    yield delayed
    waiting = GaugeMetricFamily("edge_function_start_waiting_seconds", "the next start's wait so far", labels=labels)
    desired = GaugeMetricFamily("edge_function_workers_desired", "workers there should be", labels=["function"])
    said_by = ["function", "by"]
    least = GaugeMetricFamily("edge_function_min_idle", "workers to wait in advance, and who says so", labels=said_by)
    panic = GaugeMetricFamily("edge_function_panic", "1: many more events than workers", labels=["function"])
    for name, state in status.items():
        if found := state.get("delayed"):
            waiting.add_metric([name, found["reason"]], found["seconds"])
        desired.add_metric([name], state.get("desired", 0))
        by = "hand" if state.get("override") is not None else "schedule" if state.get("schedule") else "manifest"
        least.add_metric([name, by], state.get("min_idle", 0))
        panic.add_metric([name], float(bool(state.get("panic"))))
    yield from (waiting, desired, least, panic)


def exposition(parts: Parts, left_out: Mapping[str, int], pods: Mapping[str, int] | None = None) -> bytes:
    """All of it in the Prometheus text format. `left_out`: bytes of output beyond the limit of their rate, by function;
    `pods`: how many, by what became of them."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Appliance(parts, left_out, pods or {}))
    return generate_latest(registry)


def written_bytes() -> int:
    """What the kernel sent to storage on this process's behalf (proc(5), `write_bytes`); 0 where it does not tell."""
    try:
        with Path("/proc/self/io").open(encoding="ascii") as file:
            for line in file:
                if line.startswith("write_bytes:"):
                    return int(line.split(":")[1])
    except OSError:
        pass
    return 0


def _counter(name: str, help_text: str, label: str, items: Iterable[tuple[str, int]]) -> Metric:
    family = CounterMetricFamily(name, help_text, labels=[label])
    for value, count in list(items):
        family.add_metric([value], count)
    return family
