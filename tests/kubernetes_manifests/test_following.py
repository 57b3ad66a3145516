"""What is applied to the cluster holds, what is wrong says so, and nothing else notices."""

from __future__ import annotations

import pytest

from tests.kubernetes_manifests.conftest import at_home
from tests.kubernetes_manifests.objects import item, rule
from tests.waiting import eventually


def test_a_function_and_a_rule_applied_with_kubectl_run_for_a_reading_and_say_how_they_are(house, objects):
    objects.apply(objects.function("tell"), rule("low", run=["tell"]))
    eventually(lambda: objects.is_condition("Function", "tell", "Ready", "True", "Serving"))
    eventually(lambda: objects.is_condition("Rule", "low", "Accepted", "True"))
    house.board.reading(1, 12.5)
    eventually(lambda: [event["data"]["value"] for _, event in objects.diary("tell")] == [12.5])
    eventually(lambda: objects.get("Rule", "low")["status"]["firing"] == 1)
    assert objects.get("Rule", "low")["status"]["lastFired"]
    eventually(lambda: objects.printed("efn", "tell")["READY"] == "True")
    eventually(lambda: objects.get("Function", "tell")["status"]["workers"] == {"starting": 0, "idle": 1, "busy": 0})
    columns = objects.printed("efn", "tell")
    assert (columns["IDLE"], columns["BUSY"], columns["QUEUED"]) == ("1", "0", "0")
    eventually(lambda: "Accepted" in objects.happened("tell"))


def test_what_no_schema_can_judge_ends_in_a_condition_with_every_fault_and_what_to_do(house, objects):
    bad = objects.function(
        "bad", "1", {"cron": "61 * * * *"}, {"topic": "a/#/b"}, {"cron": "0 7 * * *", "timeZone": "Mars/Base"}
    )
    objects.apply(objects.function("good"), bad, rule("lost", run=["nowhere"]))
    eventually(lambda: objects.is_condition("Function", "good", "Accepted", "True"))
    said = eventually(lambda: objects.condition("Function", "bad", "Accepted"))
    assert (said["status"], said["reason"]) == ("False", "Invalid")
    for words in ("spec.triggers[0].cron", "spec.triggers[1].topic", "spec.triggers[2].timeZone", "minute hour day"):
        assert words in said["message"]
    lost = eventually(lambda: objects.condition("Rule", "lost", "Accepted"))
    assert lost["reason"] == "ReferenceInvalid"
    assert "spec.run[0]: there is no function nowhere" in lost["message"]
    assert objects.condition("Function", "bad", "Ready")["status"] == "False"
    eventually(lambda: "Rejected" in objects.happened("bad"))
    assert [alarm["name"] for alarm in house.agent.get("/status")["alarms"]] == ["cluster-manifests"]
    objects.apply(objects.function("nowhere"))
    eventually(lambda: objects.is_condition("Rule", "lost", "Accepted", "True"))


def test_functions_that_feed_each_other_in_a_circle_are_refused_and_the_one_that_served_goes_on(house, objects):
    objects.apply(objects.function("first"), objects.function("second", "1", {"resultOf": "first"}))
    eventually(lambda: objects.is_condition("Function", "second", "Accepted", "True"))
    objects.apply(objects.function("first", "1", {"resultOf": "second"}))
    said = eventually(lambda: objects.condition("Function", "first", "Accepted"))
    assert said["reason"] == "ReferenceInvalid"
    assert "feeds itself" in said["message"]
    assert "generation 1 goes on" in said["message"]
    status = objects.get("Function", "first")["status"]
    assert (status["observedGeneration"], status["servingGeneration"]) == (2, 1)
    assert objects.condition("Function", "second", "Accepted")["status"] == "True"


def test_a_version_with_faults_leaves_the_one_that_served_and_the_mended_one_takes_over(house, objects):
    objects.apply(objects.function("tell", "1"), rule("low", run=["tell"], every=True, below=None))
    eventually(lambda: objects.is_condition("Rule", "low", "Accepted", "True"))
    eventually(lambda: objects.is_condition("Function", "tell", "Ready", "True"))
    objects.apply(objects.function("tell", "2", {"cron": "99 * * * *"}))
    eventually(lambda: objects.is_condition("Function", "tell", "Accepted", "False", "Invalid"))
    house.board.reading(1, 1.0)
    eventually(lambda: [version for version, _ in objects.diary("tell")] == ["1"])
    objects.apply(objects.function("tell", "3", {"cron": "9 * * * *"}))
    eventually(lambda: objects.is_condition("Function", "tell", "RolledOut", "True"))
    house.board.reading(2, 1.0)
    eventually(lambda: [version for version, _ in objects.diary("tell")] == ["1", "3"])


