"""How often the cluster is written to, by a clock of the test's own: nobody has to wait for what may wait half a minute."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from edge_agent.adapters.cluster_kubernetes.api import Connection
from edge_agent.adapters.cluster_kubernetes.manifests import Following, Happenings, Statuses
from edge_agent.adapters.cluster_kubernetes.manifests.happenings import AGAIN
from edge_agent.adapters.cluster_kubernetes.manifests.statuses import SELDOM, SOON
from edge_agent.manifests.resources import Resource
from tests.kubernetes_manifests.objects import NAMESPACE, Objects, rule
from tests.waiting import eventually

LOW = ("Rule", "low")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def connection(objects: Objects) -> Iterator[Connection]:
    connection = Connection(objects.account)
    yield connection
    connection.close()


def uid(objects: Objects) -> str:
    objects.apply(rule("low"))
    return str(objects.get(*LOW)["metadata"]["uid"])


def test_what_happens_again_is_counted_and_written_when_it_is_due_or_for_the_last_time(objects, connection, clock):
    happenings = Happenings(connection, NAMESPACE, clock)
    low = Resource(*LOW, uid(objects), 1, {})

    def told() -> tuple[int, str]:
        happening = objects.happened("low")["Odd"]
        return happening["count"], happening["message"]

    happenings.say(low, "Odd", "once")
    happenings.write()
    for _ in range(3):
        happenings.say(low, "Odd", "again")
    clock.now += AGAIN - 0.1
    happenings.write()
    assert told() == (1, "once")
    clock.now += 0.2
    happenings.write()
    assert told() == (4, "again")
    happenings.say(low, "Odd", "at last")
    happenings.write()
    assert told() == (4, "again")
    happenings.write(now=True)
    assert told() == (5, "at last")


def test_counts_that_never_rest_are_written_seldom_and_a_condition_soon(objects, connection, clock):
    mine = uid(objects)
    following = Following(connection, NAMESPACE, lambda: None)
    following.start()
    statuses = Statuses(connection, following, clock)

    def write(firing: int, accepted: str) -> None:
        condition = {"type": "Accepted", "status": accepted, "reason": "Valid", "message": "", "observedGeneration": 1}
        status: dict[str, Any] = {"observedGeneration": 1, "firing": firing, "conditions": [condition]}
        statuses.write({LOW: (mine, status)})

    try:
        eventually(lambda: "low" in (following.there("Rule") or {}))
        for number in range(200):
            clock.now += 1
            write(number, "True")
        assert 200 / SELDOM <= statuses.writes <= 12
        clock.now += SELDOM
        write(199, "True")
        assert objects.get(*LOW)["status"]["firing"] == 199
        clock.now += SOON
        write(199, "False")
        assert objects.condition(*LOW, "Accepted")["status"] == "False"
    finally:
        following.stop()
