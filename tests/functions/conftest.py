"""One shelf per test, taken down afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent.domain.function import PoolSpec, RetrySpec
from tests.functions.doors import OpenDoors
from tests.functions.shelf import Shelf


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    shelf = Shelf(tmp_path)
    yield shelf
    shelf.stop()


@pytest.fixture
def open_shelf(tmp_path: Path) -> Iterator[Shelf]:
    """Three functions whose workers are the test itself."""

    def doors(_loop: object, server: object, engine: object) -> OpenDoors:
        return OpenDoors(server, engine)

    shelf = Shelf(tmp_path, runner=doors)
    pool = PoolSpec(min_idle=1, max_workers=3)
    shelf.declare("pump", isolation="shared", pool=pool, retry=RetrySpec(attempts=1))
    shelf.declare("lamp", isolation="shared", pool=pool, retry=RetrySpec(attempts=1))
    shelf.declare("fresh", isolation="pod", pool=pool, retry=RetrySpec(attempts=1))
    shelf.start()
    yield shelf
    shelf.stop()
