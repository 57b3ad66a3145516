"""Edits, breakage and kills while readings flow: each reading's event runs, and not more often than it may."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter

from tests.functions.house import Board
from tests.kubernetes_manifests.conftest import at_home
from tests.kubernetes_manifests.objects import NAMESPACE, Objects, item, rule
from tests.waiting import eventually

EVERY = {"run": ["tell"], "every": True, "below": None, "severity": None}


class Readings(threading.Thread):
    """One board that never stops."""

    def __init__(self, board: Board) -> None:
        super().__init__(daemon=True)
        self.seq = 0
        self._board = board
        self._stopping = threading.Event()

    def run(self) -> None:
        while not self._stopping.wait(0.05):
            self._board.reading(self.seq + 1, 1.0)
            self.seq += 1

    def stop(self) -> None:
        self._stopping.set()
        self.join()

    def some(self, more: int = 10) -> None:
        """Let some go by."""
        goal = self.seq + more
        eventually(lambda: self.seq >= goal, timeout=30)


def ran(objects: Objects) -> Counter[int]:
    """How often each reading's event ran, by the number of the reading."""
    return Counter(int(event["id"].split("/")[2]) for _, event in objects.diary("tell"))


def begin(objects: Objects) -> None:
    objects.apply(objects.function("tell", "1"), rule("each", **EVERY))
    eventually(lambda: objects.is_condition("Rule", "each", "Accepted", "True"))
    eventually(lambda: objects.is_condition("Function", "tell", "Ready", "True"))


def all_ran(objects: Objects, readings: Readings) -> bool:
    missing = set(range(1, readings.seq + 1)) - set(ran(objects))
    assert not missing
    return True


def test_edits_of_all_kinds_lose_no_event_and_run_none_twice(house, objects):
    begin(objects)
    readings = Readings(house.board)
    readings.start()
    readings.some()
    for version in ("2", "3"):
        objects.apply(objects.function("tell", version))  # other workers
        eventually(lambda: objects.is_condition("Function", "tell", "RolledOut", "True"))
        readings.some()
    objects.apply(objects.function("tell", "3", pool={"minIdle": 2, "maxWorkers": 3}))  # the same program
    objects.apply(rule("each", **EVERY, message="{device}: {value}"))
    readings.some()
    objects.apply(objects.function("tell", "4", {"cron": "99 * * * *"}))  # broken
    eventually(lambda: objects.is_condition("Function", "tell", "Accepted", "False", "Invalid"))
    readings.some()
    objects.apply(objects.function("tell", "5", command=["/bin/false"]))  # cannot start
    eventually(lambda: objects.is_condition("Function", "tell", "RolledOut", "False", "RolledBack"))
    readings.some()
    objects.apply(objects.function("tell", "6"))  # mended
    eventually(lambda: objects.is_condition("Function", "tell", "RolledOut", "True"))
    readings.some()
    objects.delete("efn", "tell")  # and created again, as kubectl replace --force does
    readings.some(10)
    objects.apply(objects.function("tell", "7"))
    eventually(lambda: objects.diary("tell")[-1][0] == "7")
    objects.apply(objects.function("neighbour", "1", {"cron": "99 * * * *"}), rule("neighbour", run=["nobody"]))
    readings.some()
    objects.delete("efn", "neighbour")
    objects.delete("erule", "neighbour")
    readings.some()
    readings.stop()
    eventually(lambda: all_ran(objects, readings))
    assert set(ran(objects).values()) == {1}
    assert [version for version, _ in objects.diary("tell") if version in ("4", "5")] == []
    assert house.agent.get("/deadletters")["items"] == []


def test_the_api_server_dies_and_comes_back_and_what_was_changed_meanwhile_holds(house, objects):
    server = objects.cluster.programs["apiserver"]
    begin(objects)
    readings = Readings(house.board)
    readings.start()
    server.kill()
    try:
        readings.some(20)
    finally:
        server.start(wait=True)
    eventually(lambda: objects.apply(objects.function("tell", "2")) is None)
    eventually(lambda: objects.diary("tell")[-1][0] == "2", timeout=60)
    eventually(lambda: objects.is_condition("Function", "tell", "RolledOut", "True"), timeout=60)
    readings.stop()
    eventually(lambda: all_ran(objects, readings))
    assert set(ran(objects).values()) == {1}


