"""A new version proves that it can start before it takes over; one that cannot leaves everything as it was."""

from __future__ import annotations

import threading
from typing import Any

import msgspec
import pytest

from edge_agent.domain.function import FunctionSpec, PoolSpec, RetrySpec
from edge_agent.domain.invocation import Failed, Succeeded
from edge_agent.errors import NotFound
from tests.functions.shelf import SHELL, Shelf
from tests.waiting import eventually

ONE = PoolSpec(min_idle=1, max_workers=1)
HELD_BACK = "/bin/busybox mkdir -p ../began; : > ../began/$$; until [ -e ../go ]; do /bin/busybox usleep 5000; done\n"


class Word:
    """What became of a version."""

    def __init__(self) -> None:
        self.said: list[str | None] = []
        self._heard = threading.Event()

    def __call__(self, reason: str | None) -> None:
        self.said.append(reason)
        self._heard.set()

    def reason(self) -> str | None:
        assert self._heard.wait(20), "nobody said what became of it"
        assert len(self.said) == 1
        return self.said[0]


def version(shelf: Shelf, name: str, answer: object, *, before: str = "", **changes: Any) -> FunctionSpec:
    """A version of `name` that answers `answer`, after `before` has been run; not declared yet."""
    file = f"{name}-{answer}"
    first, _, rest = SHELL.replace("@HANDLE@", f"echo {answer}").partition("\n")
    shelf.write(file, f"{first}\n{before}{rest}")
    spec = FunctionSpec(name, source=str(shelf.folder / "code"), command=(f"./{file}",), pool=ONE)
    return msgspec.structs.replace(spec, **changes)


def first(shelf: Shelf, name: str = "pump", **changes: Any) -> FunctionSpec:
    """Declare and start with version 1."""
    shelf.functions[name] = version(shelf, name, 1, **changes)
    shelf.start()
    shelf.idle(name)
    return shelf.functions[name]


def tried(shelf: Shelf, spec: FunctionSpec) -> Word:
    word = Word()
    shelf.engine.rollout(spec, word)
    return word


def go(shelf: Shelf) -> None:
    (shelf.folder / "go").touch()


def began(shelf: Shelf, count: int = 1) -> None:
    eventually(lambda: (shelf.folder / "began").exists() and len(list((shelf.folder / "began").iterdir())) >= count)


def test_a_version_that_starts_takes_over(shelf: Shelf) -> None:
    first(shelf)
    assert shelf.answer("pump") == 1
    assert tried(shelf, version(shelf, "pump", 2)).reason() is None
    assert shelf.answer("pump") == 2
    eventually(lambda: sum(shelf.engine.status()["pump"]["workers"].values()) == 1)
    assert shelf.engine.status()["pump"]["trying"] is None


def test_until_it_asks_the_old_version_serves_and_one_sees_that_another_is_tried(shelf: Shelf) -> None:
    first(shelf)
    word = tried(shelf, version(shelf, "pump", 2, before=HELD_BACK))
    began(shelf)
    assert [shelf.answer("pump") for _ in range(5)] == [1] * 5
    status = shelf.engine.status()["pump"]
    assert status["trying"]["source"] == str(shelf.folder / "code")
    assert status["trying"]["seconds"] >= 0
    assert word.said == []
    go(shelf)
    assert word.reason() is None
    assert shelf.answer("pump") == 2


def test_no_event_is_lost_and_none_runs_twice_while_versions_come_and_go(shelf: Shelf) -> None:
    pool = PoolSpec(min_idle=1, max_workers=3)
    first(shelf, pool=pool)
    invocations, words = [], []
    for number in range(2, 6):
        invocations += [shelf.send("pump") for _ in range(8)]
        words.append(tried(shelf, version(shelf, "pump", number, pool=pool)))
        invocations += [shelf.send("pump") for _ in range(8)]
        assert words[-1].reason() is None
    invocations += [shelf.send("pump") for _ in range(8)]
    outcomes = [shelf.outcome(invocation) for invocation in invocations]
    assert {type(outcome) for outcome in outcomes} == {Succeeded}
    assert outcomes[-1] == Succeeded(b"5")
    assert {len(shelf.settled(invocation)) for invocation in invocations} == {1}


