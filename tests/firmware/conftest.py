"""Parts that most tests of the firmware share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.broker import Broker


@pytest.fixture
def broker() -> Iterator[Broker]:
    with Broker() as running:
        yield running
