"""`edgectl functions deploy` on a real cluster: from a folder to pods, by a registry with TLS and password, under load."""

from __future__ import annotations

import json
import threading

import httpx
import pytest

from tests.images.shelf import Shelf
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(600)


class Flow:
    """Events one after the other on two threads, until the end; who answered each, and what went wrong."""

    def __init__(self, shelf: Shelf) -> None:
        self.answers: list[str] = []
        self.errors: list[str] = []
        self._shelf = shelf
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(2)]

    def _run(self) -> None:
        while not self._over.wait(0.05):
            try:
                self.answers.append(self._shelf.call()["version"])
            except (AssertionError, httpx.HTTPError, ValueError) as error:
                self.errors.append(repr(error))

    def __enter__(self) -> Flow:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()


def test_a_folder_becomes_pods_and_versions_take_over_without_losing_an_event(shelf: Shelf) -> None:
    first = shelf.deploy(str(shelf.write("1")))
    assert first.returncode == 0, first.stdout + first.stderr
    answer = shelf.call()
    assert answer["version"] == "1"
    assert "65532" in answer["root"], "runs as root"
    assert "Read-only" in answer["root"], "its root can be written"

    with Flow(shelf) as flow:
        eventually(lambda: len(flow.answers) >= 20)
        second = shelf.deploy(str(shelf.write("2")))
        assert second.returncode == 0, second.stdout + second.stderr
        eventually(lambda: flow.answers[-20:].count("2") == 20)

        crashed = shelf.deploy(str(shelf.write("3", first="echo 'no ink' >&2; exit 3")))
        assert crashed.returncode == 1
        assert "no ink" in crashed.stderr
        assert "what was there goes on" in crashed.stderr

        nowhere = f"{shelf.registry.address}/pump@sha256:{'0' * 64}"
        missing = shelf.deploy(str(shelf.folder / "pump"), "--image", nowhere)
        assert missing.returncode == 1
        assert "not found" in missing.stderr.lower(), missing.stderr
        seen = len(flow.answers)
        eventually(lambda: len(flow.answers) >= seen + 20)
    assert flow.errors == []
    assert set(flow.answers) == {"1", "2"}
    assert flow.answers[-1] == "2"
    (live,) = json.loads(shelf.agent.run("get", "functions", "pump", "--output", "json").stdout)
    assert live["manifest"]["spec"]["image"].startswith(f"{shelf.registry.address}/pump@sha256:")


@pytest.mark.parametrize("isolation", ["process", "pod"])
def test_the_entry_point_does_its_work_in_a_real_container(shelf: Shelf, isolation: str) -> None:
    done = shelf.deploy(str(shelf.write(isolation, isolation=isolation)))
    assert done.returncode == 0, done.stdout + done.stderr
    for _ in range(5):
        assert shelf.call()["version"] == isolation