CANNOT_START = [
    ({"before": "echo the valve is stuck >&2; exit 3\n"}, "exited with code 3 before it asked for an event"),
    ({"before": "echo the valve is stuck >&2; kill -9 $$\n"}, "was killed by SIGKILL before it asked for an event"),
    (
        {"before": "echo the valve is stuck; /bin/busybox sleep 1000\n"},
        "its worker did not ask for an event within 2 s; it printed: the valve is stuck",
    ),
    (
        {
            "before": "echo the valve is stuck >&2; /bin/busybox wget -q -O /dev/null --post-data "
            """'{"errorMessage":"no pin 17","errorType":"Pin"}' """
            "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/init/error; exit 1\n"
        },
        "no pin 17; it printed: the valve is stuck",
    ),
    ({"source": "/no/such/folder"}, "its source folder /no/such/folder does not exist"),
    ({"secrets": ("smtp",)}, "the secret smtp is missing"),
    ({"command": ("./not-there",)}, "not-there"),
]


@pytest.mark.parametrize(("changes", "said"), CANNOT_START)
def test_a_version_that_cannot_start_leaves_the_old_one_serving(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], said: str
) -> None:
    monkeypatch.setattr("edge_agent.engine.functions.dispatch.Engine.start_timeout", 2.0)
    monkeypatch.setattr("edge_agent.engine.functions.staff.START_TIMEOUT", 2.0)
    monkeypatch.setattr("edge_agent.engine.functions.crew.START_TIMEOUT", 2.0)
    first(shelf)
    reason = tried(shelf, version(shelf, "pump", 2, **changes)).reason()
    assert reason is not None
    assert said in reason
    if "before" in changes:
        assert "the valve is stuck" in reason
    assert shelf.answer("pump") == 1
    status = shelf.engine.status()["pump"]
    assert (status["trying"], status["last_error"]) == (None, "")
    eventually(lambda: sum(shelf.engine.status()["pump"]["workers"].values()) == 1)


def test_who_works_may_finish_and_who_waits_is_ended(shelf: Shelf) -> None:
    slow = "until [ -e ../go ]; do /bin/busybox usleep 5000; done; echo 1"
    shelf.shell("pump", slow, pool=PoolSpec(min_idle=1, max_workers=2))
    shelf.start()
    shelf.idle("pump")
    running = shelf.send("pump")
    eventually(lambda: shelf.engine.status()["pump"]["workers"]["busy"] == 1)
    shelf.idle("pump")
    assert tried(shelf, version(shelf, "pump", 2, pool=PoolSpec(1, 2))).reason() is None
    assert shelf.answer("pump") == 2
    assert shelf.settled(running) == []
    go(shelf)
    assert shelf.outcome(running) == Succeeded(b"1")
    assert len(shelf.settled(running)) == 1


@pytest.mark.parametrize("isolation", ["shared", "process"])
def test_workers_that_stay_are_replaced_too(shelf: Shelf, isolation: str) -> None:
    pool = PoolSpec(min_idle=2, max_workers=3)
    text = "import os\ndef main(event, context):\n    return [@, os.getpid()]\n"
    old = shelf.python("old", text.replace("@", "1"), isolation=isolation, pool=pool)
    new = shelf.python("new", text.replace("@", "2"), isolation=isolation, pool=pool)
    shelf.functions = {"pump": msgspec.structs.replace(old, name="pump")}
    shelf.start()
    shelf.idle("pump", 2)
    assert shelf.answer("pump")[0] == 1
    flowing = [shelf.send("pump") for _ in range(10)]
    assert tried(shelf, msgspec.structs.replace(new, name="pump")).reason() is None
    assert [shelf.answer("pump")[0] for _ in range(4)] == [2] * 4
    assert {shelf.end(invocation).state for invocation in flowing} == {"answered"}
    shelf.idle("pump", 2)


