"""A folder becomes an image in the registry, named by its digest; what goes wrong says what to do; what nobody uses goes."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edge_agent.adapters.images_buildah import Access, Images, Recipe
from edge_agent.errors import Invalid, Refused, Unavailable
from tests.images import stand_in
from tests.images.registry import PASSWORD, USER, Registry

pytestmark = pytest.mark.timeout(300)

HERE = Path(__file__).parents[2] / "images" / "registry"


def images(
    registry: Registry, storage: Path, *, password: str = PASSWORD, ca: Path | None = None
) -> tuple[Images, list[str]]:
    said: list[str] = []
    access = Access(registry.address, USER, password, ca or registry.ca)
    return Images(access, said.append, storage=stand_in.storage(storage)), said


def folder(tmp_path: Path, text: str = "one", *, base: str = "localhost/stand-in:1") -> Path:
    made = tmp_path / "pump"
    made.mkdir(exist_ok=True)
    (made / "text").write_text(text)
    (made / "Containerfile").write_text(f"FROM {base}\nCOPY --chmod=0644 text ./\n")
    return made


def test_the_name_holds_the_digest_of_what_was_built(registry: Registry, storage: Path, tmp_path: Path) -> None:
    maker, said = images(registry, storage)
    name = maker.publish(Recipe(folder(tmp_path), "pump", "1"))
    assert re.fullmatch(rf"{re.escape(registry.address)}/pump@sha256:[0-9a-f]{{64}}", name)
    assert json.loads(registry.skopeo("inspect", "--raw", name.partition("/")[2]))["manifests"]
    assert any("COPY" in line for line in said), "progress is shown"
    assert maker.publish(Recipe(folder(tmp_path), "pump", "2")) == name, "the same folder, another digest"
    assert maker.publish(Recipe(folder(tmp_path, "two"), "pump", "3")) != name


def test_no_password_and_nothing_of_the_folder_but_what_is_copied_is_in_a_layer(
    registry: Registry, storage: Path, tmp_path: Path
) -> None:
    made = folder(tmp_path)
    (made / ".env").write_text("TOKEN=swordfish")
    name = images(registry, storage)[0].publish(Recipe(made, "quiet", "1"))
    copied = tmp_path / "copied"
    copy = ["copy", "--src-cert-dir", str(registry.folder / "certs"), "--src-creds", f"{USER}:{PASSWORD}"]
    registry.skopeo("inspect", name.partition("/")[2])
    subprocess.run(["skopeo", *copy, f"docker://{name}", f"dir:{copied}"], check=True, capture_output=True, timeout=60)
    for path in copied.iterdir():
        plain = subprocess.run(["zcat", "-f", path], capture_output=True, check=True, timeout=60).stdout
        assert b"swordfish" not in plain
        assert PASSWORD.encode() not in plain


def test_the_password_is_not_among_the_words_of_a_command(registry: Registry) -> None:
    with Access(registry.address, USER, PASSWORD, registry.ca).options() as options:
        assert PASSWORD not in " ".join(options)
        auth = Path(options[options.index("--authfile") + 1])
        assert auth.parent.stat().st_mode & 0o077 == 0
    assert not auth.exists()


def test_a_folder_without_a_containerfile_says_so(registry: Registry, storage: Path, tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="edgectl functions new writes one"):
        images(registry, storage)[0].publish(Recipe(tmp_path, "pump", "1"))


def test_a_wrong_password_points_to_the_configuration(registry: Registry, storage: Path, tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"see \[registry\] in the configuration"):
        images(registry, storage, password="wrong")[0].publish(Recipe(folder(tmp_path), "pump", "1"))


def test_a_certificate_of_another_ca_points_to_the_setting(registry: Registry, storage: Path, tmp_path: Path) -> None:
    other = Registry(tmp_path / "other")
    with pytest.raises(Refused, match=r"registry\.tls_ca"):
        images(registry, storage, ca=other.ca)[0].publish(Recipe(folder(tmp_path), "pump", "1"))


def test_a_base_that_is_not_there_points_to_the_build_of_the_bases(
    registry: Registry, storage: Path, tmp_path: Path
) -> None:
    made = folder(tmp_path, base=f"{registry.address}/edge/none:1")
    with pytest.raises(Refused, match="images/build --push"):
        images(registry, storage)[0].publish(Recipe(made, "pump", "1"))


def test_a_registry_that_is_away_is_worth_another_try(storage: Path, tmp_path: Path) -> None:
    away = Registry(tmp_path / "away")
    with pytest.raises(Unavailable, match="nobody answers there"):
        images(away, storage)[0].publish(Recipe(folder(tmp_path), "pump", "1"))


# -- what nobody uses goes


def forget(registry: Registry, used: str, *options: str) -> subprocess.CompletedProcess[str]:
    words = [
        "--registry",
        registry.address,
        "--ca",
        str(registry.ca),
        "--password-file",
        str(registry.folder / "password"),
    ]
    return subprocess.run(
        [sys.executable, HERE / "forget.py", *words, *options],
        input=used, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


@pytest.fixture
def own(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "own")


def test_forgetting_spares_what_functions_use_and_the_newest_and_frees_the_rest(
    own: Registry, storage: Path, tmp_path: Path
) -> None:
    own.start()
    try:
        maker, _ = images(own, storage)
        names = []
        for number in range(5):
            text = os.urandom(100_000).hex()
            names.append(
                maker.publish(
                    Recipe(folder(tmp_path, text), "pump", f"2026010{number}", ("linux/amd64", "linux/arm64"))
                )
            )
        used = json.dumps({"items": [{"spec": {"image": names[1]}}]})

        assert forget(own, "", "--keep", "2").returncode == 2, "no word of what is used is no leave to delete"
        tried = forget(own, used, "--keep", "2", "--dry-run")
        assert tried.stdout.count("would forget") == 2 * 3, tried.stderr
        assert len(json.loads(own.ask("GET", "pump/tags/list"))["tags"]) == 5, "a dry run changed something"
        done = forget(own, used, "--keep", "2")
        assert done.returncode == 0, done.stderr

        before = own.size()
        restart = tmp_path / "restart"
        restart.write_text(f'#!/bin/sh\necho "$1" >>{tmp_path}/restarts\n')
        restart.chmod(0o755)
        own.stop()
        own.start(read_only=True)
        with pytest.raises(Unavailable, match="read-only"):
            maker.publish(Recipe(folder(tmp_path, "while collecting"), "pump", "20260109"))
        variables = {**os.environ, "EDGE_REGISTRY_RESTART": str(restart)}
        subprocess.run([HERE / "collect", own.config], env=variables, check=True, capture_output=True, timeout=60)
        own.stop()
        own.start()
        assert (tmp_path / "restarts").read_text().split() == ["read-only", "normal"]
        assert own.size() < before - 150_000
        for name, there in zip(names, (False, True, False, True, True), strict=True):
            digest = name.partition("@")[2]
            if there:
                own.skopeo("inspect", f"pump@{digest}")
            else:
                with pytest.raises(OSError, match="404"):
                    own.ask("GET", f"pump/manifests/{digest}")
    finally:
        own.stop()
        shutil.rmtree(own.folder, ignore_errors=True)
