"""What every history must do, against each of them: SQLite, MongoDB's protocol, and a real MongoDB where there is one."""

from __future__ import annotations

import os
import random
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit, urlunsplit

import pymongo
import pytest
from bson.datetime_ms import DatetimeMS

from edge_agent.adapters.history_mongo import MongoHistory
from edge_agent.adapters.history_sqlite import SqliteHistory
from edge_agent.domain.reading import Sample, Value
from edge_agent.ports import History, Step
from tests.mongo import MongoServer

T0 = 1_763_888_888_000
END = T0 + 10**9
BOOT = "7f3a9c01d2e4b586"
HOUR = 3_600_000
FIRST = T0 // HOUR * HOUR
REAL = os.environ.get("EDGE_TEST_MONGODB_URI", "")

Open: TypeAlias = Callable[[], History]


def sample(seq: int, t: int = 0, device: str = "tank-1", boot: str = BOOT, **values: Value) -> Sample:
    """Measured `t` ms after T0; when no values are given, a level that is its seq."""
    return Sample(device, boot, seq, T0 + t, T0 + t + 40, dict(values) or {"level": seq})


@pytest.fixture(scope="module")
def mongo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MongoServer]:
    with MongoServer(tmp_path_factory.mktemp("mongo")) as server:
        yield server


