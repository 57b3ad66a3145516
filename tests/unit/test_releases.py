"""Deployed versions on disk: whole copies, named by what they hold, and no more of them than are kept."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from edge_agent.app import releases
from edge_agent.app.releases import KEPT, Release, Releases
from edge_agent.errors import Invalid, NotFound, Unavailable


def manifest(**spec: Any) -> dict[str, Any]:
    return {"kind": "Function", "metadata": {"name": "f"}, "spec": {"source": ".", "command": ["./run"], **spec}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "given"
    (folder / "lib").mkdir(parents=True)
    (folder / "run").write_text("#!/bin/sh\n")
    (folder / "run").chmod(0o755)
    (folder / "lib" / "data.txt").write_text("data")
    (folder / "link").symlink_to("lib/data.txt")
    return folder


@pytest.fixture
def store(tmp_path: Path) -> Releases:
    return Releases(tmp_path / "functions")


def deploy(store: Releases, folder: Path, at: int = 1, **spec: Any) -> Release:
    release = store.copy("f", folder, folder, manifest(**spec), at)
    store.serves("f", release)
    return release


def test_a_copy_has_files_modes_and_links_and_does_not_change_with_the_folder(store: Releases, folder: Path) -> None:
    for skipped in (".git", "__pycache__"):
        (folder / skipped).mkdir()
        (folder / skipped / "x").touch()
    release = deploy(store, folder)
    source = Path(store.manifest(release)["spec"]["source"])
    (folder / "run").write_text("changed")
    assert sorted(path.name for path in source.iterdir()) == ["lib", "link", "run"]
    assert (source / "run").read_text() == "#!/bin/sh\n"
    assert os.access(source / "run", os.X_OK)
    assert (source / "link").read_text() == "data"
    assert release.manifest["spec"]["source"] == ".", "the manifest is kept as it was given"


def test_a_version_is_named_by_what_folder_and_manifest_hold(store: Releases, folder: Path) -> None:
    first = deploy(store, folder)
    assert deploy(store, folder, at=2).version == first.version
    assert len(store.all("f")) == 1
    versions = {first.version, deploy(store, folder, timeout="5s").version}
    (folder / "run").chmod(0o644)
    versions.add(deploy(store, folder).version)
    (folder / "empty").touch()
    versions.add(deploy(store, folder).version)
    (folder / "empty").rename(folder / "other")
    versions.add(deploy(store, folder).version)
    (folder / "link").unlink()
    (folder / "link").symlink_to("run")
    versions.add(deploy(store, folder).version)
    assert len(versions) == 6


def test_only_the_newest_that_served_are_kept(store: Releases, folder: Path, tmp_path: Path) -> None:
    deployed = [deploy(store, folder, at=number, timeout=f"{number}s") for number in range(1, KEPT + 3)]
    assert [release.version for release in store.all("f")] == [release.version for release in deployed[-KEPT:]]
    there = {path.name for path in (tmp_path / "functions" / "f").iterdir() if path.is_dir()}
    assert there == {release.version for release in deployed[-KEPT:]}
    store.serves("f", deployed[-2])
    assert store.all("f")[-1].version == deployed[-2].version, "what is gone back to is the newest that served"
    with pytest.raises(NotFound, match=r"there are: \w{12}, "):
        store.find("f", deployed[0].version)
    assert store.find("f", deployed[-1].version[:6]) == deployed[-1]


def test_one_that_never_served_leaves_nothing(store: Releases, folder: Path, tmp_path: Path) -> None:
    store.copy("f", folder, folder, manifest(), 1)
    store.drop("f", keep=[])
    assert list((tmp_path / "functions" / "f").iterdir()) == []
    deploy(store, folder)
    store.tidy(["other"])
    assert store.all("f") == []


def test_a_link_out_of_the_folder_is_refused(store: Releases, folder: Path) -> None:
    (folder / "passwords").symlink_to("/etc/shadow")
    with pytest.raises(Invalid, match="outside the folder"):
        deploy(store, folder)
    (folder / "passwords").unlink()
    (folder / "up").symlink_to("../..")
    with pytest.raises(Invalid, match="outside the folder"):
        deploy(store, folder)


def test_a_folder_that_is_too_large_is_refused_and_leaves_nothing(
    store: Releases, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(releases, "MOST_BYTES", 5)
    with pytest.raises(Invalid, match="holds more than 5 B"):
        deploy(store, folder)
    monkeypatch.undo()
    monkeypatch.setattr(releases, "MOST_FILES", 2)
    with pytest.raises(Invalid, match="holds more than 2 files"):
        deploy(store, folder)
    assert list((tmp_path / "functions" / "f").iterdir()) == []


def test_what_a_rust_build_leaves_behind_is_not_copied(store: Releases, folder: Path) -> None:
    (folder / "target").mkdir()
    (folder / "target" / "huge").touch()
    first = Path(store.manifest(deploy(store, folder))["spec"]["source"])
    assert (first / "target" / "huge").exists(), "any folder may be called so"
    (folder / "Cargo.toml").touch()
    second = Path(store.manifest(deploy(store, folder))["spec"]["source"])
    assert not (second / "target").exists()


def test_a_record_that_cannot_be_read_is_an_error_that_says_what_to_do(
    store: Releases, folder: Path, tmp_path: Path
) -> None:
    deploy(store, folder)
    (tmp_path / "functions" / "f" / "releases.json").write_text("{")
    with pytest.raises(Unavailable, match="deploy it again from its folder"):
        store.all("f")
