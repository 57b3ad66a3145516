"""Pods keep what every runner of workers keeps: the suite of processes and fakes, on a real cluster.

One thing they do not: a process that has answered and stays, or asks again for ever, is not ended by a fresh one. The entry
point inside the pod cannot know that it has answered; the engine then replaces the whole pod. Unmodified clients leave.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent.domain.function import FunctionSpec
from edge_agent.engine.functions.loop import Loop
from edge_agent.ports import Runner
from edge_agent.runtime_api.server import RuntimeServer
from tests.conformance import test_runner as suite
from tests.kubernetes.ground import Ground, make, shell

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def stage(ground: Ground, tmp_path: Path) -> Iterator[suite.Stage]:
    def pods(loop: Loop, server: RuntimeServer, engine: suite.Engine) -> Runner:
        return make(ground, loop, server, engine, tmp_path)

    def spec(name: str) -> FunctionSpec:
        if name not in suite.SCRIPTS:
            return FunctionSpec(name)
        return shell(name, suite.SCRIPTS["leaves" if name == "answers" else name])

    with suite.staged(pods, spec) as stage:
        yield stage
    ground.cleared()


for _name, _test in list(vars(suite).items()):
    if _name.startswith("test_") and _name != "test_after_its_answer_a_fresh_process_takes_the_place_of_the_old_one":
        globals()[_name] = _test


def test_after_its_answer_a_fresh_process_takes_the_place_of_the_old_one(stage: suite.Stage) -> None:
    suite.renewed_again_and_again(stage, "leaves")
    suite.eventually(lambda: stage.log("process-1").endswith("begun"))