@pytest.fixture(params=["sqlite", "sqlite-always-merging", "mongodb-protocol", *(["mongodb"] if REAL else [])])
def open_history(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens the same history each time it is called."""
    opened: list[History] = []
    client: pymongo.MongoClient | None = None
    database = f"edge-test-{uuid.uuid4().hex[:12]}"
    if request.param.startswith("mongodb"):
        uri = REAL if request.param == "mongodb" else request.getfixturevalue("mongo").uri
        client = pymongo.MongoClient(uri)
        uri = in_database(uri, database)

    def open_it() -> History:
        if client is not None:
            opened.append(MongoHistory(uri, keep=86_400 * 36_500))
        else:
            merge_at = 5 if request.param == "sqlite-always-merging" else 20_000
            opened.append(SqliteHistory(tmp_path, lambda: T0, merge_at=merge_at))
        return opened[-1]

    yield open_it
    for history in opened:
        history.close()
    if client is not None:
        client.drop_database(database)
        client.close()


@pytest.fixture
def history(open_history: Open) -> History:
    return open_history()


def in_database(uri: str, database: str) -> str:
    """The same server and user, another database."""
    parts = urlsplit(uri)
    query = parts.query
    if "@" in parts.netloc and "authSource" not in query:
        query = f"{query}&authSource={parts.path.strip('/') or 'admin'}".lstrip("&")
    return urlunsplit(parts._replace(path=f"/{database}", query=query))


def everything(history: History, device: str = "tank-1") -> list[Sample]:
    return list(history.samples(device, 0, END))


def typed(values: dict[str, Value]) -> dict[str, tuple[type, Value]]:
    return {name: (type(value), value) for name, value in values.items()}


# -- samples


def test_a_sample_comes_back_as_it_was_stored_types_kept(history: History) -> None:
    values: dict[str, Value] = {
        "whole": 18, "float": 18.0, "small": 1e-300, "negative": -40.5, "open": True, "shut": False,
        "text": 'grün "7": \\ 水', "empty": "", "big": 2**53, "zero": 0,
    }  # fmt: skip
    history.store([sample(1, **values)])
    (found,) = everything(history)
    assert found == sample(1, **values)
    assert typed(found.values) == typed(values)


def test_whether_a_sample_was_dated_live_and_the_oldest_is_kept(history: History) -> None:
    odd = [
        Sample("tank-1", BOOT, 1, T0, T0 + 5, {"level": 1}, dated=False),
        Sample("tank-1", BOOT, 2, T0 + 1, T0 - 5000, {"level": 1}, live=False),
        Sample("tank-1", BOOT, 3, T0 + 2, T0 + 2, {"level": 1}, dated=False, live=False, oldest=3),
    ]
    history.store(odd)
    assert everything(history) == odd


@pytest.mark.parametrize("boot", ["0", "17", "7f3a9c01d2e4b586", "7F3A9C01D2E4B586", "not-hexadecimal!!", "ffff"])
def test_any_name_of_a_boot_is_kept(history: History, boot: str) -> None:
    history.store([sample(1, boot=boot)])
    assert everything(history) == [sample(1, boot=boot)]


def test_what_was_stored_is_there_when_it_is_opened_again(open_history: Open) -> None:
    first = open_history()
    first.store([sample(n, t=n) for n in range(1, 13)])
    first.close()
    assert everything(open_history()) == [sample(n, t=n) for n in range(1, 13)]


def test_a_sample_stored_again_changes_nothing(open_history: Open) -> None:
    history = open_history()
    samples = [sample(n, t=n, level=n, door=True) for n in range(1, 13)]
    history.store([*samples, *samples])
    history.store(samples[:7])
    history.close()
    history = open_history()
    history.store(samples)
    history.store([sample(13, t=13, level=13, door=True), *samples])
    assert everything(history) == [*samples, sample(13, t=13, level=13, door=True)]
    assert history.count() == 26


def test_samples_of_one_instant_are_kept_apart_by_boot_and_seq(history: History) -> None:
    samples = [sample(seq, boot=boot, level=seq) for boot in ("1", "2") for seq in (1, 2)]
    history.store(samples)
    history.store(samples)
    assert everything(history) == samples
    assert sorted(history.raw("tank-1", "level", T0, T0 + 1)) == [(T0, 1), (T0, 1), (T0, 2), (T0, 2)]


def test_samples_come_oldest_first_in_whatever_order_they_were_stored(history: History) -> None:
    samples = [sample(n, t=n * 10) for n in range(1, 60)]
    shuffled = random.Random(7).sample(samples, len(samples))
    for start in range(0, len(shuffled), 7):
        history.store(shuffled[start : start + 7])
    assert everything(history) == samples
    assert list(history.samples("tank-1", T0 + 100, T0 + 200)) == samples[9:19]
    assert list(history.samples("tank-1", T0, END, limit=5)) == samples[:5]


def test_more_samples_than_one_page_come_all_and_once(history: History) -> None:
    samples = [sample(n, t=n // 3) for n in range(1, 4600)]
    history.store(samples)
    assert everything(history) == samples


def test_a_writer_does_not_disturb_who_is_reading_samples(history: History) -> None:
    history.store([sample(n, t=n) for n in range(1, 1500)])
    reading = history.samples("tank-1", 0, T0 + 1500)
    begun = [next(reading) for _ in range(10)]
    history.store([sample(n, t=n) for n in range(1500, 1600)])
    history.store([sample(n, t=n, device="tank-2") for n in range(1, 20)])
    assert [*begun, *reading] == [sample(n, t=n) for n in range(1, 1500)]


def test_a_random_day_with_repeats_reads_as_a_plain_model_says(open_history: Open) -> None:
    chance = random.Random(20261123)
    history, model, written = open_history(), {}, []
    for _ in range(40):
        batch = [
            sample(
                chance.randrange(1, 400), device=f"tank-{chance.randrange(3)}", boot=chance.choice(["9", BOOT]), t=0,
            ) for _ in range(chance.randrange(1, 30))
        ]  # fmt: skip
        batch = [model.get(s.id) or moved(s, chance.randrange(0, 10_000)) for s in batch] + chance.sample(
            written, min(len(written), 5)
        )
        for one in batch:
            model.setdefault(one.id, one)
        batch = [model[one.id] for one in batch]
        history.store(batch)
        written += batch
        if chance.random() < 0.1:
            history.close()
            history = open_history()
    for device in ("tank-0", "tank-1", "tank-2"):
        expected = sorted((s for s in model.values() if s.device == device), key=lambda s: (s.t, s.seq, s.boot))
        assert sorted(everything(history, device), key=lambda s: (s.t, s.seq, s.boot)) == expected
    assert history.count() == len(model)


def moved(one: Sample, t: int) -> Sample:
    return Sample(one.device, one.boot, one.seq, T0 + t, T0 + t, {"level": t / 4})


# -- points and steps


def test_raw_points_are_the_newest_within_half_open_bounds(history: History) -> None:
    history.store([sample(n, t=n * 1000, level=n, door=n % 2 == 0) for n in range(10)])
    history.store([sample(99, t=3500, note="no level here")])
    assert history.raw("tank-1", "level", T0 + 2000, T0 + 5000) == [(T0 + n * 1000, n) for n in (2, 3, 4)]
    assert history.raw("tank-1", "level", 0, END, limit=2) == [(T0 + 8000, 8), (T0 + 9000, 9)]
    assert history.raw("tank-1", "level", 0, END, limit=0) == []
    assert history.raw("tank-1", "note", 0, END) == [(T0 + 3500, "no level here")]
    assert [type(value) for _, value in history.raw("tank-1", "door", 0, END, limit=3)] == [bool] * 3


def test_steps_have_mean_minimum_maximum_and_count(history: History) -> None:
    chance = random.Random(3)
    samples = [sample(n, t=chance.randrange(600_000), level=round(chance.uniform(-5, 40), 1)) for n in range(1, 400)]
    for start in range(0, 400, 50):
        history.store(samples[start : start + 50])
    expected = []
    for start in range(T0 // 60_000 * 60_000, T0 + 600_000, 60_000):
        inside = [s.values["level"] for s in samples if start <= s.t < start + 60_000 and s.t >= T0 + 90_000]
        if inside:
            expected.append(
                Step(start, pytest.approx(sum(inside) / len(inside)), min(inside), max(inside), len(inside))
            )
    assert history.steps("tank-1", "level", T0 + 90_000, END, 60_000) == expected


def test_steps_count_booleans_as_one_and_zero_and_leave_strings_and_empty_steps_out(history: History) -> None:
    first = T0 // 1000 * 1000
    values: list[Value] = [True, False, True, True, "ajar"]
    history.store([Sample("door-1", BOOT, n + 1, first + n, first, {"open": v}) for n, v in enumerate(values)])
    history.store([Sample("door-1", BOOT, 9, first + 5000, first, {"open": 3, "other": 7})])
    assert history.steps("door-1", "open", first, END, 1000) == [
        Step(first, 0.75, 0.0, 1.0, 4),
        Step(first + 5000, 3.0, 3.0, 3.0, 1),
    ]


def test_what_is_not_known_is_empty(history: History) -> None:
    assert history.latest() == {}
    assert history.count() == 0
    history.store([sample(1)])
    for device, reading in (("nobody", "level"), ("tank-1", "nothing")):
        assert history.raw(device, reading, 0, END) == []
        assert history.steps(device, reading, 0, END, 1000) == []
    assert everything(history, "nobody") == []
    assert history.forget("nobody") == 0
    history.store([])
    assert everything(history) == [sample(1)]


def test_a_reading_name_with_signs_that_mean_something_to_a_store_is_just_a_name(history: History) -> None:
    values: dict[str, Value] = {"a.b": 1, "$cost": 2.5, "100%": 3, 'q"uote': 4, "%2E": 5, "0": 6}
    history.store([sample(1, **values)])
    assert everything(history) == [sample(1, **values)]
    for name, value in values.items():
        assert history.raw("tank-1", name, 0, END) == [(T0, value)]
        assert history.steps("tank-1", name, 0, END, 10**12)[0].mean == value


# -- averages of hours whose samples have gone


def measured(seq: int, t: int, **values: Value) -> Sample:
    """Measured `t` ms after FIRST, the beginning of an hour."""
    return Sample("tank-1", BOOT, seq, FIRST + t, FIRST + t + 40, values)


def six_hours() -> list[Sample]:
    """One every minute or so, each with a level, some with a door and a note."""
    chance = random.Random(11)
    return [
        measured(
            n, chance.randrange(6 * HOUR), level=round(chance.uniform(-5, 40), 1),
            **({"door": chance.random() < 0.5} if n % 3 else {"note": "no number"}),
        ) for n in range(1, 361)
    ]  # fmt: skip


def model(samples: list[Sample], reading: str, step: int) -> list[Step]:
    """What `steps` says of `samples`, slowly."""
    found: dict[int, list[float]] = {}
    for one in samples:
        if isinstance(value := one.values.get(reading, ""), (int, float)):
            found.setdefault(one.t // step * step, []).append(float(value))
    return [
        Step(t, pytest.approx(sum(values) / len(values)), min(values), max(values), len(values))
        for t, values in sorted(found.items())
    ]


def let_go(history: History, older_than: int) -> None:
    """`trim`, and what MongoDB's TTL index does in its own time."""
    history.trim(older_than)
    if isinstance(history, MongoHistory):
        history._samples.delete_many({"at": {"$lt": DatetimeMS(older_than // HOUR * HOUR)}})


def hourly(history: History, device: str = "tank-1", reading: str = "level") -> list[Step]:
    return history.steps(device, reading, 0, END, HOUR)


def test_hourly_averages_stay_of_samples_that_have_gone_and_join_the_rest_without_a_seam(history: History) -> None:
    samples = six_hours()
    for start in range(0, len(samples), 50):
        history.store(samples[start : start + 50])
    let_go(history, FIRST + 3 * HOUR + 1_200_000)
    assert everything(history) == sorted((s for s in samples if s.t >= FIRST + 3 * HOUR), key=lambda s: (s.t, s.seq))
    for reading in ("level", "door"):
        for step in (HOUR, 2 * HOUR, 24 * HOUR, 10**12):
            assert history.steps("tank-1", reading, 0, END, step) == model(samples, reading, step)
        short = model([s for s in samples if s.t >= FIRST + 3 * HOUR], reading, 600_000)
        assert history.steps("tank-1", reading, 0, END, 600_000) == model(samples, reading, HOUR)[:3] + short
    assert history.steps("tank-1", "note", 0, END, HOUR) == []
    assert hourly(history, "tank-2") == []


def test_bounds_hold_among_averages_where_an_hour_counts_at_its_beginning(history: History) -> None:
    samples = six_hours()
    history.store(samples)
    let_go(history, FIRST + 4 * HOUR)
    expected = model(samples, "level", HOUR)
    assert history.steps("tank-1", "level", FIRST + HOUR, FIRST + 3 * HOUR, HOUR) == expected[1:3]
    assert history.steps("tank-1", "level", FIRST + 1, FIRST + 2 * HOUR + 1, HOUR) == expected[1:3]
    assert history.steps("tank-1", "level", FIRST + 3 * HOUR, FIRST + 5 * HOUR, HOUR) == expected[3:5]
    assert history.steps("tank-1", "level", FIRST + 4 * HOUR, FIRST + 5 * HOUR, HOUR) == expected[4:5]


def test_trimming_again_and_again_and_after_a_restart_changes_no_average(open_history: Open) -> None:
    history, samples = open_history(), six_hours()
    history.store(samples)
    for hours in (2, 2, 3, 1, 5, 5, 7):
        history.trim(FIRST + hours * HOUR)
        let_go(history, FIRST + hours * HOUR)
        assert hourly(history) == model(samples, "level", HOUR)
        history.close()
        history = open_history()
        assert hourly(history) == model(samples, "level", HOUR)
        assert hourly(history, reading="door") == model(samples, "door", HOUR)
    assert everything(history) == []


def test_an_hour_that_is_not_over_is_not_averaged(history: History) -> None:
    samples = six_hours()
    history.store(samples)
    history.trim(FIRST + HOUR - 1)
    assert len(everything(history)) == len(samples)
    assert history.steps("tank-1", "level", 0, END, 60_000) == model(samples, "level", 60_000)


def test_what_comes_late_for_an_averaged_hour_counts_there_once(open_history: Open) -> None:
    history, samples = open_history(), six_hours()
    history.store(samples)
    let_go(history, FIRST + 3 * HOUR)
    late = [
        measured(900, HOUR + 5, level=-100, door=True),
        measured(901, HOUR + 6, level=100),
        measured(902, -5, level=7),
    ]
    for _ in range(2):
        history.store(late)
        history.store([*late, measured(903, 5 * HOUR, level=3)])
        history.close()
        history = open_history()
    samples += [*late, measured(903, 5 * HOUR, level=3)]
    assert hourly(history) == model(samples, "level", HOUR)
    let_go(history, FIRST + 3 * HOUR)
    assert hourly(history) == model(samples, "level", HOUR)
    let_go(history, FIRST + 4 * HOUR)
    assert hourly(history) == model(samples, "level", HOUR)
    assert hourly(history, reading="door") == model(samples, "door", HOUR)


def test_a_random_life_of_storing_and_trimming_reads_as_a_plain_model_says(open_history: Open) -> None:
    chance = random.Random(5)
    history, now, seq = open_history(), 0, 0
    written: list[Sample] = []
    for _ in range(30):
        now += chance.randrange(HOUR)
        batch = [
            measured(
                seq + n, max(0, now - int(chance.expovariate(1 / HOUR))), level=chance.randrange(-9, 9), door=n > 5
            )
            for n in range(1, 20)
        ]
        seq += 20
        history.store([*batch, *batch[:3]])
        written += batch
        if chance.random() < 0.3:
            let_go(history, FIRST + now - 2 * HOUR)
        if chance.random() < 0.2:
            history.close()
            history = open_history()
        for reading in ("level", "door"):
            assert hourly(history, reading=reading) == model(written, reading, HOUR)


def test_a_plot_drawn_while_readings_are_averaged_has_each_of_them_once(history: History) -> None:
    history.store([measured(n, n * 60_000, level=n) for n in range(600)])
    faults: list[BaseException] = []
    stop = threading.Event()

    def plot() -> None:
        try:
            while not stop.is_set():
                assert sum(step.count for step in hourly(history)) == 600
        except BaseException as error:  # noqa: BLE001 - told to the test
            faults.append(error)

    plotting = [threading.Thread(target=plot) for _ in range(2)]
    for thread in plotting:
        thread.start()
    for hours in range(1, 10):
        history.trim(FIRST + hours * HOUR)
    stop.set()
    for thread in plotting:
        thread.join()
    assert faults == []


def test_a_forgotten_device_leaves_no_averages_and_last_values_come_from_none(open_history: Open) -> None:
    history = open_history()
    for device in ("tank-1", "tank-2"):
        history.store([Sample(device, BOOT, n, FIRST + n * HOUR, FIRST, {"level": n}) for n in range(1, 9)])
    let_go(history, FIRST + 6 * HOUR)
    assert {name: found["level"] for name, found in history.latest().items()} == {
        "tank-1": (FIRST + 8 * HOUR, 8), "tank-2": (FIRST + 8 * HOUR, 8),
    }  # fmt: skip
    history.forget("tank-2")
    history.store([Sample("tank-2", BOOT, 50, FIRST + 7 * HOUR, FIRST, {"level": 1})])
    assert [step.mean for step in hourly(history, "tank-2")] == [1]
    assert [step.mean for step in hourly(history)] == [1, 2, 3, 4, 5, 6, 7, 8]
    history.close()
    assert [step.mean for step in hourly(open_history(), "tank-2")] == [1]


# -- last values, forgetting, counting


def test_last_values_are_of_each_reading_and_late_ones_do_not_replace_them(open_history: Open) -> None:
    history = open_history()
    history.store([sample(1, t=10, level=1, door=True), sample(2, t=20, level=2.0)])
    history.store([sample(n, t=n, level=n, device="tank-2") for n in range(1, 13)])
    history.store([sample(3, t=5, level=99, door=False, smell="mud")])
    expected = {
        "tank-1": {"level": (T0 + 20, 2.0), "door": (T0 + 10, True), "smell": (T0 + 5, "mud")},
        "tank-2": {"level": (T0 + 12, 12)},
    }
    assert history.latest() == expected
    history.close()
    assert open_history().latest() == expected
    assert {n: type(v) for n, (_, v) in open_history().latest()["tank-1"].items()} == {
        "level": float, "door": bool, "smell": str,
    }  # fmt: skip


def test_a_forgotten_device_is_gone_and_the_others_stay(open_history: Open) -> None:
    history = open_history()
    for device in ("tank-1", "tank-2"):
        history.store([sample(n, t=n, device=device, level=n, door=True) for n in range(1, 1203)])
    assert history.count() == 4808
    assert history.forget("tank-1") == 2404
    assert everything(history) == []
    assert len(everything(history, "tank-2")) == 1202
    assert list(history.latest()) == ["tank-2"]
    assert history.count() == 2404
    history.store([sample(5, t=5, level=5, door=True)])
    history.close()
    history = open_history()
    assert everything(history) == [sample(5, t=5, level=5, door=True)]
    assert history.count() == 2406


def test_readers_and_a_writer_do_not_get_in_each_others_way(history: History) -> None:
    history.store([sample(0, t=0)])
    faults: list[BaseException] = []
    stop = threading.Event()

    def read() -> None:
        try:
            known = 0
            while not stop.is_set():
                seqs = [s.seq for s in everything(history)]
                assert seqs == sorted(set(seqs))
                assert len(seqs) >= known
                known = len(seqs)
                assert sum(step.count for step in history.steps("tank-1", "level", 0, END, 1000)) >= known
                assert len(history.raw("tank-1", "level", 0, END)) >= known
                assert "level" in history.latest()["tank-1"]
        except BaseException as error:  # noqa: BLE001 - told to the test
            faults.append(error)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for start in range(1, 600, 20):
        history.store([sample(n, t=n) for n in range(start, start + 20)])
    stop.set()
    for reader in readers:
        reader.join()
    assert faults == []
    assert [s.seq for s in everything(history)] == list(range(601))
