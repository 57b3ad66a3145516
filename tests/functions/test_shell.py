"""A function in ten lines of busybox shell."""

from __future__ import annotations

from edge_agent.domain.function import PoolSpec, RetrySpec
from edge_agent.domain.invocation import Succeeded
from tests.functions.shelf import Shelf
from tests.waiting import eventually


def test_a_shell_function_answers(shelf: Shelf) -> None:
    shelf.shell("hello", """echo '{"hello":true}'""")
    shelf.start()
    assert shelf.answer("hello") == {"hello": True}


def test_it_gets_the_event_as_it_was_sent(shelf: Shelf) -> None:
    shelf.shell("echo", """printf %s "$1" """)
    shelf.start()
    event = '{"id":"1","text":"grüß dich \'$HOME\' `x` \\" 🌡 {}"}'.encode()
    outcome = shelf.outcome(shelf.send("echo", event=event))
    assert isinstance(outcome, Succeeded)
    assert outcome.response == event


def test_a_fresh_process_is_waiting_for_each_event(shelf: Shelf) -> None:
    shelf.shell("pid", "echo $$", pool=PoolSpec(min_idle=1, max_workers=4))
    shelf.start()
    answers = []
    for _ in range(10):
        shelf.idle("pid")
        answers.append(shelf.answer("pid"))
    assert len(set(answers)) == 10
    assert shelf.engine.stats.cold_starts["pid"] == 0


def test_more_events_than_workers_queue_in_order(shelf: Shelf) -> None:
    shelf.shell("slow", "/bin/busybox usleep 20000; echo 1", pool=PoolSpec(max_workers=2))
    shelf.start()
    invocations = [shelf.send("slow") for _ in range(12)]
    for invocation in invocations:
        shelf.end(invocation)
    handed = [shelf.end(invocation).attempt.handed_over for invocation in invocations]
    assert handed == sorted(handed)
    assert shelf.engine.stats.invocations["slow", "succeeded"] == 12


def test_a_script_that_ends_without_an_answer_is_tried_again(shelf: Shelf) -> None:
    text = 'if /bin/busybox mkdir ../once 2>/dev/null; then echo "first time" >&2; kill -9 $$; fi; echo 2'
    shelf.shell("stumble", text, retry=RetrySpec(attempts=2))
    shelf.start()
    invocation = shelf.send("stumble")
    assert shelf.outcome(invocation) == Succeeded(b"2")
    lost = shelf.settled(invocation)[0]
    assert lost.outcome is not None
    assert (lost.state, lost.outcome.kind) == ("waiting", "worker-lost")  # type: ignore[union-attr]
    assert "was killed by SIGKILL before it answered" in lost.outcome.reason  # type: ignore[union-attr]
    assert "first time" in lost.outcome.log  # type: ignore[union-attr]


def test_scaled_to_zero_again_when_nothing_comes(shelf: Shelf) -> None:
    shelf.shell("rare", "echo 1", isolation="shared", pool=PoolSpec(idle_timeout=0.3))
    shelf.write("rare", (shelf.folder / "code" / "rare").read_text().replace("exec /bin", "/bin") + "exec $0\n")
    shelf.start()
    assert shelf.answer("rare") == 1
    eventually(lambda: sum(shelf.engine.status()["rare"]["workers"].values()) == 0)