def test_an_agent_that_slept_through_edits_and_a_new_api_server_lists_anew(house, objects):
    server = objects.cluster.programs["apiserver"]
    begin(objects)
    objects.apply(rule("gone"), rule("stays"))
    eventually(lambda: len(house.agent.get("/rules")["items"]) == 3)
    os.kill(house.agent.pid, signal.SIGSTOP)
    try:
        objects.delete("erule", "gone")
        server.restart()
        objects.apply(rule("stays", below=7), rule("new"))
        objects.apply(objects.function("tell", "2"))
    finally:
        os.kill(house.agent.pid, signal.SIGCONT)

    def names() -> set[str]:
        return {found["name"] for found in house.agent.get("/rules")["items"]}

    eventually(lambda: names() == {"each", "stays", "new"}, timeout=60)
    eventually(lambda: house.agent.get("/rules/stays")["manifest"]["spec"]["below"] == 7)
    house.board.reading(1, 1.0)
    eventually(lambda: objects.diary("tell") != [] and objects.diary("tell")[-1][0] == "2", timeout=60)


def test_killed_agents_take_up_what_was_edited_and_run_each_event_at_most_as_often_as_allowed(house, objects):
    begin(objects)
    readings = Readings(house.board)
    readings.start()
    for version in ("2", "3", "4"):
        readings.some()
        objects.apply(objects.function("tell", version))
        house.agent.kill()
        house.agent.start()
        eventually(lambda: objects.is_condition("Function", "tell", "RolledOut", "True"), timeout=40)
    readings.some()
    readings.stop()
    eventually(lambda: all_ran(objects, readings))
    assert max(ran(objects).values()) <= 3
    assert objects.diary("tell")[-1][0] == "4"


def test_without_the_cluster_an_agent_starts_with_what_held_last_and_follows_when_it_is_back(objects):
    server = objects.cluster.programs["apiserver"]
    with at_home(objects) as house:
        begin(objects)
        objects.apply(rule("doomed"), objects.function("bad", "1", {"cron": "99 * * * *"}))
        eventually(lambda: len(house.agent.get("/rules")["items"]) == 2)
        eventually(lambda: objects.is_condition("Function", "bad", "Accepted", "False"))
        house.agent.kill()
        server.kill()
        try:
            house.agent.start()
            assert {found["name"] for found in house.agent.get("/rules")["items"]} == {"each", "doomed"}
            house.board.reading(1, 1.0)
            eventually(lambda: len(objects.diary("tell")) == 1)
        finally:
            server.start(wait=True)
        objects.delete("erule", "doomed")
        eventually(lambda: [each["name"] for each in house.agent.get("/rules")["items"]] == ["each"], timeout=60)
        house.board.reading(2, 1.0)
        eventually(lambda: len(objects.diary("tell")) == 2)


def test_a_stopped_agent_says_so_and_touches_nothing_else(objects):
    with at_home(objects) as house:
        begin(objects)
        before = objects.get("Function", "tell")
        house.agent.stop()
        after = objects.get("Function", "tell")
        ready = next(each for each in after["status"]["conditions"] if each["type"] == "Ready")
        assert (ready["status"], ready["reason"]) == ("Unknown", "AgentStopped")
        assert (after["spec"], after["metadata"]["generation"]) == (before["spec"], before["metadata"]["generation"])
        house.agent.start()
        eventually(lambda: objects.is_condition("Function", "tell", "Ready", "True"))
        assert objects.happened("tell")["Accepted"]["count"] == 1


def test_a_flood_of_events_writes_few_statuses_and_few_events(house, objects):
    objects.apply(objects.function("tell", env={"FAIL": "yes"}, retry={"attempts": 1}), rule("each", **EVERY))
    eventually(lambda: objects.is_condition("Rule", "each", "Accepted", "True"))
    eventually(lambda: objects.is_condition("Function", "tell", "Ready", "True"))
    first = int(objects.get("Function", "tell")["metadata"]["resourceVersion"])
    readings = Readings(house.board)
    readings.start()
    readings.some(150)
    readings.stop()
    last = int(objects.get("Function", "tell")["metadata"]["resourceVersion"])
    events = objects.cluster.control.get(f"/api/v1/namespaces/{NAMESPACE}/events")["items"]
    told = [each for each in events if each["reason"] == "DeadLettered"]
    assert len(told) == 1
    assert last - first < 40  # every write of the whole cluster, its own leases included
    house.agent.stop()  # it says what it still had to say, though it said something a moment ago
    assert objects.get("Function", "tell")["status"]["deadLetters"] == readings.seq // 100 * 100
    assert objects.happened("tell")["DeadLettered"]["count"] == readings.seq


def test_what_is_written_is_for_the_object_that_was_judged(house, objects):
    objects.apply(item("Rule", "odd", {"devices": "*", "reading": "level", "above": 1, "run": ["missing"]}))
    eventually(lambda: objects.is_condition("Rule", "odd", "Accepted", "False"))
    uid = objects.get("Rule", "odd")["metadata"]["uid"]
    objects.delete("erule", "odd")
    objects.apply(rule("odd"))
    eventually(lambda: objects.is_condition("Rule", "odd", "Accepted", "True"))
    assert objects.get("Rule", "odd")["metadata"]["uid"] != uid
