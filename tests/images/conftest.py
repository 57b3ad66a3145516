"""A registry, a stand-in for Alpine, and a shelf with a cluster, once for all tests; storage of its own for what is built."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.images import stand_in
from tests.images.registry import Registry
from tests.images.shelf import Shelf, standing

os.environ |= {"BUILDAH_ISOLATION": "chroot", "STORAGE_DRIVER": "vfs"}


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    made = Registry(tmp_path_factory.mktemp("registry") / "r").start()
    yield made
    made.stop()


@pytest.fixture(scope="session")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of buildah's layers, with `localhost/stand-in:1` for every processor in it."""
    folder = tmp_path_factory.mktemp("storage")
    stand_in.base(folder, "localhost/stand-in:1", tuple(stand_in.ARCHITECTURES))
    return folder


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    """With the shell image."""
    with standing(tmp_path_factory.mktemp("shelf")) as made:
        yield made


@pytest.fixture(scope="session")
def bases(shelf: Shelf) -> Shelf:
    """With all base images."""
    shelf.build("python", "node")
    return shelf
