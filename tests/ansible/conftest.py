"""One LAN for this suite, made for the first test that asks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.ansible.ground import Ground


@pytest.fixture(scope="session")
def ground() -> Iterator[Ground]:
    with Ground("ansible") as ground:
        yield ground