def test_a_version_that_cannot_start_is_rolled_back_and_quoted_and_a_good_one_takes_over(house, objects):
    objects.apply(objects.function("tell", "1"), rule("low", run=["tell"], every=True, below=None))
    eventually(lambda: objects.is_condition("Function", "tell", "Ready", "True"))
    objects.apply(objects.function("tell", "2", command=["/bin/busybox", "sh", "-c", "echo no such pump; exit 3"]))
    eventually(lambda: objects.is_condition("Function", "tell", "RolledOut", "False", "RolledBack"))
    said = objects.condition("Function", "tell", "RolledOut")["message"]
    assert "no such pump" in said
    assert "generation 1 goes on" in said
    assert objects.condition("Function", "tell", "Ready")["status"] == "True"
    eventually(lambda: "RolledBack" in objects.happened("tell"))
    house.board.reading(1, 1.0)
    eventually(lambda: [version for version, _ in objects.diary("tell")] == ["1"])
    objects.apply(objects.function("tell", "3"))
    eventually(lambda: objects.is_condition("Function", "tell", "RolledOut", "True", "Serving"))
    eventually(lambda: "RolledOut" in objects.happened("tell"))


def test_a_missing_secret_keeps_a_function_from_being_ready_and_says_where_it_belongs(house, objects):
    objects.apply(objects.function("tell", secrets=["smtp"]))
    eventually(lambda: objects.is_condition("Function", "tell", "Ready", "False"))
    assert "the secret smtp is missing" in eventually(
        lambda: objects.condition("Function", "tell", "Degraded")["message"]
    )
    assert "secret smtp" in objects.printed("efn", "tell")["LAST ERROR"]


def test_the_file_holds_where_file_and_cluster_name_the_same_and_the_cluster_takes_over_when_it_is_gone(objects):
    held = "apiVersion: edge.internal/v1alpha1\nkind: Rule\nmetadata: {name: low}\nspec: {reading: level, below: 5}\n"
    with at_home(objects, held) as house:
        objects.apply(rule("low", below=20))
        said = eventually(lambda: objects.condition("Rule", "low", "Accepted"))
        assert (said["status"], said["reason"]) == ("False", "DeclaredInFile")
        assert "test.yaml" in said["message"]
        assert house.agent.get("/rules/low")["manifest"]["spec"]["below"] == 5
        house.agent.declare("")
        house.agent.reload()
        eventually(lambda: objects.is_condition("Rule", "low", "Accepted", "True"))
        found = house.agent.get("/rules/low")
        assert (found["manifest"]["spec"]["below"], found["origin"]) == (20, "cluster")


def test_edgectl_shows_what_lives_in_the_cluster_and_names_kubectl_to_change_it(house, objects):
    objects.apply(objects.function("tell"), rule("low"))
    eventually(lambda: len(house.agent.get("/rules")["items"]) == 1)
    eventually(lambda: len(house.agent.get("/functions")["items"]) == 1)
    assert "cluster" in house.agent.run("get", "rules").stdout
    assert "cluster" in house.agent.run("get", "functions").stdout
    told = house.agent.run("delete", "rule", "low", "--yes")
    assert told.returncode == 2
    assert "kubectl -n edge-functions" in told.stderr
    (objects.folder / "low.yaml").write_text(
        "apiVersion: edge.internal/v1alpha1\nkind: Rule\nmetadata: {name: low}\nspec: {reading: level, below: 5}\n"
    )
    told = house.agent.run("apply", "-f", str(objects.folder / "low.yaml"))
    assert told.returncode == 2
    assert "lives in the cluster" in told.stderr


@pytest.mark.parametrize("spec", [{"source": "/", "command": ["/bin/true"]}])
def test_a_command_for_the_gateway_is_not_taken_from_a_cluster(objects, spec):
    with at_home(objects, **{"functions.by_api": False}):
        objects.apply(item("Function", "shell", spec))
        said = eventually(lambda: objects.condition("Function", "shell", "Accepted"))
        assert said["status"] == "False"
        assert "runs a command on the gateway" in said["message"]


def test_the_rights_of_the_agent_s_account_are_enough_and_it_asks_for_nothing_else(house, objects):
    objects.apply(objects.function("tell"), rule("low", run=["tell"]))
    eventually(lambda: objects.is_condition("Function", "tell", "Ready", "True"))
    eventually(lambda: "Accepted" in objects.happened("low"))
    entries = objects.cluster.audit(user="system:serviceaccount:edge-system:edge-agent")
    assert [entry for entry in entries if entry.code in (401, 403)] == []
    used = {(entry.verb, entry.resource, entry.subresource) for entry in entries}
    assert used <= {
        ("list", "functions", ""), ("watch", "functions", ""), ("patch", "functions", "status"),
        ("list", "rules", ""), ("watch", "rules", ""), ("patch", "rules", "status"),
        ("create", "events", ""), ("patch", "events", ""),
    }  # fmt: skip
