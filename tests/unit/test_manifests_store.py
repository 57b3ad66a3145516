from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from edge_agent.errors import Conflict, Invalid, NotFound
from edge_agent.manifests import API_VERSION, ManifestFolder

PEOPLES = """\
# The tank behind the house.
apiVersion: edge.internal/v1alpha1
kind: Rule
metadata: {name: tank-low}
spec:
  reading: level
  below: 20   # percent
# after the first
---
# the kitchen
apiVersion: edge.internal/v1alpha1
kind: Rule
metadata: {name: kitchen-warm}
spec: {reading: temperature, above: 30}

# the end
"""


def manifest(kind: str, name: str, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}


@pytest.fixture
def folder(tmp_path: Path) -> ManifestFolder:
    (tmp_path / "house.yaml").write_text(PEOPLES)
    return ManifestFolder(tmp_path)


def test_a_new_manifest_gets_a_file_of_its_own_and_is_there_when_the_folder_is_read(folder: ManifestFolder) -> None:
    after, version = folder.put("Rule", "cold", manifest("Rule", "cold", reading="temperature", below=5))
    assert after.rules["cold"].below == 5
    assert folder.load().rules == after.rules
    assert folder.version("Rule", "cold") == version
    assert (folder.path / "cold.rule.yaml").stat().st_mode & 0o777 == 0o600


def test_a_change_touches_its_own_document_only_and_comments_around_it_stay(folder: ManifestFolder) -> None:
    folder.put("Rule", "tank-low", manifest("Rule", "tank-low", reading="level", below=15))
    text = (folder.path / "house.yaml").read_text()
    assert text == (
        "# The tank behind the house.\n"
        "apiVersion: edge.internal/v1alpha1\n"
        "kind: Rule\n"
        "metadata: {name: tank-low}\n"
        "spec: {reading: level, below: 15}\n" + PEOPLES[PEOPLES.index("# after the first") :]
    )
    folder.put("Rule", "kitchen-warm", manifest("Rule", "kitchen-warm", reading="temperature", above=31))
    assert (folder.path / "house.yaml").read_text() == text.replace("above: 30", "above: 31")


def test_a_manifest_that_says_the_same_is_not_written(folder: ManifestFolder) -> None:
    folder.put("Rule", "tank-low", manifest("Rule", "tank-low", reading="level", below=20))
    assert (folder.path / "house.yaml").read_text() == PEOPLES


def test_a_deleted_document_takes_its_own_comments_with_it_and_leaves_the_rest(folder: ManifestFolder) -> None:
    assert folder.delete("Rule", "tank-low").rules.keys() == {"kitchen-warm"}
    assert (folder.path / "house.yaml").read_text() == PEOPLES[PEOPLES.index("# the kitchen") :]
    folder.delete("Rule", "kitchen-warm")
    assert list(folder.path.iterdir()) == []


def test_the_last_document_of_a_file_can_be_deleted(folder: ManifestFolder) -> None:
    folder.delete("Rule", "kitchen-warm")
    assert (folder.path / "house.yaml").read_text() == PEOPLES[: PEOPLES.index("---")]


def test_a_dry_run_judges_and_writes_nothing(folder: ManifestFolder) -> None:
    before = {file: file.read_bytes() for file in folder.path.iterdir()}
    folder.put("Rule", "cold", manifest("Rule", "cold", reading="t", below=5), dry_run=True)
    folder.delete("Rule", "tank-low", dry_run=True)
    assert {file: file.read_bytes() for file in folder.path.iterdir()} == before
    with pytest.raises(Invalid):
        folder.put("Rule", "cold", manifest("Rule", "cold", reading="t"), dry_run=True)


def test_a_change_that_breaks_something_else_is_refused_and_changes_nothing(folder: ManifestFolder) -> None:
    folder.put("Function", "mail", manifest("Function", "mail", image="m"))
    folder.put("Rule", "cold", manifest("Rule", "cold", reading="t", below=5, run=["mail"]))
    with pytest.raises(Conflict, match=r"still used:\n.*there is no function mail"):
        folder.delete("Function", "mail")
    with pytest.raises(Invalid, match="there is no function nobody"):
        folder.put("Rule", "cold", manifest("Rule", "cold", reading="t", below=5, run=["nobody"]))
    assert folder.load().rules["cold"].run == ("mail",)