def test_a_version_is_tried_beside_an_old_one_that_has_no_room_left(shelf: Shelf) -> None:
    shelf.shell("pump", "until [ -e ../go ]; do /bin/busybox usleep 5000; done; echo 1", pool=ONE)
    shelf.start()
    running, queued = shelf.send("pump"), shelf.send("pump")
    eventually(lambda: shelf.engine.status()["pump"]["workers"]["busy"] == 1)
    assert tried(shelf, version(shelf, "pump", 2)).reason() is None
    assert shelf.outcome(queued) == Succeeded(b"2")
    assert shelf.settled(running) == []
    go(shelf)
    shelf.end(running)


def test_a_version_that_works_ends_the_waiting_for_one_that_did_not(shelf: Shelf) -> None:
    shelf.functions["pump"] = version(shelf, "pump", 1, before="exit 1\n")
    shelf.start()
    invocation = shelf.send("pump")
    eventually(lambda: shelf.engine.stats.start_failures["pump"] >= 3)
    assert tried(shelf, version(shelf, "pump", 2)).reason() is None
    assert shelf.outcome(invocation) == Succeeded(b"2")
    assert shelf.end(invocation).attempt.number == 1


def test_a_newer_version_ends_the_trial_of_the_one_before(shelf: Shelf) -> None:
    first(shelf)
    second = tried(shelf, version(shelf, "pump", 2, before=HELD_BACK))
    began(shelf)
    third = tried(shelf, version(shelf, "pump", 3))
    assert second.reason() == "replaced by a newer version"
    assert third.reason() is None
    go(shelf)
    assert [shelf.answer("pump") for _ in range(3)] == [3] * 3
    eventually(lambda: sum(shelf.engine.status()["pump"]["workers"].values()) == 1)
    assert len(second.said) == len(third.said) == 1


def test_another_document_of_the_function_ends_the_trial(shelf: Shelf) -> None:
    first(shelf)
    word = tried(shelf, version(shelf, "pump", 2, before=HELD_BACK))
    shelf.engine.replace({"pump": version(shelf, "pump", 3)})
    assert word.reason() == "replaced by a newer version"
    assert shelf.answer("pump") == 3


def test_a_function_that_is_deleted_ends_its_trial(shelf: Shelf) -> None:
    first(shelf)
    word = tried(shelf, version(shelf, "pump", 2, before=HELD_BACK))
    shelf.engine.replace({})
    assert word.reason() == "the function was deleted"
    assert shelf.failure("pump").kind == "no-function"
    eventually(lambda: "pump" not in shelf.engine.status())


def test_the_first_version_is_a_function_once_it_asks(shelf: Shelf) -> None:
    first(shelf, "other")
    word = tried(shelf, version(shelf, "pump", 1, before=HELD_BACK))
    began(shelf)
    assert shelf.failure("pump").kind == "no-function"
    shelf.engine.replace(dict(shelf.functions))  # a reload of what is declared, which this is not yet
    assert shelf.engine.status()["pump"]["trying"]
    go(shelf)
    assert word.reason() is None
    assert shelf.answer("pump") == 1


def test_a_first_version_that_cannot_start_leaves_no_function(shelf: Shelf) -> None:
    shelf.start()
    for changes, said in (CANNOT_START[0], CANNOT_START[4]):
        reason = tried(shelf, version(shelf, "pump", 1, **changes)).reason()
        assert reason is not None
        assert said in reason
        eventually(lambda: "pump" not in shelf.engine.status())
    assert shelf.failure("pump").kind == "no-function"


def test_a_deleted_function_can_be_tried_again_while_its_last_event_runs(shelf: Shelf) -> None:
    shelf.shell("pump", "until [ -e ../go ]; do /bin/busybox usleep 5000; done; echo 1", pool=ONE)
    shelf.start()
    running = shelf.send("pump")
    eventually(lambda: shelf.engine.status()["pump"]["workers"]["busy"] == 1)
    shelf.engine.replace({})
    assert tried(shelf, version(shelf, "pump", 2)).reason() is None
    assert shelf.answer("pump") == 2
    go(shelf)
    assert shelf.outcome(running) == Succeeded(b"1")


