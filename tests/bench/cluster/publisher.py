"""Boards that publish over HTTP, all at once, as in 2021: JMeter sends, a rule fires for each reading, a fresh pod answers.

Two times for each: until the board was told that its reading is on disk (JMeter's), and from then on, by the agent's clock,
until the function's answer. The agent is a process of its own, the whole of it; JMeter's plan is `jmeter/plan.jmx`.
"""

from __future__ import annotations

import csv
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.bench.cluster.stand import IMAGE, NAMESPACE, PREPARED, image
from tests.bench.figures import Figure
from tests.bench.probe import percentile
from tests.bench.stage import Child, Stage, manifest
from tests.cluster import Cluster

OURS = Path(__file__).with_name("jmeter")
HOME = Path("/usr/share/jmeter")
JARS = (HOME / "bin" / "ApacheJMeter.jar", HOME / "lib" / "*", HOME / "lib" / "ext" / "*", "/usr/share/java/*")
COUNTS = (1, 10, 50, 100)
POOL = 10
PATIENCE = 300.0


def run(quick: bool = False) -> dict[str, Any]:
    """`{boards: {"told": [ms], "answered": [ms]}}`. Raises RuntimeError where JMeter is missing, or a reading was refused."""
    if not (HOME / "lib" / "ext" / "ApacheJMeter_http.jar").exists():
        raise RuntimeError("JMeter is missing: apt-get install jmeter jmeter-http")
    found = {}
    with Cluster(nodes=1, name="jmeter") as cluster, Stage() as stage:
        cluster.apply(*PREPARED)
        cluster.load(image())
        stage.manifests([
            manifest("Function", "answer", image=IMAGE, command=["/function/once"], pool={"minIdle": POOL, "maxWorkers": 100}),
            manifest("Rule", "each", devices="board-*", reading="level", every=True, run=["answer"]),
        ])  # fmt: skip
        agent = stage.agent({
            "functions.runner": "kubernetes", "kubernetes.kubeconfig": str(cluster.kubeconfig),
            "kubernetes.namespace": NAMESPACE, "kubernetes.runtime_address": cluster.runtime_address,
        })  # fmt: skip
        agent.ask("begin", "watched")
        page = agent.ask("page")
        for number, boards in enumerate(COUNTS[:2] if quick else COUNTS, start=1):
            _until(lambda: agent.ask("workers", "answer")["idle"] >= POOL)
            found[str(boards)] = _publish(agent, page, boards, number)
    return found


def _publish(agent: Child, page: dict[str, Any], boards: int, number: int) -> dict[str, list[float]]:
    before = agent.ask("ended")["count"]
    with tempfile.TemporaryDirectory(prefix="bench-", dir="/var/tmp") as folder:
        results = Path(folder) / "results.csv"
        values = {"port": page["port"], "token": page["token"], "boards": boards, "round": number}
        subprocess.run(
            ["java", f"-Djmeter.home={HOME}", "-cp", ":".join(map(str, JARS)), str(OURS / "Unlocked.java"),
             "-n", "-t", str(OURS / "plan.jmx"), "-l", str(results), "-j", f"{folder}/jmeter.log",
             "-Jjmeter.save.saveservice.output_format=csv", "-Jjmeter.save.saveservice.print_field_names=true",
             *(f"-J{name}={value}" for name, value in values.items())],
            check=True, capture_output=True, timeout=PATIENCE,
        )  # fmt: skip
        rows = [row for row in csv.DictReader(results.read_text().splitlines()) if row["label"] == "reading"]
    if refused := [row for row in rows if row["responseCode"] != "202"]:
        raise RuntimeError(f"{len(refused)} of {len(rows)} readings were refused: {refused[0]}")
    _until(lambda: agent.ask("ended")["count"] >= before + boards)
    ends = agent.ask("invocations")["ends"][before:]
    return {"told": [float(row["elapsed"]) for row in rows], "answered": [end[4] - end[2] for end in ends]}


def _until(check: Any) -> None:
    end = time.monotonic() + PATIENCE
    while not check():
        if time.monotonic() > end:
            raise TimeoutError("it has not come about")
        time.sleep(0.1)


def figures(result: dict[str, Any]) -> list[Figure]:
    return [_figure(boards, row["answered"], row["told"]) for boards, row in result.items()]


def _figure(boards: str, answered: list[float], told: list[float]) -> Figure:
    safe = f"told that it is on disk after {statistics.fmean(told):,.0f} ms (p99 {percentile(told, 0.99):,.0f})"
    return Figure(
        f"{boards} boards publish over HTTP at once (JMeter): a fresh pod has answered, mean", statistics.fmean(answered), "ms",
        detail=f"most {max(answered):,.0f} ms; {safe}",
    )  # fmt: skip