def test_a_change_by_somebody_else_since_it_was_read_is_a_conflict(folder: ManifestFolder) -> None:
    version = folder.version("Rule", "tank-low")
    text = (folder.path / "house.yaml").read_text()
    (folder.path / "house.yaml").write_text(text.replace("below: 20", "below: 21"))
    new = manifest("Rule", "tank-low", reading="level", below=15)
    with pytest.raises(Conflict, match="read it again"):
        folder.put("Rule", "tank-low", new, if_match=version)
    with pytest.raises(Conflict, match="read it again"):
        folder.delete("Rule", "tank-low", if_match=version)
    folder.put("Rule", "tank-low", new, if_match=folder.version("Rule", "tank-low"))
    with pytest.raises(Conflict, match="does not exist any more"):
        folder.put("Rule", "new", manifest("Rule", "new", reading="x", below=1), if_match="*")


def test_comments_and_layout_do_not_change_a_version(folder: ManifestFolder) -> None:
    before = folder.version("Rule", "tank-low")
    text = (folder.path / "house.yaml").read_text()
    (folder.path / "house.yaml").write_text(text.replace("# percent", "# per cent\n"))
    assert folder.version("Rule", "tank-low") == before


def test_what_is_not_there_is_not_found_with_the_nearest_name(folder: ManifestFolder) -> None:
    with pytest.raises(NotFound, match="did you mean tank-low"):
        folder.delete("Rule", "tank-lo")
    with pytest.raises(NotFound):
        folder.version("Function", "tank-low")


def test_a_manifest_must_be_the_one_its_address_names(folder: ManifestFolder) -> None:
    with pytest.raises(Invalid, match="is Rule other, and Rule cold was to be stored"):
        folder.put("Rule", "cold", manifest("Rule", "other", reading="t", below=5))


def test_a_file_of_a_person_that_has_our_name_is_added_to_never_overwritten(folder: ManifestFolder) -> None:
    (folder.path / "house.yaml").rename(folder.path / "cold.rule.yaml")
    folder.put("Rule", "cold", manifest("Rule", "cold", reading="t", below=5))
    assert folder.load().rules.keys() == {"tank-low", "kitchen-warm", "cold"}
    assert (folder.path / "cold.rule.yaml").read_text().startswith(PEOPLES.rstrip())


@pytest.mark.parametrize("text", ["--- {apiVersion: x}\n", "---\n# only a comment\n", "%YAML 1.2\n---\n"])
def test_odd_beginnings_of_a_file_survive_a_change_beside_them(tmp_path: Path, text: str) -> None:
    folder = ManifestFolder(tmp_path)
    body = "apiVersion: edge.internal/v1alpha1\nkind: Rule\nmetadata: {name: r}\nspec: {reading: x, below: 1}\n"
    (tmp_path / "odd.yaml").write_text(body if text.startswith("--- {") else text + body)
    folder.put("Rule", "r", manifest("Rule", "r", reading="x", below=2))
    assert folder.load().rules["r"].below == 2


def test_a_document_on_the_line_of_its_separator_is_replaced_whole(tmp_path: Path) -> None:
    folder = ManifestFolder(tmp_path)
    one = "{apiVersion: edge.internal/v1alpha1, kind: Rule, metadata: {name: NAME}, spec: {reading: x, below: 1}}"
    (tmp_path / "odd.yaml").write_text(f"--- {one.replace('NAME', 'a')}\n--- {one.replace('NAME', 'b')}\n")
    folder.put("Rule", "a", manifest("Rule", "a", reading="x", below=2))
    assert {name: rule.below for name, rule in folder.load().rules.items()} == {"a": 2, "b": 1}
    folder.delete("Rule", "a")
    assert folder.load().rules.keys() == {"b"}


def test_changes_at_the_same_time_are_all_kept(folder: ManifestFolder) -> None:
    def put(number: int) -> None:
        folder.put("Rule", f"r{number}", manifest("Rule", f"r{number}", reading="x", below=number))

    threads = [threading.Thread(target=put, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert folder.load().rules.keys() == {"tank-low", "kitchen-warm", *(f"r{number}" for number in range(8))}
    assert not list(folder.path.glob(".*"))
