"""Secrets and network policies come with a function's first pod, change with it, and go with the function."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from edge_agent.adapters.cluster_kubernetes.pods import runner
from edge_agent.domain.function import PoolSpec
from tests.kubernetes.ground import NAMESPACE, Ground, Pods, serving
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(300)

POLICIES = f"/apis/networking.k8s.io/v1/namespaces/{NAMESPACE}/networkpolicies"
SECRETS = f"/api/v1/namespaces/{NAMESPACE}/secrets"


def names(ground: Ground, path: str) -> set[str]:
    return {item["metadata"]["name"] for item in ground.cluster.control.get(path)["items"]}


def policy(ground: Ground) -> Any:
    return ground.cluster.control.get(f"{POLICIES}/edge-egress-mailer")["spec"]["egress"]


def test_secrets_are_where_local_workers_find_them_change_without_a_restart_and_go_with_the_function(
    pods: Pods, ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "TIDY", 1.0)
    smtp = pods.folder / "secrets" / "smtp"
    smtp.mkdir()
    (smtp / "password").write_text("first")
    (pods.folder / "secrets" / "token").write_text("one file")
    work = 'AWS_LAMBDA_LOG_STREAM_NAME="$(cat $EDGE_SECRETS/smtp/password), $(cat $EDGE_SECRETS/token)"'
    pods.add(serving("mailer", work, isolation="shared", secrets=("smtp", "token"), pool=PoolSpec(min_idle=1)))
    pods.start()
    assert pods.answer("mailer") == "first, one file"
    before = [pod["metadata"]["uid"] for pod in pods.pods("mailer")]
    (smtp / "password").write_text("second")
    eventually(lambda: pods.answer("mailer") == "second, one file", timeout=120, every=1.0)
    assert [pod["metadata"]["uid"] for pod in pods.pods("mailer")] == before
    pods.functions.clear()
    pods.engine.replace({})
    ground.cleared()
    eventually(lambda: not {"edge-smtp", "edge-token"} & names(ground, SECRETS))


def test_declared_egress_is_a_policy_of_the_functions_own(pods: Pods, ground: Ground) -> None:
    """What the API server holds; this cluster enforces none."""
    pods.add(serving("mailer", egress=("10.0.0.2:25", "10.1.0.0/16", "[fd00::1]:53"), pool=PoolSpec(min_idle=1)))
    pods.start()
    pods.idle("mailer")
    assert policy(ground) == [
        {"to": [{"ipBlock": {"cidr": "10.0.0.2/32"}}],
         "ports": [{"port": 25, "protocol": "TCP"}, {"port": 25, "protocol": "UDP"}]},
        {"to": [{"ipBlock": {"cidr": "10.1.0.0/16"}}]},
        {"to": [{"ipBlock": {"cidr": "fd00::1/128"}}],
         "ports": [{"port": 53, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]},
    ]  # fmt: skip
    pods.add(serving("mailer", egress=("10.0.0.3:25",), pool=PoolSpec(min_idle=1)))
    eventually(lambda: policy(ground)[0]["to"] == [{"ipBlock": {"cidr": "10.0.0.3/32"}}])
    assert len(policy(ground)) == 1
    pods.add(serving("mailer", pool=PoolSpec(min_idle=1)))
    pods.idle("mailer")
    eventually(lambda: all("10.0.0.3" not in str(pod) for pod in ground.pods))
    eventually(lambda: "edge-egress-mailer" not in names(ground, POLICIES))


def test_words_with_dollars_reach_the_function_as_they_were_written(pods: Pods) -> None:
    """Kubernetes fills in `$(NAME)` and shortens `$$` in arguments and variables."""
    odd = serving("odd", 'AWS_LAMBDA_LOG_STREAM_NAME="$(echo $((6 * 7))) $PRICE"')
    pods.add(msgspec.structs.replace(odd, env={"PRICE": "$$5 $(HOME)"}))
    pods.start()
    assert pods.answer("odd") == "42 $$5 $(HOME)"
