"""MongoDB's side of the history: servers that go away and come back, say no, or keep for another time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pymongo
import pytest

from edge_agent.adapters.history_mongo import MongoHistory
from edge_agent.domain.reading import Sample
from edge_agent.errors import EdgeError, Refused, Unavailable
from tests.mongo import MongoServer
from tests.waiting import eventually

T0 = 1_763_888_888_000
END = T0 + 10**9
HOUR = 3_600_000
DAY = 86_400
FAILURES = {10107: Unavailable, 14031: Unavailable, 13: Refused, 18: Refused, 121: Refused}


def samples(first: int, last: int) -> list[Sample]:
    return [Sample("tank-1", "1", n, T0 + n, T0 + n, {"level": n}) for n in range(first, last + 1)]


CALLS: dict[str, Callable[[MongoHistory], object]] = {
    "store": lambda h: h.store(samples(1, 3)),
    "raw": lambda h: h.raw("tank-1", "level", 0, END),
    "steps": lambda h: h.steps("tank-1", "level", 0, END, 1000),
    "samples": lambda h: list(h.samples("tank-1", 0, END)),
    "latest": lambda h: h.latest(),
    "forget": lambda h: h.forget("tank-9"),
    "count": lambda h: h.count(),
    "trim": lambda h: h.trim(END),
}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MongoServer]:
    with MongoServer(tmp_path) as server:
        yield server


@pytest.fixture
def history(server: MongoServer) -> Iterator[MongoHistory]:
    history = MongoHistory(server.uri, search=0.7)
    yield history
    history.close()


def stores(history: MongoHistory, what: list[Sample]) -> bool:
    try:
        history.store(what)
    except Unavailable:
        return False
    return True


def test_what_was_stored_survives_the_servers_death_and_the_same_client_goes_on(
    server: MongoServer, history: MongoHistory
) -> None:
    history.store(samples(1, 500))
    server.kill()
    with pytest.raises(Unavailable):
        history.store(samples(400, 600))
    server.start()
    eventually(lambda: stores(history, samples(400, 600)))
    assert list(history.samples("tank-1", 0, END)) == samples(1, 600)
    assert history.latest() == {"tank-1": {"level": (T0 + 600, 600)}}


def test_every_call_says_unavailable_while_the_server_is_away(server: MongoServer, history: MongoHistory) -> None:
    history.store(samples(1, 3))
    server.kill()
    for name, call in CALLS.items():
        with pytest.raises(EdgeError) as told:
            call(history)
        assert type(told.value) is Unavailable, name


def test_the_agent_may_start_before_the_server(server: MongoServer) -> None:
    server.kill()
    history = MongoHistory(server.uri, search=0.7)
    with pytest.raises(Unavailable, match="away"):
        history.store(samples(1, 1))
    server.start()
    eventually(lambda: stores(history, samples(1, 1)))
    assert history.count() == 1
    history.close()


def test_a_server_that_hangs_is_unavailable_after_the_timeout(server: MongoServer) -> None:
    history = MongoHistory(server.uri, timeout=1.0)
    eventually(lambda: stores(history, samples(1, 1)))
    server.freeze()
    with pytest.raises(Unavailable):
        history.store(samples(2, 2))
    server.thaw()
    eventually(lambda: stores(history, samples(2, 2)))
    assert list(history.samples("tank-1", 0, END)) == samples(1, 2)
    history.close()


@pytest.mark.parametrize("code", FAILURES)
def test_what_the_server_answers_becomes_one_of_our_two_words(
    server: MongoServer, history: MongoHistory, code: int
) -> None:
    history.store(samples(1, 3))
    with pymongo.MongoClient(server.uri) as client:
        for name in ("store", "steps", "samples"):
            commands = ["insert", "update", "find", "aggregate", "delete", "count"]
            data = {"failCommands": commands, "errorCode": code}
            client.admin.command({"configureFailPoint": "failCommand", "mode": {"times": 100}, "data": data})
            with pytest.raises(EdgeError) as told:
                CALLS[name](history)
            assert type(told.value) is FAILURES[code], name
            client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})
    history.store(samples(4, 4))
    assert list(history.samples("tank-1", 0, END)) == samples(1, 4)


def test_after_closing_every_call_is_an_error_of_ours(history: MongoHistory) -> None:
    history.store(samples(1, 3))
    history.close()
    for name, call in CALLS.items():
        with pytest.raises(EdgeError) as told:
            call(history)
        assert type(told.value) is Unavailable, name


@pytest.mark.parametrize("uri", ["mongodb://", "mongodb://host:port/x", "postgres://host/x"])
def test_an_address_that_is_none_is_refused_when_it_is_configured(uri: str) -> None:
    with pytest.raises(Refused):
        MongoHistory(uri)


def test_no_error_tells_the_password() -> None:
    history = MongoHistory("mongodb://edge@127.0.0.1:9/edge", password="hunter2", search=0.3)
    with pytest.raises(Unavailable) as told:
        history.count()
    assert "hunter2" not in str(told.value)
    history.close()


def test_the_server_removes_what_is_older_than_it_shall_keep(server: MongoServer) -> None:
    def kept() -> list[int]:
        with pymongo.MongoClient(server.uri) as client:
            indexes = [client.edge[name].index_information() for name in ("samples", "latest", "hours")]
        assert all(index["kept"]["key"] == [("at", 1)] for index in indexes)
        return [index["kept"]["expireAfterSeconds"] for index in indexes]

    for days in (30, 7, 7, 400_000):
        history = MongoHistory(server.uri, keep=days * DAY, keep_hourly=(days + 365) * DAY)
        history.store(samples(days, days))
        longest = 2**31 - 1
        assert kept() == [min(n * DAY, longest) for n in (days + 7, days, days + 365)]
        assert history.trim(END) == 0
        history.close()
    with pymongo.MongoClient(server.uri) as client:
        assert client.edge.samples.find_one({"_id": "tank-1/1/7"})["at"].timestamp() * 1000 == pytest.approx(T0 + 7)
        assert "device_1_t_1" in client.edge.samples.index_information()


def test_a_heap_of_large_samples_is_stored_whatever_one_message_may_hold(server: MongoServer) -> None:
    history = MongoHistory(server.uri)
    values = {f"text-{n}": "x" * 256 for n in range(64)}
    fat = [Sample("tank-1", "1", n, T0 + n, T0 + n, values) for n in range(1, 1500)]
    history.store(fat)
    assert sum(1 for _ in history.samples("tank-1", 0, END)) == 1499
    history.close()


def test_a_number_no_document_can_hold_is_refused_and_not_an_overflow(history: MongoHistory) -> None:
    with pytest.raises(Refused):
        history.store([Sample("tank-1", "1", 1, T0, T0, {"level": 2**70})])


# -- hourly averages


def hours(first: int, last: int) -> list[Sample]:
    return [
        Sample("tank-1", "1", n, T0 + n * HOUR // 4, T0, {"level": n, "door": n % 2 == 0}) for n in range(first, last)
    ]


def hourly(history: MongoHistory, reading: str = "level") -> list[tuple[float, int]]:
    return [(step.mean, step.count) for step in history.steps("tank-1", reading, 0, END, HOUR)]


@pytest.mark.parametrize("survived", ["averages", "note"])
def test_averaging_that_broke_off_is_done_again_and_counts_once(
    server: MongoServer, history: MongoHistory, survived: str
) -> None:
    history.store(hours(0, 40))
    expected = hourly(history), hourly(history, "door")
    with pymongo.MongoClient(server.uri) as client:
        history.trim(T0 + 5 * HOUR)
        if survived == "averages":  # as after a crash before the note was written
            client.edge.notes.delete_many({})
        again = MongoHistory(server.uri)
        again.trim(T0 + 8 * HOUR)
        assert (hourly(again), hourly(again, "door")) == expected
        client.edge.samples.delete_many({"t": {"$lt": T0 + 7 * HOUR}})
        assert (hourly(again), hourly(again, "door")) == expected
        again.close()


def test_an_hour_is_written_once_and_a_trim_without_new_hours_writes_nothing(
    server: MongoServer, history: MongoHistory
) -> None:
    history.store(hours(0, 40))
    history.trim(T0 + 5 * HOUR)
    with pymongo.MongoClient(server.uri) as client:
        assert client.edge.hours.count_documents({}) == 2 * 5
        client.edge.hours.update_many({}, {"$set": {"seen": True}})
        history.trim(T0 + 5 * HOUR)
        history.trim(T0 + 7 * HOUR)
        assert client.edge.hours.count_documents({"seen": True}) == 2 * 5
        assert client.edge.hours.count_documents({}) == 2 * 7


def test_a_late_sample_whose_storing_broke_off_counts_once(server: MongoServer, history: MongoHistory) -> None:
    history.store(hours(0, 40))
    history.trim(T0 + 5 * HOUR)
    late = [Sample("tank-1", "2", n, T0 + n, T0, {"level": 100 * n, "door": True}) for n in range(1, 300)]
    history.store(late)
    expected = hourly(history), hourly(history, "door")
    with pymongo.MongoClient(server.uri) as client:
        unwritten = {"_id": {"$in": [one.id for one in late[200:]]}}
        client.edge.samples.delete_many(unwritten)  # as after a crash before the last ones themselves were written
        history.store(late)
        assert (hourly(history), hourly(history, "door")) == expected
        assert client.edge.samples.count_documents(unwritten) == 99


def test_a_board_with_a_wrong_clock_does_not_fill_the_document_of_an_hour(
    server: MongoServer, history: MongoHistory
) -> None:
    history.store(hours(0, 40))
    history.trim(T0 + 5 * HOUR)
    history.store([Sample("tank-1", "2", n, T0 + 1, T0, {"level": 1}) for n in range(1, 501)])
    with pymongo.MongoClient(server.uri) as client:
        (late,) = client.edge.hours.find({"late": {"$exists": True}})
    assert len(late["late"]) == 200
    assert late["n"] == 500 + sum(1 for one in hours(0, 40) if one.t // HOUR == T0 // HOUR)


def test_averages_go_on_when_the_server_was_away(server: MongoServer, history: MongoHistory) -> None:
    history.store(hours(0, 40))
    expected = hourly(history)
    server.kill()
    with pytest.raises(Unavailable):
        history.trim(T0 + 5 * HOUR)
    server.start()
    eventually(lambda: stores(history, hours(0, 1)))
    history.trim(T0 + 5 * HOUR)
    with pymongo.MongoClient(server.uri) as client:
        client.edge.samples.delete_many({"t": {"$lt": T0 + 4 * HOUR}})
    assert hourly(history) == expected
