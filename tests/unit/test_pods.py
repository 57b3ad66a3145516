"""Pods without a cluster: who may ask, what a status means, what a log says, what Kubernetes is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.adapters.cluster_kubernetes.pods.document import Site, fingerprint, plain, pod, token_of
from edge_agent.adapters.cluster_kubernetes.pods.judge import view
from edge_agent.adapters.cluster_kubernetes.pods.marks import Marks
from edge_agent.adapters.cluster_kubernetes.pods.names import Names
from edge_agent.adapters.cluster_kubernetes.pods.words import parse
from edge_agent.domain.function import FunctionSpec

SITE = Site("edge-functions", "home", "10.42.0.1", 8090)
SPEC = FunctionSpec("echo", image="edge.test/echo:1", args=("main",))


def host(token: str) -> bytes:
    return f"{token}.worker.edge.internal:8090".encode()


def test_a_token_is_good_from_the_address_its_pod_is_said_to_have_alone():
    names = Names()
    token = names.issue("w1")
    assert names.settle(token, ("10.42.0.7",)) == ""
    assert names.who("10.42.0.7", host(token)) == "w1"
    assert names.who("10.42.0.8", host(token)) is None
    assert names.who("10.42.0.7", host("0" * 32)) is None
    assert names.who("10.42.0.7", token.encode() + b".elsewhere:8090") is None


def test_before_that_is_known_the_first_to_use_it_has_it_and_a_lie_is_found_out():
    names = Names()
    token = names.issue("w1")
    assert names.who("10.42.0.7", host(token)) == "w1"
    assert names.who("10.42.0.8", host(token)) is None
    assert names.settle(token, ("10.42.0.9",)) == "10.42.0.7"


def test_the_pod_of_one_worker_cannot_use_the_name_of_another():
    names = Names()
    mine, other = names.issue("w1"), names.issue("w2")
    names.settle(mine, ("10.42.0.7",))
    assert names.who("10.42.0.7", host(other)) is None


def test_a_token_ends_with_its_worker_and_its_address_is_free_for_the_next():
    names = Names()
    first, second = names.issue("w1"), names.issue("w2")
    names.settle(first, ("10.42.0.7",))
    names.revoke(first)
    assert names.who("10.42.0.7", host(first)) is None
    assert names.who("10.42.0.7", host(second)) == "w2"


def status(**more: Any) -> dict[str, Any]:
    return {"metadata": {"name": "p"}, "spec": {"nodeName": "n1"}, "status": more}


def container(**state: Any) -> dict[str, Any]:
    return status(containerStatuses=[{"state": state, "restartCount": 0}])


def test_a_status_is_read_in_kubernetes_own_words():
    waiting = container(waiting={"reason": "ErrImagePull", "message": "no such host"})
    assert view(waiting).end == (
        "could not start on n1: Kubernetes says: ErrImagePull: no such host",
        "image-pull-failed",
    )
    assert view(container(terminated={"exitCode": 3, "reason": "Error"})).end == ("exited with code 3", "worker-lost")
    assert view(container(terminated={"exitCode": 137, "reason": "Error"})).end == (
        "was killed by SIGKILL",
        "worker-lost",
    )
    memory = view(container(terminated={"exitCode": 137, "reason": "OOMKilled"}), SPEC).end
    assert memory == ("used more than the 64 MiB its manifest allows (memory)", "out-of-memory")
    evicted = status(phase="Failed", reason="Evicted", message="The node was low on resource: memory.")
    assert view(evicted).end == (
        "was evicted: Kubernetes says: Evicted: The node was low on resource: memory.",
        "worker-lost",
    )
    assert view(container(running={})).end is None


def test_a_container_that_was_started_again_ends_its_worker_unless_that_was_in_an_earlier_life():
    again = status(containerStatuses=[
        {"state": {"running": {}}, "lastState": {"terminated": {"exitCode": 1}}, "restartCount": 2}
    ])  # fmt: skip
    assert view(again, restarts=1).end == ("exited with code 1", "worker-lost")
    assert view(again, restarts=2).end is None


def test_of_a_log_only_what_is_new_is_taken():
    first = b"2026-11-23T10:00:00.000000001Z one\n2026-11-23T10:00:00.000000002Z two\n"
    text, since = parse(first, b"")
    assert text == b"one\ntwo\n"
    assert parse(first + b"2026-11-23T10:00:00.100000000Z three\n", since)[0] == b"three\n"
    assert parse(first + b"2026-11-23T10:00:0", since, whole=False)[0] == b""


def test_pods_made_alike_have_the_same_fingerprint_and_others_have_not():
    made = pod("echo-1", "t1", SPEC, [], SITE)
    assert made["metadata"]["annotations"]["edge.internal/fingerprint"] == fingerprint(SPEC, [], SITE)
    other = FunctionSpec("echo", image="edge.test/echo:2", args=("main",))
    assert fingerprint(other, [], SITE) != fingerprint(SPEC, [], SITE)
    assert token_of(made) == "t1"


def expanded(text: str) -> str:
    """`k8s.io/kubernetes/third_party/forked/golang/expansion`, for a text without variables that are known."""
    out, at = "", 0
    while at < len(text):
        out += text[at]
        at += 2 if text[at] == "$" and text[at + 1 : at + 2] == "$" else 1
    return out


@given(st.text(alphabet="$()aB "))
def test_what_is_written_is_what_arrives(text: str):
    assert expanded(plain(text)) == text


def test_notes_of_an_earlier_life_count_and_where_there_are_none_no_pod_is_fresh(tmp_path: Path):
    first = Marks(tmp_path / "marks")
    first.note("used")
    assert first.has("waiting"), "nobody knows what was before"
    second = Marks(tmp_path / "marks")
    assert second.has("used")
    assert not second.has("waiting")
    second.forget("used")
    assert not second.has("used")