def test_an_agent_that_stops_says_so(shelf: Shelf) -> None:
    first(shelf)
    word = tried(shelf, version(shelf, "pump", 2, before=HELD_BACK))
    began(shelf)
    shelf.engine.close()
    assert word.reason() == "the agent is stopping"
    assert tried(shelf, version(shelf, "pump", 3)).reason() == "the agent is stopping"


def test_who_cannot_be_told_stops_nothing(shelf: Shelf) -> None:
    first(shelf)

    def broken(_reason: str | None) -> None:
        raise RuntimeError("a caller's own trouble")

    shelf.engine.rollout(version(shelf, "pump", 2), broken)
    eventually(lambda: shelf.answer("pump") == 2)


def test_a_trial_that_dies_with_its_worker_costs_no_event_an_attempt(shelf: Shelf) -> None:
    first(shelf)
    invocations = [shelf.send("pump") for _ in range(5)]
    assert tried(shelf, version(shelf, "pump", 2, before="exit 1\n")).reason()
    assert {shelf.end(invocation).attempt.number for invocation in invocations} == {1}


def test_the_operators_word_holds_over_the_manifest_and_new_versions_until_it_is_taken_back(shelf: Shelf) -> None:
    pool = PoolSpec(min_idle=1, max_workers=3)
    first(shelf, pool=pool)
    shelf.engine.scale("pump", 3)
    shelf.idle("pump", 3)
    status = shelf.engine.status()["pump"]
    assert (status["override"], status["min_idle"], status["desired"]) == (3, 3, 3)
    shelf.engine.scale("pump", 0)
    eventually(lambda: sum(shelf.engine.status()["pump"]["workers"].values()) == 0)
    assert tried(shelf, version(shelf, "pump", 2, pool=pool)).reason() is None
    assert shelf.engine.status()["pump"]["override"] == 0
    assert shelf.answer("pump") == 2
    eventually(lambda: shelf.engine.status()["pump"]["workers"]["busy"] == 0)
    shelf.engine.scale("pump", None)
    shelf.idle("pump", 1)
    status = shelf.engine.status()["pump"]
    assert (status["override"], status["min_idle"]) == (None, 1)


def test_more_than_there_may_be_is_as_many_as_there_may_be(shelf: Shelf) -> None:
    first(shelf, pool=PoolSpec(min_idle=1, max_workers=2))
    shelf.engine.scale("pump", 50)
    shelf.idle("pump", 2)
    status = shelf.engine.status()["pump"]
    assert (status["override"], status["min_idle"], sum(status["workers"].values())) == (50, 2, 2)


def test_a_function_that_is_not_there_cannot_be_scaled(shelf: Shelf) -> None:
    shelf.start()
    with pytest.raises(NotFound, match="there is no function pump"):
        shelf.engine.scale("pump", 1)


def test_an_event_that_runs_out_of_attempts_is_not_lost_to_a_new_version(shelf: Shelf) -> None:
    """Its retries go on with the version that serves by then."""
    first(shelf, retry=RetrySpec(attempts=3))
    shelf.write("pump-1", (shelf.folder / "code" / "pump-1").read_text().replace("echo 1", "kill -9 $$"))
    shelf.engine.replace({"pump": msgspec.structs.replace(shelf.functions["pump"], env={"X": "1"})})
    invocation = shelf.send("pump")
    eventually(lambda: shelf.settled(invocation))
    failed = shelf.settled(invocation)[0].outcome
    assert isinstance(failed, Failed)
    assert tried(shelf, version(shelf, "pump", 2, retry=RetrySpec(attempts=3))).reason() is None
    assert shelf.outcome(invocation) == Succeeded(b"2")
