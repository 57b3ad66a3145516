"""Functions of the cluster that run in it: what is wrong with their pods is what `kubectl get efn` says."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.broker import free_port
from tests.kubernetes_manifests.conftest import House, at_home
from tests.kubernetes_manifests.objects import IMAGE, Objects, item, rule
from tests.waiting import eventually

NOWHERE = "edge.test/nowhere:1"
SERVE = r"""
next=http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/next
while said=$(/bin/busybox wget -qS -O - $next 2>&1); do
    id=${said#*Request-Id: }; id=${id%%[!0-9a-f-]*}
    /bin/busybox wget -q -O /dev/null --post-data '{}' ${next%next}$id/response
done
"""


@pytest.fixture
def house(objects: Objects) -> Iterator[House]:
    pods = {
        "functions.runner": "kubernetes", "kubernetes.runtime_address": objects.cluster.runtime_address,
        "kubernetes.runtime_port": free_port(),
    }  # fmt: skip
    with at_home(objects, **pods) as house:
        yield house


def served(image: str) -> dict[str, object]:
    spec = {
        "image": image,
        "command": ["/bin/busybox", "sh", "-c", SERVE],
        "isolation": "shared",
        "pool": {"minIdle": 1},
    }
    return item("Function", "tell", spec)


def test_an_image_that_cannot_be_pulled_is_named_and_the_right_one_serves_and_is_not_lost_to_the_next_mistake(
    house, objects
):
    objects.apply(served(NOWHERE), rule("each", every=True, below=None, severity=None, run=["tell"]))
    eventually(lambda: objects.is_condition("Function", "tell", "Ready", "False", "ImagePullFailed"), timeout=90)
    assert NOWHERE in objects.get("Function", "tell")["status"]["lastError"]
    assert "ImagePullFailed" in eventually(lambda: objects.happened("tell"))
    house.board.reading(1, 1.0)
    objects.apply(served(IMAGE))
    eventually(lambda: objects.is_condition("Function", "tell", "Ready", "True", "Serving"), timeout=90)
    eventually(lambda: len(house.agent.get("/invocations", state="answered")["items"]) == 1, timeout=60)
    objects.apply(served(NOWHERE))
    eventually(lambda: objects.is_condition("Function", "tell", "RolledOut", "False", "RolledBack"), timeout=120)
    assert NOWHERE in objects.condition("Function", "tell", "RolledOut")["message"]
    assert objects.condition("Function", "tell", "Ready")["status"] == "True"
    house.board.reading(2, 1.0)
    eventually(lambda: len(house.agent.get("/invocations", state="answered")["items"]) == 2, timeout=60)


def test_a_function_without_an_image_is_refused_where_functions_are_pods(house, objects):
    objects.apply(item("Function", "shell", {"source": "/", "command": ["/bin/true"]}))
    said = eventually(lambda: objects.condition("Function", "shell", "Accepted"))
    assert "functions run as pods here" in said["message"]
