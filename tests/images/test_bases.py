"""Our base images as `images/build` makes them, small enough, and in each a handler that nobody changed, as a pod.

Under them is a stand-in for Alpine (stand_in.py), and in place of Alpine's packages this machine's own Python and Node.js
(packages.py). So the sizes are those of this machine; that `images/build` refuses what is too large holds for Alpine alike.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.agent import EDGECTL
from tests.images.shelf import BUILD, Shelf

pytestmark = pytest.mark.timeout(600)

MANIFEST = """
apiVersion: edge.internal/v1alpha1
kind: Function
metadata: {name: from-lambda}
spec:
  source: .
  command: [python3, -m, awslambdaric]
  args: [handler.handler]
  isolation: shared
  memory: 64Mi
"""
CONTAINERFILE = """ARG REGISTRY=registry.edge.internal:5000
FROM ${REGISTRY}/edge/python:1
COPY --chmod=0644 handler.py ./
CMD ["python3", "-m", "awslambdaric", "handler.handler"]
"""
HANDLER = """import os, sys

def handler(event, context):
    written = os.access("/", os.W_OK)
    return {"id": context.aws_request_id, "said": event["data"], "user": os.getuid(), "ours": "bootstrap" in sys.modules,
            "written": written}
"""


def unpacked(shelf: Shelf, image: str) -> float:
    """MB on a node's disk, counted file by file."""
    container = buildah(shelf, "from", "--pull-never", f"{shelf.registry.address}/edge/{image}:1")
    try:
        root = buildah(shelf, "mount", container)
        sizes = [(Path(at) / name).lstat().st_size for at, _, names in os.walk(root) for name in names]
        return sum(sizes) / 1e6
    finally:
        buildah(shelf, "rm", container)


def buildah(shelf: Shelf, *words: str) -> str:
    line = ["buildah", *words]
    return subprocess.run(
        line, env=shelf.environment, capture_output=True, text=True, check=True, timeout=120
    ).stdout.strip()


@pytest.mark.parametrize("language", ["python", "node"])
def test_what_functions_new_writes_answers_in_a_pod(bases: Shelf, language: str, tmp_path: Path) -> None:
    name = f"hello-{language}"
    made = [EDGECTL, "functions", "new", name, "--language", language]
    subprocess.run(made, cwd=tmp_path, check=True, capture_output=True, timeout=60)
    bases.deployed(str(tmp_path / name))
    event = json.loads((tmp_path / name / "event.json").read_text())
    assert bases.call(name, event["data"]) == {"message": "tank-1 says 18.2"}


def test_a_handler_of_lambda_runs_unmodified_in_a_pod_by_awss_own_client(bases: Shelf, tmp_path: Path) -> None:
    for name, text in {"function.yaml": MANIFEST, "Containerfile": CONTAINERFILE, "handler.py": HANDLER}.items():
        (tmp_path / name).write_text(text)
    bases.deployed(str(tmp_path))
    answer = bases.call("from-lambda", {"level": 18.2})
    assert len(answer.pop("id")) == 36
    assert answer == {"said": {"level": 18.2}, "user": 65532, "ours": False, "written": False}


@pytest.mark.parametrize(("image", "largest"), [("shell", 10), ("python", 70)])
def test_the_image_is_as_small_as_it_should_be(bases: Shelf, image: str, largest: int) -> None:
    size = unpacked(bases, image)
    print(f"{image}: {size:.1f} MB unpacked, on the stand-in")
    assert size < largest
    assert unpacked(bases, "shell") <= size


def test_an_image_that_is_too_large_is_refused_and_not_pushed(shelf: Shelf, tmp_path: Path) -> None:
    context = tmp_path / "images"
    shutil.copytree(BUILD.parent, context)
    with (context / "big").open("wb") as big:
        big.truncate(9_000_000)
    with (context / "shell" / "Containerfile").open("a") as file:
        file.write("COPY big /big\n")
    words = ["--push", "--platform", "linux/amd64", "--context", str(context), "--version", "big"]
    refused = shelf.try_build(*words, "shell")
    assert refused.returncode == 1
    assert "edge/shell:big for linux/amd64 is 11.1 MB; less than 10 MB is wanted" in refused.stderr
    assert '"big"' not in shelf.registry.ask("GET", "edge/shell/tags/list").decode()
    assert shelf.try_build("--any-size", *words, "shell").returncode == 0
    assert '"big"' in shelf.registry.ask("GET", "edge/shell/tags/list").decode()
