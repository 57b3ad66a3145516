"""Whatever starts a function is on disk before it is run: agent and broker are killed, and nothing is lost or forgotten."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

from tests.functions.house import diary, function, house, metric
from tests.waiting import eventually


def test_who_asks_for_what_can_change_while_it_runs_and_across_lives_and_no_reading_is_lost(tmp_path: Path) -> None:
    wide, narrow = '{topic: "edge/v1/#"}', '{topic: "house/+"}'
    with house(tmp_path, function(tmp_path, "log", narrow)) as (agent, board, _):
        sequence = iter(range(1, 1000))

        def declared(triggers: str) -> None:
            agent.declare(function(tmp_path, "log", triggers))
            agent.reload()
            for _ in range(20):
                board.reading(next(sequence), 50.0)

        for _ in range(3):
            declared(wide)
            declared(narrow)
        last = next(sequence)
        board.reading(last, 51.0)
        eventually(lambda: agent.get("/devices/tank-1")["readings"]["level"]["value"] == 51.0)
        eventually(lambda: metric(agent, "edge_readings_stored_total")["edge_readings_stored_total"] == last)

        def held() -> set[str]:
            return {"house/+", "edge/v1/#"} & set(json.loads((agent.data / "subscriptions.json").read_text()))

        eventually(lambda: held() == {"house/+"})  # a stop goes before a reload that was asked for and has not begun
        agent.stop()
        agent.declare("")
        agent.start()
        eventually(lambda: not held())
        board.say("house/door", "1")
        board.reading(last + 1, 52.0)
        eventually(lambda: agent.get("/devices/tank-1")["readings"]["level"]["value"] == 52.0)
        received = metric(agent, "edge_messages_received_total")
        assert list(received) == ['edge_messages_received_total{dialect="native"}'], "taken back from the session"


def test_a_broker_that_forgot_us_is_asked_again(tmp_path: Path) -> None:
    with house(tmp_path, function(tmp_path, "log", '{topic: "house/#"}')) as (agent, board, broker):
        board.say("house/door", "1")
        eventually(lambda: len(diary(tmp_path, "log")) == 1)
        broker.stop()
        broker.database.unlink(missing_ok=True)
        broker.start()
        eventually(agent.ready)
        eventually(board.connected)
        board.say("house/door", "2")
        eventually(lambda: [event["data"] for event in diary(tmp_path, "log")] == [1, 2])


def test_what_was_recorded_when_the_agent_was_killed_runs_afterwards_under_the_same_id(tmp_path: Path) -> None:
    chain = function(
        tmp_path, "log", '{topic: "edge/v1/+/devices/+/readings"}, {topic: "house/#"}', retry="{attempts: 5}"
    )
    chain += function(tmp_path, "after", "{resultOf: log}", retry="{attempts: 5}")
    (tmp_path / "hold").touch()
    with house(tmp_path, chain) as (agent, board, _):
        for seq in range(1, 6):
            board.reading(seq, 50.0)
        board.say("house/door", "1")
        eventually(lambda: len(agent.get("/invocations", function="log")["items"]) == 6)
        recorded = {each["id"] for each in agent.get("/invocations", function="log")["items"]}
        agent.kill()
        (tmp_path / "hold").unlink()
        agent.start()
        eventually(lambda: {event["id"] for event in diary(tmp_path, "after")} == {f"{id}~log" for id in recorded})
        assert {event["id"] for event in diary(tmp_path, "log")} == recorded
        ended = eventually(
            lambda: [each for each in agent.get("/invocations")["items"] if each["state"] == "answered"][11:]
        )
        assert len(ended) == 1, "each recorded once, six and six"


def test_no_message_is_lost_however_often_the_agent_is_killed_and_each_result_is_followed(tmp_path: Path) -> None:
    chain = function(
        tmp_path, "log", '{topic: "edge/v1/+/devices/+/readings"}, {topic: "house/#"}', retry="{attempts: 20}"
    )
    chain += function(tmp_path, "after", "{resultOf: log}", retry="{attempts: 20}")
    with house(tmp_path, chain) as (agent, board, _):
        for number in range(1, 22):
            board.reading(number, 50.0)
            board.say("house/number", str(number))
            if number % 7 == 5:
                agent.kill()
                agent.start()

        def all_there() -> bool:
            heard = {event["data"] for event in diary(tmp_path, "log") if event["subject"] == "house/number"}
            ids = {event["id"] for event in diary(tmp_path, "after")}
            return heard == set(range(1, 22)) and {f"tank-1/b1/{seq}~log" for seq in range(1, 22)} <= ids

        eventually(all_there, timeout=60)
        eventually(lambda: not agent.get("/invocations", state="pending")["items"])
        found = agent.get("/invocations", limit=500)["items"]
        assert {each["state"] for each in found} == {"answered"}
        answers = {f"{each['id']}~log" for each in found if each["function"] == "log"}
        assert answers == {each["id"] for each in found if each["function"] == "after"}
        assert len(found) == 2 * len(answers)


def test_a_time_missed_while_the_agent_was_dead_is_run_for_once(tmp_path: Path) -> None:
    manifest = function(tmp_path, "nightly", "{cron: '0 0 1 1 *', timeZone: Europe/Dublin}")
    with house(tmp_path, manifest) as (agent, _, _):
        agent.kill()
        with sqlite3.connect(agent.data / "journal.db") as journal:
            (begun,) = journal.execute("SELECT at FROM cron").fetchone()
            journal.execute("UPDATE cron SET at=at - 86400000 * 800")
        journal.close()
        (tmp_path / "hold").touch()
        agent.start()
        (recorded,) = eventually(lambda: agent.get("/invocations")["items"])
        agent.kill()  # recorded, and not yet run
        (tmp_path / "hold").unlink()
        agent.start()
        (event,) = eventually(lambda: diary(tmp_path, "nightly"))
        assert event["id"] == recorded["id"]
        assert recorded["cause"] == "cron:0 0 1 1 *"
        assert event["type"] == "internal.edge.cron"
        assert event["data"]["scheduled"] == event["time"] <= event["data"]["scheduled"]
        assert event["time"].endswith("-01-01T00:00:00.000Z")
        eventually(lambda: agent.get("/invocations")["items"][0]["state"] == "answered")
        agent.kill()
        agent.start()
        assert len(agent.get("/invocations")["items"]) == 1
        with sqlite3.connect(agent.data / "journal.db") as journal:
            assert journal.execute("SELECT at FROM cron").fetchone()[0] < begun
        journal.close()


def test_a_call_is_on_disk_before_its_function_gets_it(tmp_path: Path) -> None:
    (tmp_path / "hold").touch()
    with house(tmp_path, function(tmp_path, "door", "")) as (agent, _, _):
        route = "/functions/door/invocations"
        accepted = agent.post(route, {"n": 1}, Prefer="respond-async")
        assert accepted.status_code == 202
        agent.kill()
        (tmp_path / "hold").unlink()
        agent.start()
        (event,) = eventually(lambda: diary(tmp_path, "door"))
        assert event["id"] == accepted.json()["id"]
