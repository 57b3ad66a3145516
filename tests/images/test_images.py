"""The images we ship: built for every processor, small, the same each time, nobody's secrets in them, not root."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.images import stand_in
from tests.images.registry import PASSWORD, USER, Registry

pytestmark = pytest.mark.timeout(300)

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "images" / "build"
CONTAINERFILES = sorted(
    path
    for where in ("images/*", "functions/*", "edge_agent/cli/templates/*")
    for path in ROOT.glob(f"{where}/Containerfile")
)
MB = 1_000_000


@pytest.fixture(scope="module")
def shell(registry: Registry, storage: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The shell image as `images/build --push` puts it into the registry: its index."""
    folder = tmp_path_factory.mktemp("auth")
    (folder / "ca.crt").write_bytes(registry.ca.read_bytes())
    auth = folder / "auth.json"
    login = ["login", "--authfile", str(auth), "--cert-dir", str(folder), "-u", USER, "-p", PASSWORD, registry.address]
    subprocess.run(["buildah", *login], check=True, capture_output=True, timeout=60)
    push(registry, storage, auth)
    index: dict[str, Any] = json.loads(registry.skopeo("inspect", "--raw", "edge/shell:1"))
    return index


def push(registry: Registry, storage: Path, auth: Path) -> None:
    configuration = storage / "storage.conf"
    configuration.write_text(f'[storage]\ndriver = "vfs"\ngraphroot = "{storage}/layers"\nrunroot = "{storage}/run"\n')
    words = ["--push", "--registry", registry.address, "--base", "localhost/stand-in:1", "--authfile", str(auth)]
    done = subprocess.run(
        [BUILD, *words, "--cert-dir", str(auth.parent), "shell"], check=False, capture_output=True, text=True,
        timeout=300, env={**stand_in.environment(), "CONTAINERS_STORAGE_CONF": str(configuration)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def configured(registry: Registry, digest: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(registry.skopeo("inspect", "--config", f"edge/shell@{digest}"))
    return found


def test_one_name_holds_an_image_for_each_processor(shell: dict[str, Any]) -> None:
    found = {(one["platform"]["architecture"], one["platform"].get("variant", "")) for one in shell["manifests"]}
    assert {name for name, _ in found} == {"arm64", "amd64", "arm"}
    assert ("arm", "v7") in found


def test_it_is_not_root_says_what_it_is_and_waits_for_the_agent(registry: Registry, shell: dict[str, Any]) -> None:
    for one in shell["manifests"]:
        config = configured(registry, one["digest"])["config"]
        assert config["User"] == "65532:65532"
        assert config["Entrypoint"] == ["/usr/local/bin/edge-entry"]
        assert config["Labels"]["org.opencontainers.image.title"] == "edge function base: shell"


def test_the_shell_image_has_less_than_ten_megabytes(registry: Registry, shell: dict[str, Any]) -> None:
    """Of the stand-in, as it is transferred; with Alpine under it, it was not measured here."""
    for one in shell["manifests"]:
        manifest = json.loads(registry.skopeo("inspect", "--raw", f"edge/shell@{one['digest']}"))
        sizes = [layer["size"] for layer in manifest["layers"]]
        assert sum(sizes) < 10 * MB
        assert sizes[-1] < 10_000, "what we add to the base"


def test_the_same_input_makes_the_same_image(
    registry: Registry, storage: Path, shell: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "ca.crt").write_bytes(registry.ca.read_bytes())
    auth = tmp_path / "auth.json"
    login = [
        "login",
        "--authfile",
        str(auth),
        "--cert-dir",
        str(tmp_path),
        "-u",
        USER,
        "-p",
        PASSWORD,
        registry.address,
    ]
    subprocess.run(["buildah", *login], check=True, capture_output=True, timeout=60)
    push(registry, storage, auth)
    again = json.loads(registry.skopeo("inspect", "--raw", "edge/shell:1"))
    assert [one["digest"] for one in again["manifests"]] == [one["digest"] for one in shell["manifests"]]


@pytest.mark.parametrize("file", CONTAINERFILES, ids=lambda path: path.parent.name)
def test_hadolint_finds_nothing(file: Path) -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "hadolint", file], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout


def test_build_says_how_to_use_it() -> None:
    done = subprocess.run([BUILD, "--help"], capture_output=True, text=True, check=True, timeout=10)
    assert "--platform" in done.stdout
